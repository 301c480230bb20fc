import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import RECIPE

from mrvae_zoo.checkpoints.folder import read_config
from mrvae_zoo.training.recipe import read_recipe, recipe_from_table
from mrvae_zoo.training.run_folder import locked
from mrvae_zoo.training.train import train


@pytest.fixture
def recipe():
    recipe = recipe_from_table(RECIPE, where="test")
    return replace(recipe, training=replace(recipe.training, checkpoint_every=4))


@pytest.fixture
def root(own_root, tmp_path):
    """A data root that may be changed."""
    return Path(shutil.copytree(own_root, tmp_path / "data"))


class KilledError(Exception):
    pass


def kill(progress):
    if progress.step == 9:
        raise KilledError


def begin(recipe, root, run, **options):
    with pytest.raises(KilledError):
        train(recipe, root, run, draws=1, report=kill, **options)


def test_two_trainings_do_not_share_a_run(recipe, root, tmp_path, mrvae):
    run = tmp_path / "run"
    begin(recipe, root, run)
    before = sorted(path.name for path in run.rglob("*"))
    with locked(run):
        for options in ({"resume": True}, {"force": True}):
            with pytest.raises(BlockingIOError, match="run is in use: another process trains there"):
                train(recipe, root, run, **options)
        command = ("train", f"local-dir:{run}", "--data-root", root, "-o", run, "--resume")
        done = mrvae(*command)
        assert done.returncode == 1
        assert done.stderr.startswith(f"mrvae: {run} is in use: another process trains there")
    assert sorted(path.name for path in run.rglob("*")) == before
    assert mrvae(*command).returncode == 0
    assert not (run / ".lock").exists()


def test_and_a_training_keeps_others_out_while_it_lasts(recipe, root, tmp_path):
    refused = []

    def look(progress):
        if progress.step == 3:
            with pytest.raises(BlockingIOError) as caught:
                train(recipe, root, tmp_path / "run", force=True)
            refused.append(caught)

    train(recipe, root, tmp_path / "run", draws=1, report=look)
    assert len(refused) == 1


@pytest.mark.parametrize("change", ["pixels", "number"])
def test_a_run_does_not_go_on_with_other_images(recipe, root, tmp_path, change):
    run = tmp_path / "run"
    begin(recipe, root, run)
    path = root / "mine" / "train.npz"
    images = np.load(path)["images"].copy()
    if change == "pixels":
        images[7, 3] ^= 1
    else:
        images = images[:-1]
    whole = path.read_bytes()
    np.savez(path, images=images)
    with pytest.raises(ValueError, match="cannot be resumed: its training images are not those that it began with"):
        train(recipe, root, run, resume=True)
    path.write_bytes(whole)
    train(recipe, root, run, draws=1, resume=True)


def test_there_is_nothing_to_resume_without_a_folder(recipe, root, tmp_path):
    with pytest.raises(FileNotFoundError, match="so there is nothing to resume"):
        train(recipe, root, tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


def test_what_a_training_began_with_is_recorded(recipe, root, tmp_path):
    first, run = tmp_path / "first", tmp_path / "run"
    train(recipe, root, first, draws=1)
    record = read_recipe(first / "recipe.toml").trained
    assert (record.init, record.init_sha256, len(record.data)) == (None, None, 16)
    begin(recipe, root, run, init=first, init_name="local-dir:first")
    train(replace(recipe, training=replace(recipe.training, seed=5)), root, tmp_path / "elsewhere", draws=1)
    with pytest.raises(ValueError, match="with --init elsewhere: it began with the weights of local-dir:first"):
        train(recipe, root, run, init=tmp_path / "elsewhere", init_name="elsewhere", resume=True)
    train(recipe, root, run, draws=1, resume=True)  # without it, which it remembers
    text = (run / "recipe.toml").read_text(encoding="utf-8")
    assert text.startswith("# mrvae train recipe.toml --data-root DIR --init local-dir:first -o RUN\n")
    record = read_recipe(run / "recipe.toml").trained
    assert (record.init, record.init_sha256) == ("local-dir:first", read_config(first).weights.sha256)


def test_another_version_goes_on_and_says_so(recipe, root, tmp_path, caplog):
    run = tmp_path / "run"
    begin(recipe, root, run)
    path = run / "states" / "origin.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"version": "0.0.9"}), encoding="utf-8")
    train(recipe, root, run, draws=1, resume=True)
    assert f"{run} was begun with mrvae_zoo 0.0.9 and continues with" in caplog.text
    begin(recipe, root, run, force=True)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"origin.json is not JSON"):
        train(recipe, root, run, resume=True)
