"""What a comparison does with its choices, without a training: quick."""

import json
from dataclasses import replace

import pytest
from helpers import make_plan, make_runs

from mrvae_zoo.comparison import compare
from mrvae_zoo.comparison.runs import DIVERGED, Run
from mrvae_zoo.comparison.tuning import Choice
from mrvae_zoo.training.side_by_side import train_side_by_side


@pytest.fixture
def plan():
    return make_plan(regime="converged")


@pytest.fixture
def choice():
    return Choice(tried=(), rates=(0.03, 0.02, 0.01), at_grid_end=False)


class Losses:
    """The runs of a comparison, with made-up losses by the name of a run."""

    def __init__(self, losses):
        self.losses = losses

    def validation(self, run: Run):
        return self.losses[run.name]


def test_each_dedicated_run_has_the_rate_and_the_beta_that_were_chosen_for_it(plan, choice):
    runs = compare._dedicated_runs(plan, choice, 7)
    assert [run.recipe.training.learning_rate for run in runs] == [0.03, 0.02, 0.01]
    assert [run.recipe.objective.beta for run in runs] == list(plan.betas)
    assert [run.betas for run in runs] == [(beta,) for beta in plan.betas]
    assert {run.recipe.training.seed for run in runs} == {7}
    assert len({run.name for run in runs}) == 3


@pytest.mark.parametrize(("longer", "improvement"), [(9.0, 0.1), (11.0, -0.1), (10.0, 0.0)])
def test_what_doubling_gains_has_a_sign(plan, choice, caplog, longer, improvement):
    run = plan.dedicated(plan.betas[1], 0.02, plan.seeds[0], doubled=True)
    found = compare._double(plan, Losses({run.name: (longer,)}), choice, (5.0, 10.0, 20.0), plan.betas[1])
    assert found.improvement == pytest.approx(improvement)
    assert ("NOT CONVERGED" in caplog.text) == (improvement > 0)


def test_a_narrow_range_gives_runs_of_their_own(plan, choice):
    recipe = replace(plan.recipe, model=replace(plan.recipe.model, beta_range=(1.0, 1.001)))
    narrow = make_plan(recipe=recipe, beta_count=6)
    assert len({*narrow.betas}) == 6
    assert len({narrow.dedicated(beta, 0.01, 0).name for beta in narrow.betas}) == 6


def test_a_finished_training_is_used_again_only_if_it_would_come_out_the_same(plan, own_root, tmp_path, monkeypatch):
    runs, run = make_runs(plan, own_root, tmp_path / "runs"), plan.dedicated(1.0, 0.01, 0)
    first = runs.validation(run)
    assert make_runs(plan, own_root, tmp_path / "runs").validation(run) == first
    monkeypatch.setattr("mrvae_zoo.comparison.runs.__version__", "9.9")
    with pytest.raises(ValueError, match=r"was trained with mrvae_zoo .*, this is 9.9; remove it to train it again"):
        make_runs(plan, own_root, tmp_path / "runs").validation(run)
    monkeypatch.undo()
    monkeypatch.setattr("mrvae_zoo.comparison.runs.fingerprint", lambda _: "other")
    with pytest.raises(ValueError, match="was trained on other images than these; remove it to train it again"):
        make_runs(plan, own_root, tmp_path / "runs").validation(run)


def test_one_that_diverged_is_tried_again_where_something_changed(plan, own_root, tmp_path, monkeypatch):
    runs, run = make_runs(plan, own_root, tmp_path / "runs"), plan.dedicated(1.0, 0.01, 0)

    def diverge(jobs, _):
        return [FloatingPointError("the loss is not finite") for _ in jobs]

    monkeypatch.setattr("mrvae_zoo.comparison.runs.train_side_by_side", diverge)
    (tmp_path / "runs" / run.name).mkdir()
    assert runs.validation(run) is None
    monkeypatch.setattr("mrvae_zoo.comparison.runs.train_side_by_side", train_side_by_side)
    assert make_runs(plan, own_root, tmp_path / "runs").validation(run) is None
    path = tmp_path / "runs" / run.name / DIVERGED
    path.write_text(json.dumps({"error": "as of old"}), encoding="utf-8")
    assert make_runs(plan, own_root, tmp_path / "runs").validation(run) is not None
