"""A dial computes a large image at its own size: tile by tile, with what the model gives for the whole."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import make_model, off_by
from page.browser.dial import Dial
from page.browser.looks import assert_accessible
from PIL import Image

from mrvae_zoo import MultiRateVAE
from mrvae_zoo.page.build import write_page

SIZE = (275, 331)  # H and W: more pixels than are ever done in a step, two tiles a side, no multiples of the stride
SMALL_PIXELS = 256 * 256  # what a slow browser does in a step
EXACT = 1e-4
# A step of a small model takes a moment, so the page would scale nothing down. In this browser it takes long.
SLOW = "const now = performance.now.bind(performance); performance.now = () => 1e4 * now();"
BUTTON = "document.getElementById('full-button')"

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def model() -> MultiRateVAE:
    small = make_model("mrvae_resnet_spatial", "shrinkage")
    config = replace(small.config, likelihood="gaussian", sigma=0.5, data_range=(0.0, 1.0))  # with a PSNR
    return MultiRateVAE(config, small.encoder, small.decoder).eval()


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "photograph.png"
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (60, 70, 3), dtype=np.uint8))
    coarse.resize(SIZE[::-1], Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def folder(node_modules: Path, model: MultiRateVAE, photograph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason="no onnx here; install the extra `export`")
    root = tmp_path_factory.mktemp("tiles")
    (root / "images").mkdir()
    with Image.open(photograph) as image:
        image.crop((0, 0, 48, 32)).save(root / "images" / "one.png")
    write_page(model, root / "page", runtime=node_modules / "onnxruntime-web", images=root / "images")
    return root / "page"


@pytest.fixture
def scaled(visit: Callable[..., Dial], photograph: Path) -> Callable[..., Dial]:
    """Opens a page in a slow browser, and a photograph that it scales down."""

    def scaled(folder: Path, **options: Any) -> Dial:
        opened = visit(folder, **options)
        opened.page.add_init_script(SLOW)
        opened.open("?runtime=wasm#beta=0.1")
        opened.page.set_input_files("#file", photograph)
        opened.until(f"() => mrvae.result().image.title === 'your image' && !{BUTTON}.disabled")
        opened.until("() => mrvae.result().distortion !== undefined")
        return opened

    return scaled


def compute(dial: Dial) -> dict[str, Any]:
    """Presses the button, and returns what was computed at full size."""
    dial.page.click("#full-button")
    dial.until(f"() => {BUTTON}.textContent.startsWith('Back')")
    return dial.result()


def widths(dial: Dial) -> list[int]:
    """Of the pictures on the page."""
    return dial.page.evaluate("() => ['input', 'reconstruction', 'difference'].map((id) => window[id].width)")


def places(dial: Dial) -> list[float]:
    """Where the pictures, the curve and what comes after them begin on the page."""
    script = "id => document.getElementById(id).getBoundingClientRect().top + scrollY"
    return [dial.page.evaluate(script, part) for part in ("reconstruction", "curve", "pictures-of")]


def assert_is_whole(result: dict[str, Any], model: MultiRateVAE, x: torch.Tensor) -> None:
    """What the page put together is what the model gives for the image in one piece."""
    with torch.no_grad():
        out = model(x, 0.1, sample=False)
    assert off_by(result["mean"].view_as(out.posterior.mean), out.posterior.mean) < EXACT
    assert off_by(result["logVar"].view_as(out.posterior.log_var), out.posterior.log_var) < EXACT
    assert (result["reconstruction"].view_as(x) - out.reconstruction).abs().max() < EXACT
    assert result["rate"] == pytest.approx(out.rate.item(), rel=EXACT)
    assert result["distortionOfMean"] == pytest.approx(out.distortion.item(), rel=EXACT)
    assert result["bitsPerPixel"] == pytest.approx(out.rate.item() / math.log(2) / x[0, 0].numel(), rel=EXACT)
    assert result["psnr"] == pytest.approx(-10 * (out.reconstruction - x).square().mean().log10().item(), abs=1e-3)


def test_tiles_make_up_the_whole(
    scaled: Callable[..., Dial], folder: Path, photograph: Path, model: MultiRateVAE, node_modules: Path
) -> None:
    opened = scaled(folder, viewport={"width": 360, "height": 800})
    small = opened.result()
    width = small["image"]["width"]
    assert width * small["image"]["height"] <= SMALL_PIXELS
    assert opened.page.inner_text("#full-button") == "Compute at 331 × 275"
    assert "about" in opened.page.inner_text("#full-status")
    before = places(opened)

    result = compute(opened)
    x = model.preprocess(photograph)
    assert torch.equal(result["x"].view_as(x), x)
    assert_is_whole(result, model, x)
    assert widths(opened) == [331] * 3
    assert places(opened) == before
    assert float(opened.page.inner_text("#bits")) == pytest.approx(result["bitsPerPixel"], abs=6e-4)
    assert opened.is_as_wide_as_the_window()
    assert_accessible(opened, node_modules)

    opened.page.click("#full-button")
    assert widths(opened) == [width] * 3
    assert opened.result()["rate"] == small["rate"]


def test_turning_the_dial_or_cancelling_goes_back(scaled: Callable[..., Dial], folder: Path) -> None:
    opened = scaled(folder)
    width = opened.result()["image"]["width"]
    compute(opened)
    assert opened.turn(0.3)["image"]["width"] == width
    assert widths(opened) == [width] * 3

    press_and = "() => {{ const button = {0}; button.click(); const label = button.textContent; {1}; return label; }}"
    for action in ("button.click()", "mrvae.setBeta(0.7)"):
        assert opened.page.evaluate(press_and.format(BUTTON, action)) == "Cancel"
    opened.settle()
    assert opened.result()["beta"] == 0.7
    opened.page.wait_for_timeout(500)  # what was cancelled does not come after all
    assert opened.page.inner_text("#full-button") == "Compute at 331 × 275"
    assert widths(opened) == [width] * 3

    opened.page.evaluate("() => mrvae.setImage(0)")
    assert not opened.page.locator("#full-button").is_visible()  # an image of the page is not scaled down


def test_an_image_beyond_the_limit_is_scaled_down_to_it(
    scaled: Callable[..., Dial], folder: Path, model: MultiRateVAE, tmp_path: Path
) -> None:
    limited = shutil.copytree(folder, tmp_path / "page")
    described = json.loads((limited / "model.json").read_text(encoding="utf-8"))
    described["limits"]["pixels"] = 80_000
    (limited / "model.json").write_text(json.dumps(described), encoding="utf-8")
    opened = scaled(limited)
    assert "The most that this page computes is 310 × 257." in opened.page.inner_text("#input-note")
    result = compute(opened)
    assert_is_whole(result, model, result["x"].view(1, 3, 257, 310))
