"""Comparisons that were killed, that diverge, or that find earlier work: what is trained and measured again."""

import json
from dataclasses import replace

import pytest
import torch
from helpers import make_plan, make_runs

from mrvae_zoo.comparison.compare import compare
from mrvae_zoo.comparison.record import read_record
from mrvae_zoo.comparison.runs import DIVERGED
from mrvae_zoo.evaluation.rate_distortion import example_losses
from mrvae_zoo.training.recipe import read_recipe
from mrvae_zoo.training.side_by_side import train_side_by_side

pytestmark = pytest.mark.slow

DRAWS = 2


def run(plan, root, folder):
    return compare(plan, make_runs(plan, root, folder), name="tiny", draws=DRAWS)


@pytest.fixture
def small(grid_alone):
    return make_plan(beta_count=2, learning_rates=(0.01, 0.02))


def without_seconds(record):
    """What two comparisons have in common, bit for bit."""

    def kept(value):
        if isinstance(value, dict):
            return {key: kept(item) for key, item in value.items() if "seconds" not in key}
        return [kept(item) for item in value] if isinstance(value, list) else value

    return kept(record.to_plain())


def refuse(*arguments, **options):
    raise AssertionError("nothing should be trained")


def raising(error, step):
    """A report that ends a training at a step."""

    def report(progress):
        if progress.step == step:
            raise error

    return report


def diverging_where(condition):
    """Training, in which the runs of some recipes diverge."""

    def diverging(jobs, options):
        results = train_side_by_side(jobs, options)
        for number, job in enumerate(jobs):
            if condition(job.recipe.training):
                (job.run / "config.json").unlink()
                results[number] = FloatingPointError("the loss is not finite at step 3")
        return results

    return diverging


def content(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_the_test_split_is_not_read_before_everything_is_trained(small, own_root, tmp_path, monkeypatch):
    """And what is trained is not trained again."""
    root = tmp_path / "data"
    (root / "mine").mkdir(parents=True)
    (root / "mine" / "train.npz").symlink_to(own_root / "mine" / "train.npz")
    with pytest.raises(FileNotFoundError, match=r"test\.npz is missing"):
        run(small, root, tmp_path / "runs")
    assert len(list((tmp_path / "runs").glob("*/config.json"))) == small.total == 6
    before = content(tmp_path / "runs")
    (root / "mine" / "test.npz").symlink_to(own_root / "mine" / "test.npz")
    monkeypatch.setattr("mrvae_zoo.comparison.workers.train_side_by_side", refuse)
    record = run(small, root, tmp_path / "runs")
    after = content(tmp_path / "runs")
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2 + 2  # test losses: two dedicated runs, and one at two β
    assert record.doubling is record.converged is record.mrvae_doubling is record.validations is None
    assert record.mrvae.gap_spread is record.mrvae.gap_interval is None
    assert not {"doubling", "converged", "overfits", "mrvae_doubling", "validations"} & record.to_plain().keys()


@pytest.mark.parametrize("at", [0, 2, 5])
def test_a_comparison_that_was_killed_goes_on(small, own_root, tmp_path, monkeypatch, at):
    """Killed in a training: what is finished stays, the rest gives the same record."""
    monkeypatch.setattr("mrvae_zoo.comparison.runs.stacks", lambda jobs, device: [[job] for job in jobs])
    whole = run(small, own_root, tmp_path / "whole")
    trained = []

    def killed(jobs, options):
        trained.extend(job.run.name for job in jobs)
        if len(trained) == at + 1:
            options = replace(options, report=raising(KeyboardInterrupt, 7))
        return train_side_by_side(jobs, options)

    monkeypatch.setattr("mrvae_zoo.comparison.workers.train_side_by_side", killed)
    with pytest.raises(KeyboardInterrupt):
        run(small, own_root, tmp_path / "killed")
    before = content(tmp_path / "killed")
    finished = {path for path in before if path.parent.name in trained[:at]}
    resumed = run(small, own_root, tmp_path / "killed")
    after = content(tmp_path / "killed")
    assert {path: before[path] for path in finished} == {path: after[path] for path in finished}
    assert trained[at:] == [trained[at], *trained[at : small.total + 1][1:]]
    assert len(trained) == small.total + 1
    assert without_seconds(resumed) == without_seconds(whole)


def test_runs_side_by_side_give_what_runs_alone_do(small, own_root, tmp_path, monkeypatch, caplog):
    """And those that were killed together go on together."""
    caplog.set_level("INFO", logger="mrvae_zoo")
    groups = []

    def killed(jobs, options):
        groups.append([job.run.name for job in jobs])
        if len(groups) == 2:
            options = replace(options, report=raising(KeyboardInterrupt, 7))
        return train_side_by_side(jobs, options)

    plan = replace(small, seed_count=2, learning_rates=(0.01, 0.02, 0.03))
    monkeypatch.setattr("mrvae_zoo.comparison.workers.train_side_by_side", killed)
    monkeypatch.setattr("mrvae_zoo.training.loop.STATE_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        run(plan, own_root, tmp_path / "together")
    together = run(plan, own_root, tmp_path / "together")
    assert [len(group) for group in groups] == [6, 3, 3, 2, 1]
    assert groups[1] == groups[2]
    assert "runs 1 to 6 of 12, side by side: dedicated-b0.01-lr0.01-s0-e2, " in caplog.text
    monkeypatch.setattr("mrvae_zoo.comparison.runs.stacks", lambda jobs, device: [[job] for job in jobs])
    alone = run(plan, own_root, tmp_path / "alone")
    assert together.mrvae.learning_rate == alone.mrvae.learning_rate
    for ours, theirs in ((together.mrvae, alone.mrvae), (together.dedicated, alone.dedicated)):
        assert pytest.approx(theirs.L, rel=1e-4) == ours.L
        assert ours.rate == pytest.approx(theirs.rate, rel=1e-3)
    name = groups[0][1]
    assert "6 side by side" in read_recipe(tmp_path / "together" / name / "recipe.toml").trained.settings


def test_measuring_goes_on_too(small, own_root, tmp_path, monkeypatch):
    measured = []

    def killed(model, data, beta, **options):
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(beta)
        return example_losses(model, data, beta, **options)

    monkeypatch.setattr("mrvae_zoo.comparison.runs.example_losses", killed)
    with pytest.raises(KeyboardInterrupt):
        run(small, own_root, tmp_path / "runs")
    monkeypatch.setattr(
        "mrvae_zoo.comparison.runs.example_losses", lambda *a, **k: measured.append(0) or example_losses(*a, **k)
    )
    record = run(small, own_root, tmp_path / "runs")
    assert measured == [0.01, 10.0, 0.01, 0]
    assert without_seconds(run(small, own_root, tmp_path / "runs")) == without_seconds(record)
    assert len(measured) == 4


def test_losses_of_other_weights_or_damaged_ones_are_measured_again(small, own_root, tmp_path):
    runs, plain = make_runs(small, own_root, tmp_path / "runs"), small.dedicated(10.0, 0.01, 0)
    runs.validation(plain)
    losses = runs.test_losses(plain, 10.0, draws=DRAWS)
    folder = tmp_path / "runs" / plain.name
    (path,) = folder.glob("test-*.safetensors")
    path.write_bytes(path.read_bytes()[:50])
    again = runs.test_losses(plain, 10.0, draws=DRAWS)
    assert torch.equal(again.rate, losses.rate)
    assert torch.equal(again.distortion, losses.distortion)
    other = small.dedicated(10.0, 0.02, 0)
    runs.validation(other)
    (tmp_path / "runs" / other.name / path.name).write_bytes(path.read_bytes())
    assert not torch.equal(runs.test_losses(other, 10.0, draws=DRAWS).rate, losses.rate)


def test_runs_without_weights_are_trained_again_if_they_are_to_be_measured(small, own_root, tmp_path, monkeypatch):
    """A candidate that was not chosen is not needed again, nor is one that was measured."""
    folder = tmp_path / "runs"
    first = run(small, own_root, folder)
    for path in folder.glob("*/model.safetensors"):
        path.unlink()
    chosen = small.dedicated(small.betas[0], first.dedicated.learning_rate[0], 0).name
    for path in (folder / chosen).glob("test-*.safetensors"):
        path.unlink()
    trained = []
    monkeypatch.setattr(
        "mrvae_zoo.comparison.workers.train_side_by_side",
        lambda jobs, options: trained.extend(job.run.name for job in jobs) or train_side_by_side(jobs, options),
    )
    second = run(small, own_root, folder)
    assert trained == [chosen]
    for ours, before in zip(second.dedicated.L, first.dedicated.L, strict=True):
        assert ours == pytest.approx(before, rel=1e-5)  # first side by side, then alone
    assert second.mrvae.L == first.mrvae.L


def test_a_rate_that_diverges_is_the_worst_and_is_not_tried_again(small, own_root, tmp_path, monkeypatch, caplog):
    diverging = diverging_where(lambda each: each.learning_rate == 0.02)
    monkeypatch.setattr("mrvae_zoo.comparison.workers.train_side_by_side", diverging)
    with caplog.at_level("INFO", logger="mrvae_zoo"):
        record = run(small, own_root, tmp_path / "runs")
    assert len(list((tmp_path / "runs").glob(f"*-lr0.02-*/{DIVERGED}"))) == 3
    assert "diverged: the loss is not finite at step 3" in caplog.text
    assert record.dedicated.learning_rate == (0.01, 0.01)
    trials = record.dedicated.learning_rates_tried
    assert [(t.learning_rate, t.diverged, t.validation is None) for t in trials] == [
        (0.01, False, False),
        (0.02, True, True),
    ] * 2
    assert read_back(record, tmp_path) == record
    assert "validation" not in record.to_plain()["mrvae"]["learning_rates_tried"][1]
    monkeypatch.setattr("mrvae_zoo.comparison.workers.train_side_by_side", refuse)
    assert without_seconds(run(small, own_root, tmp_path / "runs")) == without_seconds(record)


def read_back(record, folder):
    (folder / "record.json").write_text(record.to_json(), encoding="utf-8")
    return read_record(folder / "record.json")


def test_nothing_but_divergence_is_an_error(small, own_root, tmp_path, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.comparison.workers.train_side_by_side", diverging_where(lambda each: True))
    with pytest.raises(FloatingPointError, match=r"β-VAE of beta 0.01 diverged at every learning rate \(0.01, 0.02\)"):
        run(small, own_root, tmp_path / "runs")


def test_a_chosen_rate_that_diverges_for_another_seed_is_an_error(small, own_root, tmp_path, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.comparison.workers.train_side_by_side", diverging_where(lambda each: each.seed == 1))
    with pytest.raises(
        FloatingPointError, match=r"dedicated-b0.01-lr0.0[12]-s1-e2 diverged, at the learning rate that"
    ):
        run(replace(small, seed_count=2), own_root, tmp_path / "runs")


def test_a_folder_of_another_recipe_is_refused(small, own_root, tmp_path):
    run(small, own_root, tmp_path / "runs")
    objective = replace(small.recipe.objective, beta_weighting=0.5)
    other = replace(small, recipe=replace(small.recipe, objective=objective))
    before = content(tmp_path / "runs")
    with pytest.raises(ValueError, match=r"mrvae-lr0.01-s0-n\d+ cannot be resumed .*objective.beta_weighting = "):
        run(other, own_root, tmp_path / "runs")
    assert content(tmp_path / "runs") == before


def test_a_folder_of_a_run_that_diverged_is_refused_for_another_recipe(small, own_root, tmp_path, monkeypatch):
    trained = small.dedicated(0.01, 0.01, 0)
    runs = make_runs(small, own_root, tmp_path / "runs")
    runs.validation(trained)
    of_today = json.dumps({"of": runs._made_of})
    (tmp_path / "runs" / trained.name / DIVERGED).write_text(of_today, encoding="utf-8")
    again = make_runs(small, own_root, tmp_path / "runs")
    with pytest.raises(ValueError, match="cannot be resumed with another recipe"):
        again.validation(replace(trained, recipe=small.dedicated(0.01, 0.02, 0).recipe))
    assert again.validation(trained) is None


def test_a_curve_of_other_betas_is_measured_again(own_root, tmp_path, monkeypatch):
    """A run of a comparison at two β serves one at four."""
    two, four = make_plan(beta_count=2), make_plan(beta_count=4)
    trained = two.arm("mrvae", 0.01, 0)
    first = make_runs(two, own_root, tmp_path / "runs").validation(trained)
    monkeypatch.setattr("mrvae_zoo.comparison.workers.train_side_by_side", refuse)
    again = make_runs(four, own_root, tmp_path / "runs").validation(four.arm("mrvae", 0.01, 0))
    assert len(again) == 4
    assert (again[0], again[-1]) == pytest.approx(first)


def test_a_best_rate_at_an_end_of_the_grid_is_said(small, own_root, tmp_path, caplog):
    run(small, own_root, tmp_path / "runs")
    assert "lies at an end of the grid (0.01, 0.02)" in caplog.text
    assert caplog.text.count("--learning-rate gives others") == 3
