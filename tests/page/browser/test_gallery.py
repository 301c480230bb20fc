"""The gallery in a browser: cards, filters, the address, the way to a dial. On four made-up models."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page.browser.dial import Dial
from page.browser.looks import assert_accessible, photograph
from PIL import Image

import mrvae_zoo.page
from mrvae_zoo.page.gallery import write_gallery

ASSETS = Path(mrvae_zoo.page.__file__).parent / "assets"
MODELS = {
    "mrvae_conv.mnist": "mnist",
    "mrvae_mlp.mnist": "mnist",
    "mrvae_mlp.omniglot": "omniglot",
    "mrvae_resnet_spatial.photos": "cid22",
}

OpenGallery = Callable[..., Dial]

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gallery whose dials are empty pages."""
    root = tmp_path / "gallery"
    shutil.copytree(ASSETS / "gallery", root)
    shutil.copy(ASSETS / "common.css", root)
    entries = []
    for grey, (name, data) in enumerate(MODELS.items(), start=1):
        (root / name).mkdir()
        (root / name / "index.html").write_text(
            f"<!doctype html><html lang=en><link rel=icon href=data:,><title>{name}</title>", encoding="utf-8"
        )
        Image.new("L", (7 * 28, 28), 50 * grey).save(root / f"{name}.png")
        entry = {"name": name, "title": f"The {data} set", "data": data, "architecture": name.split(".")[0]}
        entry |= {"parameters": 1544048, "bytes": 3100000, "beta_range": [0.01, 10.0], "loss_at_beta_1": 95.5}
        entries.append(entry | {"href": f"{name}/index.html", "strip": f"{name}.png"})
    (root / "gallery.json").write_text(json.dumps(entries), encoding="utf-8")
    return root


@pytest.fixture
def gallery(visit: Callable[..., Dial], folder: Path) -> OpenGallery:
    """Opens the gallery."""

    def gallery(address: str = "", **options: Any) -> Dial:
        opened = visit(folder, **options).load(address)
        opened.page.wait_for_selector("#gallery:not([aria-busy])")
        return opened

    return gallery


def shown(opened: Dial) -> list[str]:
    return opened.page.locator(".card:visible h2").all_inner_texts()


def test_it_shows_every_model_and_opens_its_dial(gallery: OpenGallery) -> None:
    opened = gallery()
    assert shown(opened) == list(MODELS)
    assert "1.54 M parameters · 3.1 MB" in opened.page.inner_text(".card >> nth=1")
    strip = opened.page.locator(".strip >> nth=1")
    assert strip.get_attribute("alt") == "One test image, reconstructed at 7 β from 0.01 to 10"
    assert strip.evaluate("image => image.decode().then(() => image.naturalWidth)") == 7 * 28
    opened.page.locator(".strip >> nth=1").click(force=True)  # the whole card is the link
    opened.page.wait_for_url("**/mrvae_mlp.mnist/index.html")


def test_filters_work_by_keyboard_and_stand_in_the_address(gallery: OpenGallery) -> None:
    opened = gallery()
    data = opened.page.get_by_role("group", name="Data")
    data.get_by_role("button", name="all").focus()
    for _ in range(2):  # cid22, mnist
        opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Space")
    assert shown(opened) == ["mrvae_conv.mnist", "mrvae_mlp.mnist"]
    assert data.get_by_role("button", pressed=True).all_inner_texts() == ["mnist"]
    assert opened.page.get_by_role("status").inner_text() == "2 models"
    opened.page.get_by_role("button", name="mlp").click()
    assert shown(opened) == ["mrvae_mlp.mnist"]

    again = gallery("#" + opened.page.url.partition("#")[2])
    assert shown(again) == ["mrvae_mlp.mnist"]
    again.page.get_by_role("button", name="mlp").click()  # a second press takes it back
    assert shown(again) == ["mrvae_conv.mnist", "mrvae_mlp.mnist"]


def test_filters_that_no_model_matches_say_so(gallery: OpenGallery) -> None:
    opened = gallery("#data=cid22&architecture=mrvae_mlp&tab=walk")
    assert shown(opened) == []
    assert "No model matches both" in opened.page.get_by_role("status").inner_text()
    opened.page.get_by_role("group", name="Architecture").get_by_role("button", name="all").click()
    assert shown(opened) == ["mrvae_resnet_spatial.photos"]


def test_a_list_that_cannot_be_loaded_gives_a_message(gallery: OpenGallery, folder: Path) -> None:
    (folder / "gallery.json").unlink()
    assert "could not be loaded (status 404)" in gallery(faults=True).message()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1400])
def test_it_fits_and_is_accessible(gallery: OpenGallery, node_modules: Path, width: int, scheme: str) -> None:
    opened = gallery(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened.page.get_by_role("button", name="mnist", exact=True).click()
    assert opened.is_as_wide_as_the_window()
    photograph(opened, f"gallery-{width}-{scheme}")
    assert_accessible(opened, node_modules)


@pytest.mark.long
def test_dials_of_a_gallery_share_the_runtime_and_lead_back(
    visit: Callable[..., Dial], node_modules: Path, tmp_path: Path
) -> None:
    models = [mrvae_zoo.load_pretrained(name) for name in ("mrvae_linear.mnist", "mrvae_conv.sprites_tc")]
    write_gallery(models, tmp_path / "pages", runtime=node_modules / "onnxruntime-web")
    opened = visit(tmp_path / "pages").load("?runtime=wasm#data=sprites")
    opened.page.get_by_role("link", name="mrvae_conv.sprites_tc").click()
    opened.page.wait_for_url("**/mrvae_conv.sprites_tc/index.html*")
    opened.page.evaluate("() => window.mrvae.ready")
    assert opened.turn(2.0)["rate"] > 0
    opened.page.locator("a[href='../index.html']").first.click()
    opened.page.wait_for_selector(".card")
    assert shown(opened) == ["mrvae_linear.mnist", "mrvae_conv.sprites_tc"]
