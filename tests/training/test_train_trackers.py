"""TensorBoard and Weights & Biases, through Accelerate."""

import sys
from dataclasses import replace

import pytest
from helpers import BARS_RECIPE

import mrvae_zoo
from mrvae_zoo.training.recipe import recipe_from_table
from mrvae_zoo.training.train import train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe():
    one = recipe_from_table(BARS_RECIPE, where="test")
    return replace(one, training=replace(one.training, max_steps=20, log_every=5))


def test_tensorboard_gets_what_the_metrics_hold(recipe, bars, tmp_path):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    reports = []
    train(recipe, bars, tmp_path / "run", trackers=["tensorboard"], report=reports.append)
    events = loader.EventAccumulator(str(tmp_path / "run" / "mrvae_zoo"))
    events.Reload()
    for name in ("loss", "rate", "distortion", "learning_rate"):
        logged = [(event.step, event.value) for event in events.Scalars(name)]
        assert logged == [(one.step, pytest.approx(getattr(one, name), rel=1e-6)) for one in reports]
    assert [one.step for one in reports] == [5, 10, 15, 20]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of its own dependencies
def test_weights_and_biases_offline(recipe, bars, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    train(recipe, bars, tmp_path / "run", trackers=["wandb"])
    assert list((tmp_path / "run").rglob("*.wandb"))


def test_a_tracker_that_is_not_there_is_said_before_a_run_is_made(recipe, bars, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(mrvae_zoo.MissingExtraError, match=r"tensorboard is not installed; .*mrvae-zoo\[tensorboard\]"):
        train(recipe, bars, tmp_path / "run", trackers=["tensorboard"])
    with pytest.raises(ValueError, match="unknown tracker 'tensorbord'; there are tensorboard and wandb"):
        train(recipe, bars, tmp_path / "run", trackers=["tensorbord"])
    assert not (tmp_path / "run").exists()
