"""What else one can do on a dial: paste and drop, the other tabs, the code to copy, all of it by keyboard alone."""

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from page.browser.dial import Dial
from page.browser.figures import assert_figures
from PIL import Image

from mrvae_zoo import MultiRateVAE

OpenDial = Callable[..., Dial]
HAND_OVER = """([target, kind, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "image.png", { type: "image/png" }));
  const event = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: transfer, bubbles: true })
    : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.querySelector(target).dispatchEvent(event);
}"""
PIXELS = """(selector) => [...document.querySelectorAll(selector)].map((canvas) => canvas.toDataURL())"""

pytestmark = pytest.mark.long


@pytest.mark.parametrize(("kind", "target"), [("paste", "body"), ("drop", "#input-image")])
def test_an_image_is_pasted_or_dropped(
    dial: OpenDial, digits: list[Path], default_model: MultiRateVAE, kind: str, target: str
) -> None:
    opened = dial()
    x = default_model.preprocess(digits[7]).flatten().tolist()
    opened.page.evaluate(HAND_OVER, [target, kind, base64.b64encode(digits[7].read_bytes()).decode()])
    opened.until("(x) => mrvae.result().x.every((value, i) => value === x[i])", x)
    assert "image=" not in opened.page.url  # an image of one's own is in no address
    assert_figures(opened, default_model, opened.settle())


@pytest.mark.parametrize(("size", "centre"), [((300, 200), (50, 0, 250, 200)), ((20, 33), (0, 6, 20, 26))])
def test_the_centre_of_an_image_is_scaled_as_the_model_scales_it(
    dial: OpenDial,
    tmp_path: Path,
    default_model: MultiRateVAE,
    size: tuple[int, int],
    centre: tuple[int, int, int, int],
) -> None:
    opened = dial()
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 8, 3), dtype=np.uint8))
    colours = coarse.resize(size, Image.Resampling.BICUBIC)
    colours.save(tmp_path / "colours.png")
    x = default_model.preprocess(colours.crop(centre))
    before = opened.result()["x"].tolist()
    opened.page.set_input_files("#file", tmp_path / "colours.png")
    opened.until("(before) => mrvae.result().x.some((value, i) => value !== before[i])", before)
    assert (opened.result()["x"].view_as(x) - x).abs().max() < 1e-4


def pixels(opened: Dial, selector: str, *, other_than: list[str] | None = None) -> list[str]:
    """The pictures on some canvases, once they are others."""
    opened.page.wait_for_timeout(300)
    while (found := opened.page.evaluate(PIXELS, selector)) == other_than:
        opened.page.wait_for_timeout(50)
    return found


def test_seven_values_at_once(dial: OpenDial) -> None:
    opened = dial(address="?runtime=wasm#beta=10&tab=strip")
    assert len(set(pixels(opened, "#strip canvas"))) == 7
    opened.page.locator("#strip button").first.click()
    assert opened.settle()["beta"] == pytest.approx(0.01)


def test_samples_keep_their_noise_while_the_dial_turns(dial: OpenDial) -> None:
    opened = dial(address="?runtime=wasm#beta=0.1&tab=samples&sampler=prior")
    first = pixels(opened, "#samples canvas")
    opened.turn(5.0)
    other = pixels(opened, "#samples canvas", other_than=first)
    opened.turn(0.1)
    assert pixels(opened, "#samples canvas", other_than=other) == first
    opened.page.click("#new-noise")
    drawn = pixels(opened, "#samples canvas", other_than=first)
    assert len(set(drawn) & set(first)) == 0
    opened.page.check("#sampler-mixture", force=True)
    assert len(set(pixels(opened, "#samples canvas", other_than=drawn)) & set(drawn)) == 0


def test_latents_are_moved_and_put_back(dial: OpenDial) -> None:
    opened = dial(address="?runtime=wasm#beta=1&tab=latents")
    first = pixels(opened, "#latents-picture")
    assert first == pixels(opened, "#reconstruction")
    slider = opened.page.locator("#latents-open input[type=range]").first
    slider.focus()
    opened.page.keyboard.press("End")
    moved = pixels(opened, "#latents-picture", other_than=first)
    opened.page.click("#reset")
    assert pixels(opened, "#latents-picture", other_than=moved) == first


def test_a_walk_begins_at_one_image_and_ends_at_the_other(dial: OpenDial) -> None:
    opened = dial(address="?runtime=wasm#beta=0.1&image=2&tab=walk&to=9&at=0")
    start = pixels(opened, "#walk-picture")
    assert start == pixels(opened, "#reconstruction")
    opened.page.locator("#walk-at").focus()
    opened.page.keyboard.press("End")
    end = pixels(opened, "#walk-picture", other_than=start)
    opened.page.evaluate("() => mrvae.setImage(9)")
    opened.settle()
    assert pixels(opened, "#reconstruction") == end


def test_the_code_to_copy_gives_the_same_figures(
    dial: OpenDial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = dial(address="?runtime=wasm#beta=0.5&image=4", permissions=["clipboard-read", "clipboard-write"])
    opened.page.get_by_role("button", name="Copy the code").click()
    opened.page.wait_for_timeout(200)
    code = opened.page.evaluate("() => navigator.clipboard.readText()")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, "copied.py", "exec"), names)  # noqa: S102
    out = next(value for value in names.values() if hasattr(value, "reconstruction"))
    assert out.rate.item() == pytest.approx(opened.result()["rate"], rel=1e-4)  # type: ignore[attr-defined]


def test_everything_can_be_reached_by_keyboard(dial: OpenDial) -> None:
    opened = dial(address="?runtime=wasm#beta=0.1")
    reached = set()
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        reached.add(opened.page.evaluate("() => document.activeElement.id || document.activeElement.name"))
    assert {"dial", "file", "tab-reconstruct"} <= reached
    opened.page.focus("#dial")
    opened.page.keyboard.press("End")
    assert opened.settle()["beta"] == pytest.approx(10.0)
    opened.page.focus("#tab-reconstruct")
    for tab in ("strip", "samples", "latents", "walk"):
        opened.page.keyboard.press("ArrowRight")
        assert opened.page.get_attribute(f"#tab-{tab}", "aria-selected") == "true"
        assert opened.page.locator(f"#panel-{tab}").is_visible()
