"""The figures of a dial beside those of the model itself, on the image that the dial shows."""

from typing import Any

import torch
from helpers import off_by
from page.browser.dial import Dial
from PIL import Image

from mrvae_zoo import FixedRateVAE, MultiRateVAE

EXACT = 1e-4  # relative
DRAWS, SPATIAL_DRAWS = 256, 12  # of the model, for the expectation


def assert_figures(
    dial: Dial, model: MultiRateVAE | FixedRateVAE, result: dict[str, Any], *, size: tuple[int, int] | None = None
) -> None:
    """What a page computed is what the model computes, on an image (H, W), by default that of a test image."""
    if size is None:
        with Image.open(dial.folder / "images" / "00.png") as picture:
            size = (picture.height, picture.width)
    x = result["x"].view(1, model.input_shape[0], *size)
    beta = () if isinstance(model, FixedRateVAE) else (result["beta"],)
    with torch.no_grad():
        out = model(x, *beta, sample=False)
        mean, log_var = out.posterior.mean, out.posterior.log_var
        assert off_by(result["mean"].view_as(mean), mean) < EXACT
        assert off_by(result["logVar"].view_as(log_var), log_var) < EXACT
        assert off_by(result["reconstruction"].view_as(x), out.reconstruction) < EXACT
        assert_near(result["rate"], out.rate.item(), EXACT * abs(out.rate.item()))
        assert_near(result["distortionOfMean"], out.distortion.item(), EXACT * abs(out.distortion.item()))

        draws = SPATIAL_DRAWS if model.config.spatial else DRAWS
        drawn = model(x.expand(draws, *x.shape[1:]), *beta, generator=torch.Generator().manual_seed(0)).distortion
    # The page takes the mean over four pairs of draws, or over one draw of the many places of a spatial model.
    expected, error = drawn.mean().item(), drawn.std().item() / (1 if model.config.spatial else 4) ** 0.5
    assert_near(result["distortion"], expected, 5 * error + EXACT * expected)
    assert_near(result["loss"], result["distortion"] + result["beta"] * result["rate"], 1e-6 * abs(result["loss"]))


def assert_near(value: float, reference: float, tolerance: float) -> None:
    assert abs(value - reference) <= tolerance, (value, reference, tolerance)
