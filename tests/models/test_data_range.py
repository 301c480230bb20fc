"""A data range other than [0, 1]: the same model in other units, wherever images are fed to it or drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import make_data
from PIL import Image

import mrvae_zoo
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.training.recipe import recipe_from_table
from mrvae_zoo.training.train import train

SHAPE = (1, 8, 8)


def twins():
    """Two models that are one but for the units of their images: [0, 1], and [-1, 1]."""
    options = {"input_shape": SHAPE, "latent_dim": 3, "widths": (16,), "likelihood": "gaussian"}
    torch.manual_seed(0)
    unit = mrvae_zoo.create_model("mrvae_mlp", **options, sigma=0.1).eval()
    wide = mrvae_zoo.create_model("mrvae_mlp", **options, sigma=0.2, data_range=(-1, 1)).eval()
    wide.load_state_dict(unit.state_dict())
    with torch.no_grad():
        for one, other in ((unit.encoder.layers[0], wide.encoder.layers[0]),):
            other.bias.copy_(one.bias + one.weight.sum(1) / 2)  # x = (y + 1) / 2
            other.weight.copy_(one.weight / 2)
        last, other = unit.decoder.layers[-1], wide.decoder.layers[-1]
        other.weight.copy_(2 * last.weight)
        other.bias.copy_(2 * last.bias - 1)
    return unit, wide


def test_what_is_measured_does_not_depend_on_the_units():
    unit, wide = twins()
    data = make_data(unit, 40)
    for one, other in zip(
        mrvae_zoo.rate_distortion(unit, data, [0.1, 1.0]).points,
        mrvae_zoo.rate_distortion(wide, data, [0.1, 1.0]).points,
        strict=True,
    ):
        assert other.rate == pytest.approx(one.rate, rel=1e-4)
        assert other.distortion == pytest.approx(one.distortion, rel=1e-4)
        assert other.psnr == pytest.approx(one.psnr, abs=0.01)
    x = wide.preprocess([np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)])
    assert (x[0].unique().tolist(), x[1].unique().tolist()) == ([-1.0], [1.0])
    assert mrvae_zoo.rate_distortion(wide, x, [1.0]).points[0].psnr is not None


def test_what_is_drawn_does_not_depend_on_the_units(mrvae, tmp_path):
    for model, name in zip(twins(), ("unit", "wide"), strict=True):
        mrvae_zoo.save_pretrained(model, tmp_path / name)
        rng = np.random.default_rng(0)
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "one.png")
        source = f"local-dir:{name}"
        for arguments in (
            ("reconstruct", source, "one.png", "--beta", 0.1, "-o", f"{name}_grid.png"),
            ("sample", source, "-n", 8, "-o", f"{name}_samples.png"),
            ("encode", source, "one.png", "--beta", 0.1, "-o", f"{name}.safetensors"),
            ("decode", f"{name}.safetensors", "-o", f"{name}_decoded"),
        ):
            done = mrvae(*arguments)
            assert done.returncode == 0, done.stderr
    for drawn in ("grid.png", "samples.png", "decoded/one.png"):
        one, other = (np.asarray(Image.open(tmp_path / f"{name}_{drawn}"), dtype=int) for name in ("unit", "wide"))
        assert one.shape == other.shape
        assert np.abs(one - other).max() <= 1, drawn


def test_a_training_learns_the_same(own_root, tmp_path):
    table = {
        "model": {
            "architecture": "mrvae_mlp",
            "input_shape": [1, 8, 8],
            "latent_dim": 4,
            "widths": [32],
            "likelihood": "gaussian",
        },
        "data": {"name": "mine"},
        "training": {"epochs": 8, "batch_size": 32, "learning_rate": 5e-3, "ema": 0.9, "seed": 1},
    }
    curves = {}
    for name, sigma, data_range in (("unit", 0.25, [0, 1]), ("wide", 0.5, [-1, 1])):
        model = {**table["model"], "sigma": sigma, "data_range": data_range}
        recipe = recipe_from_table({**table, "model": model}, where="test")
        curves[name] = train(recipe, own_root, tmp_path / name).curve
    for one, other in zip(curves["unit"].points, curves["wide"].points, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=0.2)  # another start, but no other task
    assert curves["wide"].points[0].psnr > 12


@pytest.mark.parametrize(
    ("data_range", "message"),
    [
        ((0, 255), r"data_range=\(0.0, 255.0\) is beyond what networks work at; use \(0, 1\) or \(-1, 1\)"),
        ((1, 0), "should be .low, high. with low < high"),
    ],
)
def test_a_range_that_no_network_works_at_is_an_error(data_range, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(
            architecture="mrvae_mlp",
            input_shape=SHAPE,
            likelihood="gaussian",
            sigma=1.0,
            data_range=tuple(map(float, data_range)),
        )


def test_the_two_mappings_are_inverse():
    for data_range in ((0.0, 1.0), (-1.0, 1.0), (-0.5, 2.0), None):
        config = replace(twins()[0].config, data_range=data_range)
        x = torch.rand(10)
        assert torch.allclose(config.to_unit_range(config.to_data_range(x)), x, atol=1e-6)
    assert torch.equal(config.to_data_range(x), x)
