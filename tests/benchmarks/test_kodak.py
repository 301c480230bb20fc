"""`benchmarks/kodak.py`: what the page shows is what its file holds, and the figures are what they are called."""

import importlib
import json
import math

import numpy as np
import pytest
import torch
from helpers import CHECKOUT
from PIL import Image

import mrvae_zoo

pytestmark = pytest.mark.slow


@pytest.fixture
def kodak(monkeypatch):
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    return importlib.import_module("kodak")


@pytest.fixture
def photo():
    """A photograph-like picture: smooth colours and some grain."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 9, 3), dtype=np.uint8)).resize(
        (144, 96), Image.Resampling.BICUBIC
    )
    return Image.fromarray(np.clip(coarse + rng.normal(0, 4, (96, 144, 3)), 0, 255).astype(np.uint8))


def test_the_page_shows_what_the_file_holds(kodak):
    result = json.loads((CHECKOUT / kodak.RESULTS).read_text(encoding="utf-8"))
    page = (CHECKOUT / kodak.PAGE).read_text(encoding="utf-8")
    assert kodak.insert(page, "kodak", kodak.table_part(result)) == page
    assert result["images"] == 24
    for name in result["models"]:
        assert kodak.beside(result, name) == (CHECKOUT / kodak.BESIDE.format(name=name)).read_text(encoding="utf-8")
    assert set(result["models"]) == set(mrvae_zoo.list_models("mrvae_*spatial.*", pretrained=True))


@pytest.mark.parametrize("codec", ["JPEG", "WEBP", "AVIF"])
def test_a_codec_spends_more_and_keeps_more_with_its_quality(kodak, photo, codec, monkeypatch):
    monkeypatch.setitem(kodak.CODECS, codec, (kodak.CODECS[codec][0], (10, 50, 90)))
    points = kodak.measure_codec(codec, [photo])
    assert [one["quality"] for one in points] == [10, 50, 90]
    for key in ("bits_per_pixel", "psnr"):
        assert points[0][key] < points[1][key] < points[2][key]
    data, decoded = kodak.code(photo, codec, 50)
    assert points[1]["bits_per_pixel"] == 8 * len(data) / (96 * 144)
    error = np.asarray(decoded, dtype=np.float64) / 255 - np.asarray(photo, dtype=np.float64) / 255
    assert points[1]["psnr"] == pytest.approx(-10 * math.log10(np.mean(error**2)), abs=1e-4)


def test_a_model_is_measured_at_its_own_rate(kodak, photo):
    torch.manual_seed(0)
    options = {"likelihood": "gaussian", "sigma": 0.5**0.5, "latent_dim": 4, "width": 8, "bottleneck": 4}
    model = mrvae_zoo.create_model("mrvae_resnet_spatial", input_shape=(3, None, None), **options).eval()
    points = kodak.measure_model(model, [photo])
    assert [points[0]["beta"], points[-1]["beta"]] == pytest.approx([0.01, 10.0])
    with torch.no_grad():
        out = model(model.preprocess([photo]), 0.01, generator=torch.Generator().manual_seed(0))
    assert points[0]["bits_per_pixel"] == pytest.approx(out.rate.item() / math.log(2) / (96 * 144), rel=1e-4)
    error = out.reconstruction.double() - model.preprocess([photo]).double()
    assert points[0]["psnr"] == pytest.approx(-10 * math.log10(error.square().mean()), abs=0.01)


def test_seams_are_those_of_patches(kodak):
    ramp = torch.linspace(0, 1, 64).expand(3, 64, 64)
    assert kodak.seams(ramp + ramp.transpose(1, 2)) == pytest.approx(1.0, abs=1e-3)
    blocks = (
        torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    )
    assert kodak.seams(blocks + 0.01 * ramp + 0.01 * ramp.transpose(1, 2)) > 100


def test_between_two_points_psnr_is_linear_in_the_logarithm_of_the_rate(kodak):
    points = [{"bits_per_pixel": 0.4, "psnr": 30.0}, {"bits_per_pixel": 0.1, "psnr": 20.0}]
    found = kodak.at_rates(points)
    assert found["0.2"] == 25.0
    assert found["0.5"] is None


def test_the_picture_has_four_rows_of_two(kodak, photo, tmp_path):
    torch.manual_seed(0)
    model = mrvae_zoo.create_model("mrvae_resnet_spatial", input_shape=(3, None, None), latent_dim=4, width=8).eval()
    kodak.picture(model, photo, tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as drawn:
        assert drawn.height >= 4 * photo.height
        assert drawn.width >= 2 * photo.width
