"""The folder of a page: what is in it, what model.json says, and what is left behind when it cannot be made."""

import hashlib
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers import make_model
from PIL import Image

import mrvae_zoo
from mrvae_zoo.page import build
from mrvae_zoo.page.build import page_files, write_page
from mrvae_zoo.page.runtime import Runtime, read_pin
from mrvae_zoo.page.sheets import read_sheet

pytest.importorskip("onnx")

CDN = "https://cdn.jsdelivr.net/npm/onnxruntime-web@"


@pytest.fixture
def drawn(monkeypatch):
    """Networks that are made in no time, for tests of everything else."""
    monkeypatch.setattr(build, "encoder_bytes", lambda _: b"encoder")
    monkeypatch.setattr(build, "decoder_bytes", lambda _: b"decoder")


@pytest.fixture
def own(tmp_path):
    """A folder of 30 images in colour, 40 × 24."""
    folder = tmp_path / "own"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(30):
        Image.fromarray(rng.integers(0, 256, (24, 40, 3), np.uint8)).save(folder / f"{number:02}.png")
    return folder


def described(files):
    return json.loads(files["model.json"])


def pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        return torch.from_numpy(np.array(image))


def test_a_page_holds_what_model_json_says_it_holds(drawn, default_model):
    files = page_files(default_model)
    model = described(files)
    parts = [*model["files"].values(), model["sampler"]]
    assert {part["path"] for part in parts} == {"encoder.onnx", "decoder.onnx", "sampler.safetensors"}
    for part in parts:
        content = files[part["path"]]
        assert (part["bytes"], part["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert [image["path"] for image in model["images"]] == [f"images/{number:02}.png" for number in range(12)]
    rest = {"model.json", *(part["path"] for part in parts), *(image["path"] for image in model["images"])}
    assert {path for path in files if "/" not in path} - rest == {"index.html", "style.css", "common.css"}
    assert {path for path in files if "/" in path} - rest == {path for path in files if path.startswith("js/")}
    tensors = safetensors.torch.load(files["sampler.safetensors"])
    for name, tensor in default_model.sampler.to_tensors().items():
        assert torch.equal(tensors[name], tensor)


def test_what_model_json_says_of_a_model(drawn, default_model):
    model = described(page_files(default_model, gallery_url="../index.html"))
    curve, table = default_model.curve, default_model.curve.latents
    assert (model["name"], model["source"], model["folded"]) == ("mrvae_mlp.mnist", "mrvae_mlp.mnist", False)
    assert model["parameters"] == 1544048
    assert (model["input_shape"], model["latent_shape"], model["spatial"]) == ([1, 28, 28], [32], False)
    assert (model["likelihood"], model["sigma"], model["data_range"]) == ("bernoulli", None, [0, 1])
    assert model["beta_range"] == [0.01, 10]
    assert model["curve"]["data"] == "mnist test"
    for key, values in (("betas", curve.betas), ("rates", [point.rate for point in curve.points])):
        assert model["curve"][key] == list(values)
    assert np.shape(model["latents"]["kl"]) == (len(table.points), 32)
    assert model["latents"]["std"][2][5] == table.points[2].std[5]
    assert model["data"]["licence"] == "CC BY-SA 3.0"
    assert model["data"]["attribution"] == "Images from MNIST (CC BY-SA 3.0)."
    assert model["links"] == {"model": None, "code": None, "gallery": "../index.html"}
    assert "limits" not in model


def test_the_images_are_those_of_the_sheet_pixel_by_pixel(drawn):
    model = mrvae_zoo.load_pretrained("mrvae_resnet.cifar10")
    files, sheet = page_files(model), read_sheet("cifar10")
    for number, (said, image) in enumerate(zip(described(files)["images"], sheet.images, strict=True)):
        assert torch.equal(pixels(files[said["path"]]).permute(2, 0, 1), image)
        assert (said["title"], said["label"]) == (sheet.titles[number], sheet.labels[number])


def test_images_of_a_model_of_black_and_white_are_black_and_white(drawn, default_model):
    grey = mrvae_zoo.load_pretrained("mrvae_linear.mnist")
    for model, values in ((default_model, 2), (grey, 20)):
        shown = pixels(page_files(model)["images/00.png"]).unique()
        assert len(shown) == 2 if values == 2 else len(shown) > values
    folded = default_model.at(0.5)  # which has no curve that says so
    assert page_files(folded)["images/00.png"] == page_files(default_model)["images/00.png"]


def test_a_folded_model_and_a_spatial_one(drawn, default_model):
    folded = described(page_files(default_model.at(0.5)))
    assert (folded["folded"], folded["beta_range"], folded["curve"]) == (True, [0.5, 0.5], None)
    assert folded["sampler"]["bytes"] < 100_000  # the mixture of one β
    spatial = described(page_files(mrvae_zoo.load_pretrained("mrvae_resnet_spatial.photos")))
    assert (spatial["input_shape"], spatial["latent_shape"]) == ([3, None, None], None)
    assert spatial["limits"] == {"pixels": 1048576, "tile": 256, "margin": 32}
    assert spatial["sampler"] is None
    assert "CC BY-SA 4.0" in spatial["images"][0]["attribution"]


def test_a_page_loads_from_nowhere_but_the_cdn_and_with_a_package_from_nowhere(drawn, default_model, npm):
    linked, carried = page_files(default_model), page_files(default_model, runtime=npm)
    version = read_pin()["version"]
    assert described(linked)["runtime"]["url"] == f"{CDN}{version}/dist/"
    assert described(carried)["runtime"]["url"] == "runtime/"
    assert {path for path in carried if path not in linked} == {f"runtime/{name}" for name in read_pin()["bytes"]}
    for files in (linked, carried):
        runtime = described(files)["runtime"]
        names = {name for variant in runtime["files"].values() for name in variant.values()}
        assert set(runtime["integrity"]) == set(runtime["bytes"]) == names
        assert all(re.fullmatch(r"sha384-[\w+/]{64}", each) for each in runtime["integrity"].values())
    assert hosts_allowed(linked) == {"https://cdn.jsdelivr.net"}
    assert hosts_allowed(carried) == set()
    index = carried["index.html"].decode()
    assert "<!--csp-->" not in index
    assert re.findall(r"(?:src|href)=\"(?:https?:)?//[^\"]+", index) == []


def hosts_allowed(files):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', files["index.html"].decode())
    assert policy.startswith("default-src 'none'; ")
    return set(re.findall(r"https?://[^ ;]+", policy))


def test_a_runtime_that_pages_share_is_not_in_them(drawn, default_model):
    files = page_files(default_model, runtime=Runtime(url="../runtime/"))
    assert described(files)["runtime"]["url"] == "../runtime/"
    assert not any("runtime" in path for path in files)


def test_where_a_model_is_loaded_from_is_said_without_the_path_of_this_machine(drawn, own, tmp_path):
    model = make_model("mrvae_resnet", "none")
    model.name = f"local-dir:{tmp_path}/digits"
    files = page_files(model, images=own)
    assert (described(files)["name"], described(files)["source"]) == ("digits", "digits")
    assert str(tmp_path).encode() not in b"".join(files.values())
    pushed = described(page_files(model, images=own, repo_id="org/zoo"))
    assert (pushed["name"], pushed["source"]) == ("zoo", "hf-hub:org/zoo")
    assert pushed["links"]["model"] == "https://huggingface.co/org/zoo"
    named = described(page_files(model, images=own, repo_id="org/zoo", name="mine", model_url="https://elsewhere"))
    assert (named["name"], named["links"]["model"]) == ("mine", "https://elsewhere")
    model.name = "hf-hub:org/zoo@v1"
    loaded = described(page_files(model, images=own))
    assert (loaded["name"], loaded["source"]) == ("zoo", "hf-hub:org/zoo@v1")
    assert loaded["links"]["model"] == "https://huggingface.co/org/zoo"


def test_own_images_are_a_dozen_in_the_form_of_the_model(drawn, own):
    model = make_model("mrvae_resnet", "none")
    files = page_files(model, images=own)
    shown = described(files)["images"]
    assert [image["title"] for image in shown][:3] == ["00", "02", "05"]
    assert len(shown) == 12
    with Image.open(io.BytesIO(files["images/00.png"])) as image:
        assert (image.mode, image.size) == ("L", (9, 12))
    x = model.preprocess(own / "02.png")
    assert (pixels(files["images/01.png"]) / 255 - x[0, 0]).abs().max() <= 0.5 / 255 + 1e-6
    assert described(files)["data"]["attribution"] == ""
    spatial = page_files(make_model("mrvae_resnet_spatial", "none"), images=own)
    assert pixels(spatial["images/00.png"]).shape == (24, 40, 3)


def test_test_images_of_another_data_set_come_from_the_data_root(drawn, own_root):
    model = make_model("mrvae_resnet", "none")
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 8, 8), latent_dim=2, gating="none", widths=(8,))
    model.recipe = '[data]\nname = "mine"\n'
    with pytest.raises(ValueError, match=r"no test images of mine come with .* \(--data-root DIR\), .* \(--images FOL"):
        page_files(model)
    files = page_files(model, data_root=own_root)
    test = mrvae_zoo.load_data("mine", "test", own_root, (1, 8, 8)).images
    titles = [image["title"] for image in described(files)["images"]]
    assert titles[:3] == [f"image {number} of the test split" for number in (0, 8, 16)]
    assert torch.equal(pixels(files["images/02.png"]), test[16, 0])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("mrvae_mlp", "this model takes images of 2 channels; a page shows those of 1 or 3"),
        ("mrvae_resnet", r"does not say what it was trained on; pass a folder of images \(--images FOLDER\)"),
    ],
)
def test_a_model_that_a_page_cannot_show(kind, message):
    with pytest.raises(ValueError, match=message):
        page_files(make_model(kind, "none"))


def test_images_that_a_page_cannot_take(own, tmp_path):
    model, empty = make_model("mrvae_resnet_spatial", "none"), tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder of images"):
        page_files(model, images=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="empty holds no images"):
        page_files(model, images=empty)
    for size in ((15, 300), (1025, 1024)):
        Image.new("RGB", size).save(empty / "a.png")
        with pytest.raises(ValueError, match=rf"a.png has {size[0]}×{size[1]} pixels; .* at least 16 .* 1,048,576"):
            page_files(model, images=empty)
    (empty / "a.png").write_text("no image", encoding="utf-8")
    with pytest.raises(ValueError, match="a.png is not an image"):
        page_files(model, images=empty)


def test_a_missing_package_is_an_error_that_names_the_extra(default_model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(mrvae_zoo.MissingExtraError, match=r"mrvae-zoo\[export\]"):
        page_files(default_model)


def test_a_folder_is_written_whole_or_not_at_all(drawn, default_model, tmp_path, monkeypatch):
    folder = tmp_path / "dial"
    write_page(default_model, folder)
    files = page_files(default_model)
    assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")} == files
    (folder / "mine.txt").write_text("mine", encoding="utf-8")
    (folder / "model.json").write_text("old", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"dial exists; pass force=True"):
        write_page(default_model, folder)
    monkeypatch.setattr(build, "decoder_bytes", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    for target in (folder, tmp_path / "new"):
        with pytest.raises(OSError, match="disk full"):
            write_page(default_model, target, force=True)
    assert (folder / "model.json").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["dial"]
    monkeypatch.setattr(build, "decoder_bytes", lambda _: b"decoder")
    write_page(default_model, folder, force=True)
    assert (folder / "model.json").read_bytes() == files["model.json"]
    assert (folder / "mine.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.long
def test_another_process_makes_the_same_bytes(tmp_path):
    code = f"import mrvae_zoo; mrvae_zoo.write_page('mrvae_linear.mnist', {str(tmp_path / 'dial')!r})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    files = page_files(mrvae_zoo.load_pretrained("mrvae_linear.mnist"))
    for path, content in files.items():
        assert (tmp_path / "dial" / path).read_bytes() == content, path
