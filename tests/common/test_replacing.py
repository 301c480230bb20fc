"""Several files replaced at once: whoever is killed meanwhile leaves the old ones or the new ones."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from helpers import make_images, make_model, outputs

from mrvae_zoo import RDCurve, RDPoint, load_pretrained, save_pretrained
from mrvae_zoo.common.files import finish_replacing, replace_files


class Killed(BaseException):
    """As a signal: nothing may catch it, and no cleaning up is done after it."""


@pytest.fixture
def die_at(monkeypatch):
    """Makes the process die at the n-th change of a folder: at that write, rename or removal."""

    def arm(n):
        count = itertools.count(1)

        def guarded(method):
            def call(self, *arguments, **options):
                if next(count) >= n:
                    raise Killed
                return method(self, *arguments, **options)

            return call

        for name in ("replace", "unlink", "mkdir", "rmdir", "write_bytes"):
            monkeypatch.setattr(Path, name, guarded(getattr(Path, name)))
        monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # a process that is killed cleans up nothing

    return arm


def curve(loss):
    return RDCurve(points=(RDPoint(beta=1.0, rate=0.0, distortion=loss),))


@pytest.mark.parametrize("with_curve", [True, False])
def test_a_checkpoint_that_is_saved_over_is_the_old_or_the_new_one(tmp_path, die_at, monkeypatch, with_curve):
    old, new = make_model("mrvae_mlp", "affine", seed=0), make_model("mrvae_linear", "linear", seed=1)
    old.curve, new.curve = curve(1.0), curve(2.0) if with_curve else None
    old.recipe, new.recipe = "old = 1", "new = 1"
    seen = set()
    for step in range(1, 60):
        folder = tmp_path / str(step)
        save_pretrained(old, folder)
        with monkeypatch.context() as patch:
            del patch
            die_at(step)
            try:
                save_pretrained(new, folder)
                finished = True
            except Killed:
                finished = False
            monkeypatch.undo()
        loaded = load_pretrained(folder)
        kept = new if loaded.config == new.config else old
        seen.add(kept is new)
        assert loaded.curve == kept.curve
        assert loaded.recipe == kept.recipe
        x = make_images(kept, 3)
        for a, b in zip(outputs(loaded, x, 1.0), outputs(kept, x, 1.0), strict=True):
            assert torch.equal(a, b)
        assert kept is new or not finished
        save_pretrained(new, folder)  # what was left is no obstacle
        names = {"config.json", "model.safetensors", "recipe.toml"} | ({"rd_curve.json"} if with_curve else set())
        assert {path.name for path in folder.iterdir() if not path.name.endswith(".tmp")} == names
        if finished:
            break
    assert finished
    assert seen == {True, False}


def test_the_config_is_written_last(tmp_path, monkeypatch):
    written = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: written.append(Path(to)) or replace(self, to))
    save_pretrained(make_model("mrvae_mlp", "affine"), tmp_path / "model")
    names = [path.name for path in written]
    half = len(names) // 2
    assert names.count("config.json") == 2
    assert names[half] == names[-1] == "config.json"  # when all is written, and when all is in its place
    assert json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))


def test_nothing_is_finished_that_was_not_whole(tmp_path):
    (tmp_path / "a").write_text("old", encoding="utf-8")
    with pytest.raises(TypeError):
        replace_files(tmp_path, {"a": "new", "b": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    (tmp_path / ".replacing").mkdir()
    (tmp_path / ".replacing" / "a").write_text("new", encoding="utf-8")
    finish_replacing(tmp_path, "b")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "old"
    replace_files(tmp_path, {"a": "newest"})
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"a": "newest"}
