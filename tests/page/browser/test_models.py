"""The dials of other kinds of model in a browser: in colour, for images of any size, folded at a β."""

from collections.abc import Callable

import numpy as np
import pytest
from helpers import DEFAULT_MODEL
from page.browser.conftest import FOLDED, Model
from page.browser.dial import Dial
from page.browser.figures import assert_figures
from PIL import Image

OpenDial = Callable[..., Dial]
COLOURS, PHOTOS = "mrvae_resnet.cifar10", "mrvae_resnet_spatial.photos"

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", [COLOURS, PHOTOS, "mrvae_conv.sprites_tc"])
def test_figures_are_those_of_the_model(dial: OpenDial, model_of: Callable[[str], Model], name: str) -> None:
    opened, model = dial(name), model_of(name)
    low, high = model.beta_range
    for beta in np.geomspace(low, high, 5):
        result = opened.turn(float(beta))
        assert result["beta"] == pytest.approx(beta, rel=1e-9)
        assert_figures(opened, model, result)


def test_a_folded_model_has_no_dial(dial: OpenDial, model_of: Callable[[str], Model]) -> None:
    opened = dial(FOLDED)
    assert not opened.page.locator("#dial").is_visible()
    result = opened.result()
    assert result["beta"] == 0.5
    assert_figures(opened, model_of(FOLDED), result)
    seen = result["x"].tolist()
    opened.page.evaluate("() => mrvae.setImage(3)")
    assert opened.result()["x"].tolist() != seen
    assert_figures(opened, model_of(FOLDED), opened.result())


def test_a_photograph_of_any_size_is_taken(dial: OpenDial, tmp_path, model_of: Callable[[str], Model]) -> None:
    opened, model = dial(PHOTOS), model_of(PHOTOS)
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8))
    coarse.resize((100, 75), Image.Resampling.BICUBIC).save(tmp_path / "photograph.png")
    opened.page.set_input_files("#file", tmp_path / "photograph.png")
    opened.until("() => mrvae.result().x.length === 3 * 75 * 100")
    result = opened.turn(0.05)
    assert_figures(opened, model, result, size=(75, 100))
    assert opened.page.evaluate("() => [reconstruction.width, reconstruction.height]") == [100, 75]
    assert "bits per pixel" in opened.page.inner_text("body")


def test_webgpu_or_what_stands_in_for_it_gives_the_same(dial: OpenDial, model_of: Callable[[str], Model]) -> None:
    opened = dial(address="")
    assert opened.page.evaluate("() => mrvae.runtime") in ("wasm", "webgpu")
    assert_figures(opened, model_of(DEFAULT_MODEL), opened.turn(0.2))
