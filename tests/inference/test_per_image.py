"""The β of each image, beside a fine grid of β."""

import math

import pytest
import torch
from helpers import make_images, make_model

import mrvae_zoo
from mrvae_zoo.inference.per_image import DRAWS, TOLERANCE, beta_for_each, search

GRID = torch.logspace(-2, 1, 601, dtype=torch.float64).tolist()


@pytest.fixture(scope="module")
def x(default_model, digits):
    return default_model.preprocess(digits)


@pytest.fixture(scope="module")
def fine(default_model, x):
    """The rate of each image at every β of a fine grid: (601, 10)."""
    with torch.no_grad():
        return torch.stack([default_model.encode(x, beta).kl() for beta in GRID])


@pytest.mark.parametrize("rate", [8.0, 20.0, 75.0])
def test_every_image_has_the_rate_at_its_beta_as_a_fine_grid_finds_it(default_model, x, fine, rate):
    found = beta_for_each(default_model, x, rate=rate)
    assert found.beta.shape == (10,)
    with torch.no_grad():
        assert default_model.encode(x, found.beta).kl() == pytest.approx([rate] * 10, rel=2 * TOLERANCE)
        alone = [
            default_model.at(beta.item()).encode(one[None]).kl().item() for beta, one in zip(found.beta, x, strict=True)
        ]
    assert alone == pytest.approx([rate] * 10, rel=2 * TOLERANCE)
    for beta, each in zip(found.beta.tolist(), fine.T, strict=True):
        at = next(i for i in range(len(GRID)) if each[i] <= rate)
        assert GRID[at - 1] * (1 - 1e-4) <= beta <= GRID[at] * (1 + 1e-4)
    assert found.reached.all()


def test_what_cannot_be_reached_gets_the_nearer_end(default_model, x, fine):
    rate = fine[0].median().item()  # at the lowest β, half of the images have less
    found = beta_for_each(default_model, x, rate=rate)
    assert torch.equal(found.reached, fine[0] >= rate)
    assert 0 < (~found.reached).sum() < 10
    assert (found.beta[~found.reached] == torch.tensor(0.01)).all()
    assert found.nats[~found.reached].tolist() == pytest.approx(fine[0][~found.reached].tolist(), rel=1e-4)
    little = beta_for_each(default_model, x, rate=0.5)
    assert little.beta.tolist() == [10.0] * 10
    assert not little.reached.any()


def test_the_distortion_is_that_of_draws_with_the_same_noise(default_model, x):
    found = beta_for_each(default_model, x, distortion=100.0)
    noise = torch.randn(DRAWS, 1, 32, generator=torch.Generator().manual_seed(0))

    def distortions(beta):
        with torch.no_grad():
            return sum(default_model(x, beta, noise=one.expand(10, 32)).distortion for one in noise) / DRAWS

    got = distortions(found.beta)
    assert found.nats.tolist() == pytest.approx(got.tolist(), rel=1e-5)
    assert found.reached.any()
    assert got[found.reached].tolist() == pytest.approx([100.0] * int(found.reached.sum()), rel=2 * TOLERANCE)
    low, high = distortions(0.01), distortions(10.0)
    assert ((high < 100) | (low > 100))[~found.reached].all()
    assert (found.beta[~found.reached & (high < 100)] == 10).all()


def test_an_image_does_not_depend_on_its_neighbours(default_model, x):
    for target in ({"rate": 20.0}, {"distortion": 90.0}):
        together = beta_for_each(default_model, x, **target).beta
        alone = torch.cat([beta_for_each(default_model, one[None], **target).beta for one in x[:2]])
        assert together[:2].tolist() == pytest.approx(alone.tolist(), rel=1e-3)


def test_of_several_beta_a_rate_takes_the_lowest_and_a_distortion_the_highest():
    """A figure that goes up and down: two images whose waves are shifted against each other."""
    shift = torch.tensor([0.0, 0.4])

    def wave(beta):
        return 5 + torch.sin(2 * torch.as_tensor(beta).log() + shift) - 0.1 * torch.as_tensor(beta).log()

    fine = torch.stack([wave(beta) for beta in GRID])
    for lowest in (True, False):
        found = search(wave, 5.0, (0.01, 10.0), lowest=lowest)
        for beta, each in zip(found.beta.tolist(), fine.T, strict=True):
            crossings = [i for i in range(600) if (each[i] >= 5) != (each[i + 1] >= 5)]
            assert len(crossings) > 2
            at = crossings[0 if lowest else -1]
            assert GRID[at] * (1 - 1e-4) <= beta <= GRID[at + 1] * (1 + 1e-4)
        assert wave(found.beta).tolist() == pytest.approx([5.0, 5.0], rel=2 * TOLERANCE)


def test_a_spatial_model_has_a_beta_for_each_image_too():
    model = make_model("mrvae_resnet_spatial", "shrinkage")
    x = make_images(model, 3)
    with torch.no_grad():
        rate = model.encode(x, 0.3).kl().mean().item()
        found = beta_for_each(model, x, rate=rate)
        got = model.encode(x, found.beta).kl()
        tiled = mrvae_zoo.encode_tiled(model, x, found.beta, tile=8)
    assert found.reached.any()
    assert got[found.reached].tolist() == pytest.approx([rate] * int(found.reached.sum()), rel=1e-3)
    assert tiled.kl().tolist() == pytest.approx(got.tolist(), rel=1e-4)
    with torch.no_grad():
        z = tiled.mode()
        decoded = mrvae_zoo.decode_tiled(model, z, (19, 13), found.beta, tile=8)
        assert torch.allclose(decoded, model.decode(z, found.beta)[..., :19, :13], atol=1e-5)


def test_what_it_does_not_take(default_model, x):
    for given in ({}, {"rate": 1.0, "distortion": 1.0}):
        with pytest.raises(ValueError, match="takes rate= or distortion=, and one of them"):
            beta_for_each(default_model, x, **given)
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="should be a positive number of nats"):
            beta_for_each(default_model, x, rate=wrong)
    with pytest.raises(ValueError, match="draws=0 should be at least 1"):
        beta_for_each(default_model, x, distortion=9.0, draws=0)
    with pytest.raises(ValueError, match=r"folded at β=0.5 and has no other; take one with a range of β"):
        beta_for_each(default_model.at(0.5), x, rate=9.0)
    with pytest.raises(ValueError, match="x has shape"):
        beta_for_each(default_model, x[:, :, 1:], rate=9.0)
