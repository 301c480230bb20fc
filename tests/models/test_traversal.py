"""Walks through latents: what each image of a traversal is the image of, their order, and the picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import make_images, make_model

import mrvae_zoo
from mrvae_zoo.common.grids import FONT_SIZE, GAP, MARGIN
from mrvae_zoo.models.traversal import with_headings


@pytest.fixture(scope="module")
def digit(default_model, digits):
    return default_model.preprocess(digits[3])


@torch.no_grad()
def test_each_row_walks_one_latent_from_the_posterior_mean_in_the_measured_order(default_model, digit):
    walked = default_model.traverse(digit, 0.7, latents=4, steps=5)
    statistics = default_model.latent_statistics(0.7)
    assert walked.measured
    assert walked.latents == statistics.order[:4]
    assert walked.kl == tuple(statistics.kl[i] for i in walked.latents)
    assert walked.values == (-3.0, -1.5, 0.0, 1.5, 3.0)
    assert walked.images.shape == (4, 5, 1, 28, 28)
    mean = default_model.encode(digit, 0.7).mode()
    for row, latent in zip(walked.images, walked.latents, strict=True):
        for image, value in zip(row, walked.values, strict=True):
            z = mean.clone()
            z[0, latent] = value
            assert (image - default_model.decode(z, 0.7)[0]).abs().max() < 1e-5
    same = default_model.at(0.7).traverse(digit[0], latents=4, steps=5)  # it has no curve
    assert not same.measured


@torch.no_grad()
def test_without_measured_latents_the_order_is_that_of_the_image(digit):
    model = mrvae_zoo.load_pretrained("mrvae_mlp.mnist")
    for curve in (None, replace(model.curve, latents=None)):
        model.curve = curve
        walked = model.traverse(digit, 2.0, latents=99)
        own = model.at(2.0).encode(digit).kl_of_each()[0]
        assert not walked.measured
        assert list(walked.latents) == own.argsort(descending=True, stable=True).tolist()
        assert walked.kl == pytest.approx(own.sort(descending=True).values.tolist(), rel=1e-4)
        assert len(walked.images) == 32


@torch.no_grad()
def test_a_spatial_model_walks_a_latent_at_all_places_from_a_draw():
    model = make_model("mrvae_resnet_spatial", "shrinkage")
    x = make_images(model, 1)
    walked = model.traverse(x, 0.3, latents=2, steps=3, limit=2.0)
    posterior = model.encode(x, 0.3)
    assert walked.kl == pytest.approx(posterior.kl_of_each().mean((0, 2, 3))[[*walked.latents]].tolist(), rel=1e-4)
    z = posterior.displaced(torch.randn(1, 6, 3, 2, generator=torch.Generator().manual_seed(0)))
    z[:, walked.latents[1]] = -2.0
    assert (walked.images[1, 0] - model.decode(z, 0.3)[0, :, :19, :13]).abs().max() < 1e-4
    assert model.interpolate(x, x, 0.3, steps=2).shape == (2, *x.shape[1:])


@torch.no_grad()
def test_a_way_is_the_straight_line_between_posterior_means(default_model, digits):
    a, b = default_model.preprocess([digits[3], digits[8]]).split(1)
    way = default_model.interpolate(a, b[0], 0.5, steps=5)
    mean = default_model.encode(torch.cat([a, b]), 0.5).mode()
    expected = default_model.decode(torch.stack([mean[0] + i / 4 * (mean[1] - mean[0]) for i in range(5)]), 0.5)
    assert (way - expected).abs().max() < 1e-5
    ends = default_model(torch.cat([a, b]), 0.5, sample=False).reconstruction
    assert (way[[0, -1]] - ends).abs().max() < 1e-5


@torch.no_grad()
def test_the_picture_has_the_images_and_a_heading_above_each_column(default_model, digit):
    walked = default_model.traverse(digit, 1.0, latents=3, steps=4)
    picture = np.asarray(walked.picture().convert("L"), dtype=float) / 255
    assert picture.shape[0] == 2 * MARGIN + FONT_SIZE + 3 * (56 + GAP) - GAP
    last = picture[-MARGIN - 56 : -MARGIN : 2, -MARGIN - 56 : -MARGIN : 2]
    assert np.abs(last - walked.images[-1, -1, 0].numpy()).max() < 0.01
    above = picture[: MARGIN + FONT_SIZE]
    left = picture.shape[1] - MARGIN - 4 * (56 + GAP) + GAP
    assert above[:, : left - GAP].min() == 1.0  # nothing is written above the labels
    for column in range(4):
        at = left + column * (56 + GAP)
        ink = np.flatnonzero(above[:, at : at + 56].min(0) < 0.5)
        assert (ink[0] + ink[-1]) / 2 == pytest.approx(28, abs=3)
    blank = with_headings(walked.picture(), [], (28, 28))
    assert blank.height == walked.picture().height + FONT_SIZE


def test_what_cannot_be_walked(default_model, digits, digit):
    for arguments, message in (
        ({"latents": 0}, "latents=0 should be at least 1"),
        ({"steps": 1}, "steps=1 should be at least 2"),
        ({"limit": 0.0}, "limit=0.0 should be a positive number"),
        ({"limit": float("nan")}, "limit=nan should be a positive number"),
    ):
        with pytest.raises(ValueError, match=message):
            default_model.traverse(digit, 1.0, **arguments)
    two = default_model.preprocess(digits[:2])
    with pytest.raises(ValueError, match=r"x has shape \(2, 1, 28, 28\); pass one image"):
        default_model.traverse(two, 1.0)
    with pytest.raises(ValueError, match="pass one image"):
        default_model.interpolate(digit, two, 1.0)
    with pytest.raises(ValueError, match=r"shapes \(1, 28, 28\) and \(1, 28, 14\); pass two of one shape"):
        default_model.interpolate(digit, digit[..., :14], 1.0)
    with pytest.raises(ValueError, match="beta is missing"):
        default_model.traverse(digit)
    with pytest.raises(ValueError, match=r"beta=99 is outside|beta=99.0 is outside"):
        default_model.interpolate(digit, digit, 99.0)
