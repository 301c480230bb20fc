"""`mrvae page`: the folder, what is printed, and one line for wrong input."""

import json
import shutil

import numpy as np
import pytest
from helpers import DEFAULT_MODEL, failed, make_model, ok
from PIL import Image

import mrvae_zoo

pytestmark = pytest.mark.slow

pytest.importorskip("onnx")

NAME = "mrvae_linear.mnist"


def test_the_page_of_a_model(mrvae, tmp_path):
    done = ok(mrvae("page", NAME, "-o", "dial", "--repo", "org/zoo"))
    size = sum(path.stat().st_size for path in (tmp_path / "dial").rglob("*.*"))
    assert (done.stdout, done.stderr) == ("dial\n", f"wrote dial: {size / 1e6:.1f} MB\n")
    model = json.loads((tmp_path / "dial" / "model.json").read_text(encoding="utf-8"))
    assert (model["source"], model["links"]["model"]) == ("hf-hub:org/zoo", "https://huggingface.co/org/zoo")
    failed(mrvae("page", NAME, "-o", "dial"), "dial exists; pass --force to overwrite it")
    done = ok(mrvae("page", NAME, "-o", "dial", "--beta", 0.5, "--force", "--json"))
    folded = json.loads((tmp_path / "dial" / "model.json").read_text(encoding="utf-8"))
    assert (folded["folded"], folded["beta_range"], folded["source"]) == (True, [0.5, 0.5], NAME)
    told = json.loads(done.stdout)
    assert (told["output"], told["models"]) == ("dial", [NAME])
    assert [path.name for path in tmp_path.iterdir()] == ["dial"]


def test_images_of_ones_own_for_a_model_of_ones_own(mrvae, tmp_path):
    mrvae_zoo.save_pretrained(make_model("mrvae_resnet", "none"), tmp_path / "run")
    failed(mrvae("page", "run", "-o", "dial"), "pass a folder of images (--images FOLDER)")
    (tmp_path / "own").mkdir()
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "own" / "a.png")
    done = ok(mrvae("page", "run", "-o", "dial", "--images", "own"))
    assert "converted to grey 9×12" in done.stderr
    assert [path.name for path in (tmp_path / "dial" / "images").iterdir()] == ["00.png"]
    (tmp_path / "own" / "a.png").unlink()
    failed(mrvae("page", "run", "-o", "other", "--images", "own"), "own holds no images")
    failed(mrvae("page", "run", "-o", "other", "--images", "nowhere"), "nowhere: no such folder of images")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dial", "own", "run"]


def test_wrong_input_is_one_line_and_leaves_nothing(mrvae, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    page = ("page", NAME, "-o", "dial")
    failed(mrvae("page", "mrvae_mlp.mnits", "-o", "dial"), "unknown model 'mrvae_mlp.mnits'; did you mean mrvae_mlp.mn")
    failed(mrvae("page", NAME, "-o", "none/dial"), "none: no such folder; make it first")
    failed(mrvae("page", NAME, "-o", "file", "--force"), "file is a file; name a folder")
    failed(mrvae(*page, "--beta", 99), "beta=99.0 is outside this model's range")
    failed(mrvae(*page, "--repo", "zoo"), "'zoo' is not a repository of the Hub; expected org/name")
    failed(mrvae(*page, "--runtime", "nowhere"), "nowhere does not hold onnxruntime-web; name its folder node_modules/")
    about = tmp_path / "onnxruntime-web" / "package.json"
    (about.parent / "dist").mkdir(parents=True)
    about.write_text('{"name": "onnxruntime-web", "version": "1.0.0"}', encoding="utf-8")
    failed(mrvae(*page, "--runtime", about.parent), "onnxruntime-web 1.0.0; pinned is")
    failed(mrvae("page", NAME), "name a model and a folder, NAME -o FOLDER; or all models, --pages FOLDER")
    failed(mrvae("page", "--pages", "site", "-o", "dial"), "--pages writes the pages of all models; leave out -o")
    shutil.rmtree(about.parent)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.long
def test_the_pages_of_all_models(mrvae, tmp_path):
    done = ok(mrvae("page", "--pages", "site"))
    names = mrvae_zoo.list_models(pretrained=True)
    assert done.stdout == "site\n"
    assert done.stderr.splitlines()[:-1] == names
    entries = json.loads((tmp_path / "site" / "gallery.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in entries] == names
    assert DEFAULT_MODEL in names
    for entry in entries:
        assert (tmp_path / "site" / entry["href"]).is_file()
