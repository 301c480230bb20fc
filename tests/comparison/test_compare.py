"""Whole comparisons of tiny networks, in this process."""

import json
import statistics
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import make_plan, make_runs

from mrvae_zoo import RDCurve, load_pretrained, rate_distortion
from mrvae_zoo.comparison.compare import compare
from mrvae_zoo.comparison.record import read_record
from mrvae_zoo.comparison.runs import DIVERGED
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.evaluation.rate_distortion import example_losses
from mrvae_zoo.training.recipe import read_recipe
from mrvae_zoo.training.side_by_side import train_side_by_side

pytestmark = pytest.mark.slow

DRAWS = 2


def run(plan, root, folder):
    return compare(plan, make_runs(plan, root, folder), name="tiny", draws=DRAWS)


@pytest.fixture(scope="module")
def plan():
    return make_plan(arms=("paper",), seed_count=2, regime="converged")


@pytest.fixture(scope="module")
def compared(plan, own_root, tmp_path_factory):
    """A comparison with everything, and the folder of its runs."""
    folder = tmp_path_factory.mktemp("compared") / "runs"
    return run(plan, own_root, folder), folder


@pytest.fixture
def small():
    return make_plan(beta_count=2, learning_rates=(0.01, 0.02))


def valid_loss(folder, run, beta):
    """From the curve that the training left."""
    curve = RDCurve.read(folder / run.name / "rd_curve.json")
    assert curve.data["split"] == "valid"
    assert curve.samples == 1
    return curve.at(beta).loss


def without_seconds(record):
    """What two comparisons have in common, bit for bit."""
    plain = record.to_plain()
    cost = plain.pop("cost")
    return plain, {side: value["flops"] for side, value in cost.items() if side != "arms"}


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


def test_it_trains_what_the_plan_says(plan, compared):
    record, folder = compared
    assert len(list(folder.iterdir())) == plan.total
    assert record.betas == plan.betas
    assert (record.seeds, record.draws, record.regime, record.budget) == ((0, 1), DRAWS, "converged", 1.0)
    assert set(record.arms) == {"paper"}
    assert record.data == {"name": "mine", "split": "test", "examples": 100, "train_examples": 320}
    assert record.hardware.endswith(("CPU thread", "CPU threads"))
    assert record.recipe["training"]["learning_rate"] == 0.01
    assert record.recipe["model"]["widths"] == [12]


def test_the_chosen_rates_are_the_best_on_the_validation_split(plan, compared):
    record, folder = compared
    ends = []
    for beta in plan.ends:
        losses = {rate: valid_loss(folder, plan.dedicated(beta, rate, 0), beta) for rate in plan.grid}
        ends.append(min(losses, key=losses.get))
        tried = {t.learning_rate: t.validation for t in record.dedicated.learning_rates_tried if t.beta == beta}
        assert tried == losses
    assert (record.dedicated.learning_rate[0], record.dedicated.learning_rate[-1]) == tuple(ends)
    between = 10 ** ((np.log10(ends[0]) + np.log10(ends[1])) / 2)  # 0.3162 is in the middle
    assert record.dedicated.learning_rate[1] == pytest.approx(between, rel=0.005)
    rates = record.dedicated.learning_rate
    base = [valid_loss(folder, plan.dedicated(b, rate, 0), b) for b, rate in zip(plan.betas, rates, strict=True)]
    for label, side in record.all_arms.items():
        means = {}
        for rate in plan.grid:
            trained = plan.arm(label, rate, 0)
            ratios = [valid_loss(folder, trained, b) / own for b, own in zip(plan.betas, base, strict=True)]
            means[rate] = sum(ratios) / len(ratios)
        assert side.learning_rate == min(means, key=means.get)
        assert {t.learning_rate: t.validation for t in side.learning_rates_tried} == pytest.approx(means)
        assert side.best_at_grid_end == (side.learning_rate != plan.grid[1])
    assert record.dedicated.best_at_grid_end == any(rate != plan.grid[1] for rate in ends)


def test_the_figures_are_those_of_the_chosen_models_on_the_test_split(plan, compared, own_root):
    """Means over both seeds, against curves of the models."""
    record, folder = compared
    data = load_data(plan.recipe.data, "test", own_root, (1, 8, 8))

    def measure(run, betas):
        return rate_distortion(load_pretrained(f"local-dir:{folder / run.name}"), data, betas, samples=DRAWS).points

    rates = record.dedicated.learning_rate
    points = {"dedicated": [], **{label: [] for label in record.all_arms}}
    for seed in (0, 1):
        pairs = zip(plan.betas, rates, strict=True)
        points["dedicated"].append([measure(plan.dedicated(b, rate, seed), [b])[0] for b, rate in pairs])
        for label, side in record.all_arms.items():
            points[label].append(measure(plan.arm(label, side.learning_rate, seed), plan.betas))
    for label, side in (("dedicated", record.dedicated), *record.all_arms.items()):
        for i in range(len(plan.betas)):
            assert side.L[i] == pytest.approx(statistics.fmean(p[i].loss for p in points[label]), rel=1e-9)
            assert side.rate[i] == pytest.approx(statistics.fmean(p[i].rate for p in points[label]), rel=1e-9)
            assert side.distortion[i] == pytest.approx(statistics.fmean(p[i].distortion for p in points[label]))
    for label, side in record.all_arms.items():
        for i in range(len(plan.betas)):
            assert side.gap[i] == pytest.approx(side.L[i] / record.dedicated.L[i] - 1, rel=1e-9)
            low, high = side.gap_interval[i]
            assert low < side.gap[i] < high
            each = [
                ours[i].loss / own[i].loss - 1 for ours, own in zip(points[label], points["dedicated"], strict=True)
            ]
            assert side.gap_spread[i] == pytest.approx(np.std(each, ddof=1))
            of_seed = [p.mrvae.gap[i] if label == "mrvae" else p.arms[label].gap[i] for p in record.per_seed]
            assert of_seed == pytest.approx(each)
    assert [p.dedicated.L for p in record.per_seed] == [
        pytest.approx([point.loss for point in row]) for row in points["dedicated"]
    ]


def test_the_interval_takes_the_mean_over_seeds_of_an_image_first(plan, compared, own_root):
    record, folder = compared
    data = load_data(plan.recipe.data, "test", own_root, (1, 8, 8))

    def images(runs):
        models = [load_pretrained(f"local-dir:{folder / run.name}") for run in runs]
        return torch.stack([example_losses(m, data, 10.0, samples=DRAWS).at(10.0) for m in models]).mean(0).numpy()

    ours = images([plan.arm("mrvae", record.mrvae.learning_rate, seed) for seed in (0, 1)])
    own = images([plan.dedicated(10.0, record.dedicated.learning_rate[-1], seed) for seed in (0, 1)])
    drawn = np.random.default_rng(0).integers(0, 100, (4000, 100))
    gaps = ours[drawn].mean(1) / own[drawn].mean(1) - 1
    low, high = record.mrvae.gap_interval[-1]
    assert high - low == pytest.approx(np.subtract(*np.quantile(gaps, (0.975, 0.025))), rel=0.1)


def test_costs_are_those_of_the_chosen_runs(plan, compared):
    record, folder = compared
    cost = record.cost

    def seconds(runs):
        return statistics.fmean(read_recipe(folder / run.name / "recipe.toml").trained.seconds for run in runs)

    for i, (beta, rate) in enumerate(zip(plan.betas, record.dedicated.learning_rate, strict=True)):
        runs = [plan.dedicated(beta, rate, seed) for seed in (0, 1)]
        assert cost.dedicated.flops_per_beta[i] == plan.flops(runs[0])
        assert cost.dedicated.seconds_per_beta[i] == pytest.approx(seconds(runs))
    assert cost.dedicated.flops == sum(cost.dedicated.flops_per_beta)
    assert cost.dedicated.seconds == pytest.approx(sum(cost.dedicated.seconds_per_beta))
    spent = {"mrvae": cost.mrvae, **cost.arms}
    for label, side in record.all_arms.items():
        runs = [plan.arm(label, side.learning_rate, seed) for seed in (0, 1)]
        assert spent[label].flops == plan.flops(runs[0]) <= cost.dedicated.flops_per_beta[0]
        assert spent[label].seconds == pytest.approx(seconds(runs))


def test_training_curves_are_means_of_epochs(plan, compared):
    record, folder = compared
    assert [(c.beta, c.seed) for c in record.training_curves] == [(b, seed) for seed in (0, 1) for b in plan.betas]
    for curve in record.training_curves:
        rate = record.dedicated.learning_rate[plan.betas.index(curve.beta)]
        path = folder / plan.dedicated(curve.beta, rate, curve.seed).name / "metrics.jsonl"
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert len(lines) == 20  # log_every is 1
        assert curve.epoch == (0, 1)
        for epoch in curve.epoch:
            losses = [line["loss"] for line in lines if line["epoch"] == epoch]
            assert curve.L[epoch] == pytest.approx(sum(losses) / 10, rel=1e-5)  # β^0 weights it


def test_a_line_of_the_metrics_counts_for_its_steps_in_every_epoch_that_it_spans(plan, own_root, tmp_path):
    runs, run = make_runs(plan, own_root, tmp_path / "runs"), plan.dedicated(10.0, 0.01, 0)
    (tmp_path / "runs" / run.name).mkdir()
    line = {"steps": 8, "epoch": 0, "loss": 0.0, "learning_rate": 0.1, "num_processes": 1, "seconds": 1.0}
    lines = [line | {"step": step, "rate": 1.0, "distortion": d} for step, d in ((3, 10.0), (6, 40.0), (8, 50.0))]
    path = tmp_path / "runs" / run.name / "metrics.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    assert runs.training_losses(run, steps_an_epoch=4) == [(3 * 20 + 50) / 4, (2 * 50 + 2 * 60) / 4]


def test_what_twice_the_epochs_gain(plan, compared):
    record, folder = compared
    assert [d.beta for d in record.doubling] == list(plan.doubled_betas)
    for each in record.doubling:
        rate = record.dedicated.learning_rate[plan.betas.index(each.beta)]
        once, twice = (plan.dedicated(each.beta, rate, 0, doubled=doubled) for doubled in (False, True))
        loss = valid_loss(folder, once, each.beta)
        assert each.improvement == pytest.approx((loss - valid_loss(folder, twice, each.beta)) / loss)
        assert each.epochs == 4
    assert record.converged is False
    assert max(each.improvement for each in record.doubling) > 0.005


def test_the_record_is_read_as_it_was_written(compared, tmp_path):
    record, _ = compared
    (tmp_path / "r.json").write_text(record.to_json(), encoding="utf-8")
    assert read_record(tmp_path / "r.json") == record


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
    monkeypatch.setattr("mrvae_zoo.comparison.runs.train_side_by_side", refuse)
    record = run(small, root, tmp_path / "runs")
    after = content(tmp_path / "runs")
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2 + 2  # test losses: two dedicated runs, and one at two β
    assert record.doubling is record.converged is record.mrvae.gap_spread is None
    assert not {"doubling", "converged"} & record.to_plain().keys()


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

    monkeypatch.setattr("mrvae_zoo.comparison.runs.train_side_by_side", killed)
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
    monkeypatch.setattr("mrvae_zoo.comparison.runs.train_side_by_side", killed)
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
    assert run(small, own_root, tmp_path / "runs") == record
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


def test_a_rate_that_diverges_is_the_worst_and_is_not_tried_again(small, own_root, tmp_path, monkeypatch, caplog):
    diverging = diverging_where(lambda each: each.learning_rate == 0.02)
    monkeypatch.setattr("mrvae_zoo.comparison.runs.train_side_by_side", diverging)
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
    monkeypatch.setattr("mrvae_zoo.comparison.runs.train_side_by_side", refuse)
    assert run(small, own_root, tmp_path / "runs") == record


def read_back(record, folder):
    (folder / "record.json").write_text(record.to_json(), encoding="utf-8")
    return read_record(folder / "record.json")


def test_nothing_but_divergence_is_an_error(small, own_root, tmp_path, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.comparison.runs.train_side_by_side", diverging_where(lambda each: True))
    with pytest.raises(FloatingPointError, match=r"β-VAE of beta 0.01 diverged at every learning rate \(0.01, 0.02\)"):
        run(small, own_root, tmp_path / "runs")


def test_a_chosen_rate_that_diverges_for_another_seed_is_an_error(small, own_root, tmp_path, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.comparison.runs.train_side_by_side", diverging_where(lambda each: each.seed == 1))
    with pytest.raises(
        FloatingPointError, match=r"dedicated-b0.01-lr0.0[12]-s1-e2 diverged, at the learning rate that"
    ):
        run(replace(small, seed_count=2), own_root, tmp_path / "runs")


def test_a_folder_of_another_recipe_is_refused(small, own_root, tmp_path):
    run(small, own_root, tmp_path / "runs")
    objective = replace(small.recipe.objective, beta_weighting=0.5)
    other = replace(small, recipe=replace(small.recipe, objective=objective))
    before = content(tmp_path / "runs")
    with pytest.raises(ValueError, match=r"mrvae-lr0.01-s0-n\d+ cannot be resumed .*objective.beta_weighting = 0.25"):
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
    monkeypatch.setattr("mrvae_zoo.comparison.runs.train_side_by_side", refuse)
    again = make_runs(four, own_root, tmp_path / "runs").validation(four.arm("mrvae", 0.01, 0))
    assert len(again) == 4
    assert (again[0], again[-1]) == pytest.approx(first)


def test_a_best_rate_at_an_end_of_the_grid_is_said(small, own_root, tmp_path, caplog):
    run(small, own_root, tmp_path / "runs")
    assert "lies at an end of the grid (0.01, 0.02)" in caplog.text
    assert caplog.text.count("--learning-rate gives others") == 3
