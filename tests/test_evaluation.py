import math

import pytest
import torch
from conftest import make_images, make_model
from PIL import Image

from mrvae_zoo import RDPoint, rate_distortion
from mrvae_zoo.data import ImageData, load_data
from mrvae_zoo.evaluation import deviation, log_spaced, measure_again
from mrvae_zoo.recipes import DataRecipe


def make_data(model, n: int = 30) -> ImageData:
    return ImageData(name="noise", split="test", images=(make_images(model, n) * 255).byte())


def test_betas_are_evenly_spaced_in_log_beta():
    betas = log_spaced((0.01, 10.0), 13)
    assert len(betas) == 13
    assert (betas[0], betas[4], betas[8], betas[12]) == (0.01, 0.1, 1.0, 10.0)
    for i, beta in enumerate(betas):
        assert beta == pytest.approx(0.01 * 1000 ** (i / 12), rel=1e-3)


def test_the_curve_is_the_mean_over_examples_and_draws():
    """Against the plain definition, one example, β and draw at a time."""
    model = make_model("mrvae_mlp", "affine", dtype=torch.float64)
    data = make_data(model, 7)
    curve = rate_distortion(model, data, [0.05, 2.0], samples=3, seed=5, batch_size=100)
    assert curve.data == {"name": "noise", "split": "test", "examples": 7}
    assert (curve.samples, curve.seed) == (3, 5)
    x = data.images.double() / 255
    for point in curve.points:
        generator = torch.Generator().manual_seed(5)
        outs = [model(x, point.beta, generator=generator) for _ in range(3)]
        assert point.rate == pytest.approx(outs[0].rate.mean().item(), rel=1e-7)
        assert point.distortion == pytest.approx(sum(o.distortion.mean().item() for o in outs) / 3, rel=1e-7)


def test_a_measurement_is_repeatable_and_its_seed_matters():
    model = make_model("mrvae_mlp", "affine")
    data = make_data(model)
    first, second, other = (rate_distortion(model, data, [0.1, 1.0], seed=seed) for seed in (0, 0, 1))
    assert first == second
    assert first.points != other.points
    assert [p.rate for p in first.points] == [p.rate for p in other.points]  # the rate needs no draw


def test_the_last_batch_counts_by_its_size():
    model = make_model("mrvae_mlp", "affine")
    data = make_data(model, 31)
    whole, parts = (rate_distortion(model, data, [0.3], batch_size=size).points[0].rate for size in (31, 30))
    assert whole == pytest.approx(parts, rel=1e-6)


def test_a_folded_model_has_one_point():
    model = make_model("mrvae_mlp", "affine")
    data = make_data(model)
    plain = rate_distortion(model.at(0.3), data, [0.3])
    assert plain.points == rate_distortion(model, data, [0.3]).points
    with pytest.raises(ValueError, match="folded at β=0.3"):
        rate_distortion(model.at(0.3), data, [0.3, 1.0])


def test_progress_goes_to_one():
    model = make_model("mrvae_mlp", "affine")
    shares = []
    rate_distortion(model, make_data(model), [0.1, 1.0], progress=shares.append)
    assert shares == [0.5, 1.0]


def test_deviation_is_relative_above_one_nat():
    published = RDPoint(beta=1.0, rate=20.0, distortion=80.0)
    assert deviation(published, published) == 0
    assert deviation(published, RDPoint(beta=1.0, rate=20.0, distortion=81.0)) == pytest.approx(1 / 80)
    assert deviation(published, RDPoint(beta=1.0, rate=19.0, distortion=81.0)) == pytest.approx(1 / 20)
    small = RDPoint(beta=10.0, rate=0.001, distortion=200.0)
    assert deviation(small, RDPoint(beta=10.0, rate=0.002, distortion=200.0)) == pytest.approx(0.001)


def test_a_model_without_a_curve_cannot_be_measured_again(tmp_path):
    with pytest.raises(ValueError, match="no curve"):
        measure_again(make_model("mrvae_mlp", "affine"), tmp_path)


def test_a_model_of_any_size_is_measured_again_at_the_size_of_its_curve(tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(30):
        pixels = torch.randint(0, 256, (9 + i % 3, 11), dtype=torch.uint8, generator=torch.Generator().manual_seed(i))
        Image.fromarray(pixels.numpy()).save(tmp_path / "photos" / f"{i}.png")
    model = make_model("mrvae_resnet_spatial", "affine")
    data = load_data(DataRecipe(name="photos", size=(8, 16)), "test", tmp_path, model.input_shape)
    model.curve = rate_distortion(model, data, [0.1, 1.0])
    assert model.curve.data["size"] == [8, 16]
    assert measure_again(model, tmp_path) == model.curve


def test_the_embedded_model_keeps_its_promise(default_model, data_root):
    """On Larochelle's binarised test set, one draw, one β at a time; and with a rate that falls with β."""
    curve = measure_again(default_model, data_root, data_name="binarized_mnist")
    losses = {point.beta: point.loss for point in curve.points}
    for beta, bound in ((0.01, 58.0), (0.1, 65.0), (1.0, 97.0), (10.0, 187.0)):
        assert losses[beta] <= bound, beta
    assert curve.data == {"name": "binarized_mnist", "split": "test", "examples": 10000}
    rates = [point.rate for point in curve.points]
    assert rates == sorted(rates, reverse=True)
    assert all(math.isfinite(rate) for rate in rates)
