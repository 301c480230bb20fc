"""Whole comparisons of tiny networks, in this process."""

import json
import statistics

import numpy as np
import pytest
import torch
from helpers import RECIPE, make_plan, make_runs

from mrvae_zoo import RDCurve, load_pretrained, rate_distortion
from mrvae_zoo.comparison.compare import compare
from mrvae_zoo.comparison.record import read_record
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.evaluation.rate_distortion import example_losses
from mrvae_zoo.training.recipe import read_recipe, recipe_from_table

pytestmark = pytest.mark.slow

DRAWS = 2


@pytest.fixture(scope="module")
def plan():
    return make_plan(arms=("paper",), seed_count=2, regime="converged", learning_rates=(0.04, 0.08, 0.16))


@pytest.fixture(scope="module")
def compared(plan, own_root, tmp_path_factory):
    """A comparison with everything, and the folder of its runs."""
    folder = tmp_path_factory.mktemp("compared") / "runs"
    runs = make_runs(plan, own_root, folder)
    record = compare(plan, runs, name="tiny", draws=DRAWS)
    assert len(list(folder.iterdir())) == runs.total >= plan.total
    return record, folder


def dedicated_runs(plan, record, seed):
    pairs = zip(plan.betas, record.dedicated.learning_rate, strict=True)
    return [plan.dedicated(beta, rate, seed) for beta, rate in pairs]


def arm_run(plan, record, label, seed):
    side = record.all_arms[label]
    return plan.arm(label, side.learning_rate, seed, draws=side.draws)


def valid_loss(folder, run, beta):
    """From the curve that the training left."""
    curve = RDCurve.read(folder / run.name / "rd_curve.json")
    assert curve.data["split"] == "valid"
    assert curve.samples == 1
    return curve.at(beta).loss


def test_it_trains_what_the_plan_says(plan, compared):
    record, _ = compared
    assert record.betas == plan.betas
    assert (record.seeds, record.draws, record.regime, record.budget) == ((0, 1), DRAWS, "converged", 1.0)
    assert record.validations == plan.validations == 2
    assert set(record.arms) == {"paper"}
    assert record.data == {"name": "mine", "split": "test", "examples": 100, "train_examples": 320}
    assert record.hardware.endswith(("CPU thread", "CPU threads"))
    assert record.recipe["training"]["learning_rate"] == 0.01
    assert record.recipe["model"]["widths"] == [12]


def test_the_chosen_rates_are_the_best_on_the_validation_split(plan, compared):
    record, folder = compared
    assert record.dedicated.tuned_at == plan.betas
    base = []
    for beta, chosen in zip(plan.betas, record.dedicated.learning_rate, strict=True):
        tried = {t.learning_rate: t.validation for t in record.dedicated.learning_rates_tried if t.beta == beta}
        assert {*plan.grid} <= tried.keys()
        assert tried == {rate: valid_loss(folder, plan.dedicated(beta, rate, 0), beta) for rate in tried}
        assert chosen == min(tried, key=tried.get)
        base.append(tried[chosen])
    for label, side in record.all_arms.items():
        means = {}
        for trial in side.learning_rates_tried:
            trained = plan.arm(label, trial.learning_rate, 0, draws=trial.draws)
            losses = [valid_loss(folder, trained, beta) for beta in plan.betas]
            assert list(trial.losses) == losses
            ratio = statistics.fmean(ours / own for ours, own in zip(losses, base, strict=True))
            assert trial.validation == pytest.approx(ratio)
            means[trial.draws, trial.learning_rate] = ratio
        assert len({draws for draws, _ in means}) == (1 if label == "mrvae" else 3)
        assert (side.draws, side.learning_rate) == min(means, key=means.get)
        rates = [rate for draws, rate in means if draws == side.draws]
        assert side.best_at_grid_end == (side.learning_rate in (min(rates), max(rates)))


def test_the_figures_are_those_of_the_chosen_models_on_the_test_split(plan, compared, own_root):
    """Means over both seeds, against curves of the models."""
    record, folder = compared
    data = load_data(plan.recipe.data, "test", own_root, (1, 8, 8))

    def measure(run, betas):
        return rate_distortion(load_pretrained(f"local-dir:{folder / run.name}"), data, betas, samples=DRAWS).points

    points = {"dedicated": [], **{label: [] for label in record.all_arms}}
    for seed in (0, 1):
        own = zip(dedicated_runs(plan, record, seed), plan.betas, strict=True)
        points["dedicated"].append([measure(run, [beta])[0] for run, beta in own])
        for label in record.all_arms:
            points[label].append(measure(arm_run(plan, record, label, seed), plan.betas))
    for label, side in (("dedicated", record.dedicated), *record.all_arms.items()):
        for i in range(len(plan.betas)):
            assert side.L[i] == pytest.approx(statistics.fmean(p[i].loss for p in points[label]), rel=1e-9)
            assert side.rate[i] == pytest.approx(statistics.fmean(p[i].rate for p in points[label]), rel=1e-9)
            assert side.distortion[i] == pytest.approx(statistics.fmean(p[i].distortion for p in points[label]))
    for label, side in record.all_arms.items():
        for i in range(len(plan.betas)):
            assert side.gap[i] == pytest.approx(side.L[i] / record.dedicated.L[i] - 1, rel=1e-9)
            each = [
                ours[i].loss / own[i].loss - 1 for ours, own in zip(points[label], points["dedicated"], strict=True)
            ]
            assert side.gap_spread[i] == pytest.approx(np.std(each, ddof=1))
            of_seed = [p.mrvae.gap[i] if label == "mrvae" else p.arms[label].gap[i] for p in record.per_seed]
            assert of_seed == pytest.approx(each)
    assert [p.dedicated.L for p in record.per_seed] == [
        pytest.approx([point.loss for point in row]) for row in points["dedicated"]
    ]


def test_the_interval_is_that_of_images_and_of_trainings(plan, compared, own_root):
    """Of images by the bootstrap, with the mean over seeds of an image first; of two seeds at three β: t is 3.1824."""
    record, folder = compared
    data = load_data(plan.recipe.data, "test", own_root, (1, 8, 8))

    def images(runs):
        models = [load_pretrained(f"local-dir:{folder / run.name}") for run in runs]
        return torch.stack([example_losses(m, data, 10.0, samples=DRAWS).at(10.0) for m in models]).mean(0).numpy()

    for label, side in record.all_arms.items():
        ours = images([arm_run(plan, record, label, seed) for seed in (0, 1)])
        own = images([dedicated_runs(plan, record, seed)[-1] for seed in (0, 1)])
        drawn = np.random.default_rng(0).integers(0, 100, (4000, 100))
        over_images = np.std(ours[drawn].mean(1) / own[drawn].mean(1) - 1)
        pooled = np.sqrt(np.mean(np.square(side.gap_spread)))
        low, high = side.gap_interval[-1]
        assert (low + high) / 2 == pytest.approx(side.gap[-1])
        over_trainings = 3.182446 * pooled / np.sqrt(2)
        assert np.sqrt(((high - low) / 2) ** 2 - over_trainings**2) == pytest.approx(1.96 * over_images, rel=0.1)


def test_costs_are_those_of_the_chosen_runs(plan, compared):
    record, folder = compared
    cost = record.cost

    def seconds(runs):
        return statistics.fmean(read_recipe(folder / run.name / "recipe.toml").trained.seconds for run in runs)

    for i in range(len(plan.betas)):
        runs = [dedicated_runs(plan, record, seed)[i] for seed in (0, 1)]
        assert cost.dedicated.flops_per_beta[i] == plan.flops(runs[0])
        assert cost.dedicated.wall_seconds_per_beta[i] == pytest.approx(seconds(runs))
        assert cost.dedicated.seconds_per_beta[i] == 20 * cost.dedicated.step.seconds
    assert cost.dedicated.steps == 20
    assert cost.dedicated.flops == sum(cost.dedicated.flops_per_beta)
    assert cost.dedicated.seconds == pytest.approx(sum(cost.dedicated.seconds_per_beta))
    spent = {"mrvae": cost.mrvae, **cost.arms}
    for label, one in spent.items():
        runs = [arm_run(plan, record, label, seed) for seed in (0, 1)]
        assert one.flops == plan.flops(runs[0]) <= cost.dedicated.flops_per_beta[0]
        assert one.steps == runs[0].recipe.training.max_steps
        assert one.seconds == one.steps * one.step.seconds > 0
        assert one.wall_seconds == pytest.approx(seconds(runs))
        network = load_pretrained(f"local-dir:{folder / runs[0].name}")
        assert one.step.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert cost.mrvae.step.operations > cost.dedicated.step.operations > 50
    assert cost.device.endswith(("thread", "threads"))


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
    assert max(each.improvement for each in record.doubling) > 0.005
    assert (record.converged, record.overfits, record.reached) == (False, False, "not converged")
    once, twice = (plan.arm("mrvae", record.mrvae.learning_rate, 0, doubled=doubled) for doubled in (False, True))
    for beta, improvement in zip(plan.betas, record.mrvae_doubling.improvement, strict=True):
        assert improvement == pytest.approx(1 - valid_loss(folder, twice, beta) / valid_loss(folder, once, beta))
    assert record.mrvae_doubling.steps == twice.recipe.training.max_steps


def test_early_stopping_keeps_the_weights_of_the_best_validation(own_root, tmp_path):
    """At a rate that is too high the last weights are not the best; the training runs to its end all the same."""
    training = {**RECIPE["training"], "epochs": 60, "ema": 0.0, "schedule": "constant"}
    recipe = recipe_from_table(RECIPE | {"training": training}, where="test")
    early, late = (make_plan(recipe=recipe, regime=regime) for regime in ("long", "short"))
    found = []
    for plan in (early, late):
        trained = plan.arm("mrvae", 0.3, 0)
        (tmp_path / "runs").mkdir(exist_ok=True)
        found.append(make_runs(plan, own_root, tmp_path / "runs").validation(trained))
        lines = (tmp_path / "runs" / trained.name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert json.loads(lines[-1])["step"] == trained.recipe.training.max_steps
        looks = [json.loads(line)["validation"] for line in lines if "validation" in json.loads(line)]
        assert len(looks) == (20 if plan is early else 0)
        if plan is early:
            best = min(looks, key=lambda look: sum(np.log(loss) for loss in look.values()))
            assert best != looks[-1]
            assert found[0] == pytest.approx([*best.values()], rel=1e-5)
    assert statistics.fmean(np.log(found[0])) < statistics.fmean(np.log(found[1]))


def test_the_record_is_read_as_it_was_written(compared, tmp_path):
    record, _ = compared
    (tmp_path / "r.json").write_text(record.to_json(), encoding="utf-8")
    assert read_record(tmp_path / "r.json") == record
