"""A folder of one's own images: a recipe is written for it, and trains."""

import json
import shlex
import tomllib

import numpy as np
import pytest
from helpers import ok
from PIL import Image

import mrvae_zoo

pytestmark = pytest.mark.slow


@pytest.fixture
def photos(tmp_path):
    """Forty colour images of several sizes in folders, one of them damaged, in the folder `photos`."""
    rng = np.random.default_rng(0)
    for i in range(40):
        path = tmp_path / "photos" / ("cats", "dogs")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((18 + i % 3, 20), Image.Resampling.BILINEAR).save(path)
    path.write_bytes(path.read_bytes()[:100])
    return tmp_path


def test_the_recipe_of_a_folder_trains(mrvae, photos):
    done = ok(mrvae("init-recipe", "photos"))
    assert done.stdout == ""
    told = done.stderr.splitlines()
    assert told[0] == "left out: 1 cannot be read: dogs/39.png"
    assert [line.partition(":")[0].split()[0] for line in told[1:]] == [
        *("images", "input_shape", "likelihood", "epochs", "time", "wrote"),
    ]
    command = "mrvae train photos.toml --data-root . -o RUN"
    assert told[-1] == f"wrote photos.toml; train with: {command}"
    text = (photos / "photos.toml").read_text(encoding="utf-8")
    assert text.startswith(f"# {command}\n")
    assert tomllib.loads(text)["model"]["input_shape"] == [3, 16, 16]
    small = ("--set", "training.epochs=2", "--set", "training.batch_size=12", "--set", "data.flip=true")
    done = ok(mrvae(*shlex.split(command)[1:], *small))
    assert "1 of" in done.stderr
    assert "39.png" in done.stderr
    model = mrvae_zoo.load_pretrained(f"local-dir:{photos / 'RUN'}")
    assert (model.curve.data["name"], model.curve.data["split"]) == ("photos", "test")
    (last,) = (json.loads(line) for line in (photos / "RUN" / "metrics.jsonl").read_text().splitlines()[-1:])
    assert last["epoch"] == 1
    ok(mrvae("verify", "local-dir:RUN", "--data-root", "."))


def test_wrong_input_is_one_line_and_nothing_is_written(mrvae, photos):
    (photos / "empty").mkdir()
    (photos / "one").mkdir()
    (photos / "one" / "a.png").write_bytes((photos / "photos" / "cats" / "0.png").read_bytes())
    (photos / "photos").rename(photos / "MNIST")
    (photos / "exists.toml").write_text("precious", encoding="utf-8")
    for arguments, status, message in (
        (("none",), 1, "none: no such folder"),
        (("empty",), 1, "empty holds no images"),
        (("one",), 1, "one holds one image only; expected at least 2"),
        (("MNIST",), 1, "would mean the data set mnist; rename the folder"),
        (("empty", "-o", "exists.toml"), 1, "exists.toml exists; pass --force"),
        (("empty", "-o", "no/r.toml"), 1, "no: no such folder; make it first"),
        ((), 2, "Missing argument 'FOLDER'"),
    ):
        before = sorted(photos.rglob("*"))
        done = mrvae("init-recipe", *arguments)
        assert done.returncode == status
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert sorted(photos.rglob("*")) == before
    (photos / "MNIST").rename(photos / "photos")
    ok(mrvae("init-recipe", photos / "photos", "-o", "exists.toml", "--force"))
    assert f"--data-root {photos} " in (photos / "exists.toml").read_text(encoding="utf-8")
