"""The gallery: a page for every model, what it says of them, and a strip of one image over β."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

import mrvae_zoo
from mrvae_zoo.page import build
from mrvae_zoo.page.examples import find_examples
from mrvae_zoo.page.gallery import strip_of, write_gallery

pytest.importorskip("onnx")

NAMES = ("mrvae_linear.mnist", "mrvae_conv.sprites_tc")


@pytest.fixture
def models(monkeypatch):
    monkeypatch.setattr(build, "encoder_bytes", lambda _: b"encoder")
    monkeypatch.setattr(build, "decoder_bytes", lambda _: b"decoder")
    return [mrvae_zoo.load_pretrained(name) for name in NAMES]


def test_a_gallery_leads_to_a_page_for_every_model(models, npm, tmp_path):
    done = []
    write_gallery(models, tmp_path / "site", runtime=npm, progress=done.append)
    site = tmp_path / "site"
    assert tuple(done) == NAMES
    entries = json.loads((site / "gallery.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in entries] == done
    first = entries[0]
    assert (first["title"], first["data"], first["architecture"]) == ("MNIST", "mnist", "mrvae_linear")
    assert (first["bytes"], first["beta_range"]) == (14, list(models[0].beta_range))
    assert first["loss_at_beta_1"] == models[0].curve.at(1.0).loss
    for entry in entries:
        assert (site / entry["href"]).is_file()
        assert (site / entry["strip"]).is_file()
        model = json.loads((site / entry["name"] / "model.json").read_text(encoding="utf-8"))
        assert (site / entry["name"] / model["runtime"]["url"] / "ort.wasm.min.mjs").is_file()
        assert (site / entry["name"] / model["links"]["gallery"]).resolve() == (site / "index.html").resolve()
    assert (site / "common.css").is_file()
    assert len(list(site.rglob("ort.wasm.min.mjs"))) == 1


def test_a_gallery_without_a_package_links_to_the_cdn(models, tmp_path):
    write_gallery(models[:1], tmp_path / "site")
    model = json.loads((tmp_path / "site" / NAMES[0] / "model.json").read_text(encoding="utf-8"))
    assert model["runtime"]["url"].startswith("https://cdn.")
    assert not (tmp_path / "site" / "runtime").exists()


def test_a_model_that_no_page_can_show_is_named_and_nothing_is_left(models, tmp_path):
    models[1].recipe = '[data]\nname = "kmnist"\n'
    with pytest.raises(ValueError, match="^mrvae_conv.sprites_tc: no test images of kmnist"):
        write_gallery(models, tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mrvae_linear.mnist", "mrvae_resnet_spatial.photos"])
def test_a_strip_is_the_first_image_at_seven_beta(name):
    model = mrvae_zoo.load_pretrained(name)
    example = find_examples(model, images=None, data_root=None)[0]
    with Image.open(io.BytesIO(strip_of(model, example))) as image:
        strip = torch.from_numpy(np.array(image)).reshape(image.height, image.width, -1)
    height, width = example.x.shape[1:]
    assert strip.shape[:2] == (height, 7 * width)
    low, high = model.beta_range
    beta = low * (high / low) ** (4 / 6)
    generator = torch.Generator().manual_seed(0) if model.config.spatial else None
    with torch.no_grad():
        out = model(example.x[None], beta, sample=model.config.spatial, generator=generator)
    shown = strip[:, 4 * width : 5 * width].permute(2, 0, 1) / 255
    assert (shown - out.reconstruction[0]).abs().max() <= 0.6 / 255
    folded = model.at(beta)
    with Image.open(io.BytesIO(strip_of(folded, example))) as image:
        assert image.size == (width, height)
