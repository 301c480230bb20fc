"""The dial of the embedded model in a browser: what a visitor does first, and whether the figures are right."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from page.browser.dial import Dial
from page.browser.figures import assert_figures
from page.browser.looks import assert_accessible

from mrvae_zoo import MultiRateVAE

OpenDial = Callable[..., Dial]

pytestmark = pytest.mark.slow


def test_figures_are_those_of_the_model(dial: OpenDial, default_model: MultiRateVAE) -> None:
    opened = dial()
    for index in (7, 0):
        opened.page.evaluate("(index) => mrvae.setImage(index)", index)
        x = default_model.preprocess(opened.folder / "images" / f"{index:02d}.png")
        assert torch.equal(opened.result()["x"].view_as(x), x)
    for beta in (0.01, 0.05, 0.3, 2.0, 10.0):
        result = opened.turn(beta)
        assert result["beta"] == pytest.approx(beta, rel=1e-9)
        assert_figures(opened, default_model, result)
    shown = float(opened.page.inner_text("#rate").split()[0])
    assert shown == pytest.approx(result["rate"], abs=0.06)


def test_the_dial_turns_by_keys_wheel_and_pointer(dial: OpenDial) -> None:
    opened = dial(address="?runtime=wasm#beta=0.1")
    seen = [(opened.settle()["beta"], opened.picture())]

    def turned() -> None:
        beta = opened.settle()["beta"]
        assert all(beta != pytest.approx(earlier, rel=1e-6) for earlier, _ in seen)
        picture = opened.picture()
        assert picture not in [picture for _, picture in seen]
        seen.append((beta, picture))

    knob = opened.page.locator("#dial")
    knob.focus()
    for key, up in (("ArrowRight", True), ("ArrowDown", False), ("PageUp", True), ("End", True), ("Home", False)):
        for _ in range(3 if key == "ArrowRight" else 1):
            opened.page.keyboard.press(key)
        turned_from = seen[-1][0]
        turned()
        assert (seen[-1][0] > turned_from) is up, key
    assert [seen[-2][0], seen[-1][0]] == pytest.approx([10.0, 0.01])

    knob.hover()
    opened.page.mouse.wheel(0, -300)
    turned()
    box = knob.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    opened.page.mouse.move(box["x"] + 0.3 * box["width"], y)
    opened.page.mouse.down()
    turned()
    opened.page.mouse.move(box["x"] + 0.7 * box["width"], y, steps=5)
    opened.page.mouse.up()
    pressed_at = seen[-1][0]
    turned()
    assert seen[-1][0] > pressed_at


def test_a_digit_is_drawn(dial: OpenDial, default_model: MultiRateVAE) -> None:
    opened = dial()
    before = opened.result()["x"]
    canvas = opened.page.locator("#draw")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    opened.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.2 * box["height"])
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.8 * box["height"], steps=8)
    opened.page.mouse.up()
    opened.until("(before) => mrvae.result().x.some((value, i) => value !== before[i])", before.tolist())
    result = opened.settle()
    x = result["x"].view(28, 28)
    assert x[8:20, 12:16].max() > 0.9  # a stroke down the middle, white on black
    assert x[:, :6].max() < 0.1
    assert_figures(opened, default_model, result)


def test_files_are_taken_or_refused(dial: OpenDial, digits: list[Path], default_model: MultiRateVAE) -> None:
    opened = dial()
    x = default_model.preprocess(digits[4])
    opened.page.set_input_files("#file", digits[4])
    opened.until("(x) => mrvae.result().x.every((value, i) => value === x[i])", x.flatten().tolist())
    assert_figures(opened, default_model, opened.settle())

    kept = opened.result()["x"]
    opened.page.set_input_files("#file", {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Sir"})
    assert "letter.txt" in opened.message()
    opened.page.set_input_files("#file", {"name": "broken.png", "mimeType": "image/png", "buffer": b"\x89PNG nothing"})
    opened.until("() => document.getElementById('message').textContent.includes('broken.png')")
    assert torch.equal(opened.result()["x"], kept)


def test_an_address_restores_the_view(dial: OpenDial) -> None:
    opened = dial(address="?runtime=wasm#beta=0.25&image=5&tab=strip")
    assert opened.settle()["beta"] == pytest.approx(0.25)
    assert opened.page.get_attribute("#tab-strip", "aria-selected") == "true"
    assert opened.state()["image"] == 5
    opened.turn(3.0)
    opened.page.click("#tab-reconstruct")
    opened.until("() => location.hash.includes('beta=3') && !location.hash.includes('strip')")
    seen = opened.settle()

    again = dial(address="?runtime=wasm#" + opened.page.url.partition("#")[2])
    found = again.settle()
    assert found["beta"] == pytest.approx(3.0)
    assert torch.equal(found["x"], seen["x"])
    assert again.picture() == opened.picture()


def test_it_is_accessible(dial: OpenDial, node_modules: Path) -> None:
    opened = dial(viewport={"width": 360, "height": 800})
    assert opened.is_as_wide_as_the_window()
    assert_accessible(opened, node_modules)
