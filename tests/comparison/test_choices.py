"""What a comparison does with its choices, without a training: quick."""

import json
from dataclasses import replace

import pytest
import torch
from helpers import make_plan, make_runs

from mrvae_zoo.comparison import compare
from mrvae_zoo.comparison.runs import DIVERGED, Run
from mrvae_zoo.comparison.tuning import Choice
from mrvae_zoo.training.objectives import beta_vae
from mrvae_zoo.training.side_by_side import train_side_by_side


@pytest.fixture
def plan():
    return make_plan()


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


@pytest.mark.parametrize(
    ("longer", "improvement", "said"),
    [
        (9.0, 0.1, "NOT CONVERGED: twice the epochs improve the dedicated β-VAE of beta 0.3162 by 10.00%"),
        (11.0, -0.1, "OVERFITS: twice the epochs worsen the dedicated β-VAE of beta 0.3162 by 10.00%"),
        (10.0, 0.0, ""),
        (9.96, 0.004, ""),
        (10.04, -0.004, ""),
    ],
)
def test_what_doubling_changes_has_a_sign(plan, choice, caplog, longer, improvement, said):
    run = plan.dedicated(plan.betas[1], 0.02, plan.seeds[0], doubled=True)
    found = compare._double(plan, Losses({run.name: (longer,)}), choice, (5.0, 10.0, 20.0), plan.betas[1])
    assert found.improvement == pytest.approx(improvement)
    assert said in caplog.text
    assert bool(said) == bool(caplog.text)


def test_what_doubling_gains_the_multi_rate_vae_is_a_list_a_mean_and_a_worst(plan):
    once, twice = (plan.arm("mrvae", 0.01, 0, doubled=doubled) for doubled in (False, True))
    losses = {once.name: (10.0, 20.0, 50.0), twice.name: (9.0, 20.0, 60.0)}
    found = compare._double_mrvae(Losses(losses), once, twice)
    assert found.improvement == pytest.approx((0.1, 0.0, -0.2))
    assert (found.mean, found.worst) == pytest.approx((-0.1 / 3, -0.2))
    assert found.steps == plan.steps(twice.recipe.training) == 2 * plan.steps(once.recipe.training)


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

    monkeypatch.setattr("mrvae_zoo.comparison.workers.train_side_by_side", diverge)
    (tmp_path / "runs" / run.name).mkdir()
    assert runs.validation(run) is None
    monkeypatch.setattr("mrvae_zoo.comparison.workers.train_side_by_side", train_side_by_side)
    assert make_runs(plan, own_root, tmp_path / "runs").validation(run) is None
    path = tmp_path / "runs" / run.name / DIVERGED
    path.write_text(json.dumps({"error": "as of old"}), encoding="utf-8")
    assert make_runs(plan, own_root, tmp_path / "runs").validation(run) is not None


@pytest.mark.parametrize("together", [True, False])
def test_a_training_that_really_diverges_is_noted_alone_and_side_by_side(
    plan, own_root, tmp_path, monkeypatch, together
):
    def broken(output, beta, batch):
        return torch.where(beta > 1, torch.nan, beta_vae.loss(output, beta, batch))

    monkeypatch.setattr("mrvae_zoo.training.losses.objectives", {"beta_vae": replace(beta_vae, loss=broken)})
    runs, (low, middle, high) = (
        make_runs(plan, own_root, tmp_path / "runs"),
        (plan.dedicated(b, 0.01, 0) for b in plan.betas),
    )
    runs.train([low, middle, high] if together else [high])
    assert runs.validated[high.name] is None
    error = json.loads((tmp_path / "runs" / high.name / DIVERGED).read_text(encoding="utf-8"))["error"]
    assert "the loss is not finite at step 1, β=10" in error
    assert len(runs.validated) == (3 if together else 1)
    assert [*runs.validated.values()].count(None) == 1


def test_what_is_needed_later_waits_unless_there_are_several_processes(plan, own_root, tmp_path):
    """But it is put into the groups in which it will be trained, however many processes there are."""
    runs, (one, two, three) = (
        make_runs(plan, own_root, tmp_path / "runs"),
        (plan.dedicated(b, 0.01, 0) for b in plan.betas),
    )
    runs.train([one], meanwhile=[two, three, one])
    assert [*runs.validated] == [one.name]
    assert [[run.name for run in group] for group in runs._queue] == [[two.name, three.name]]
    runs.train([three])
    assert {*runs.validated} == {one.name, two.name, three.name}
    assert runs._queue == []
