"""mrvae compare, run as a user runs it; what it computes is tested in tests/comparison."""

import json
import re

import pytest
from helpers import RECIPE
from PIL import Image

from mrvae_zoo.comparison.record import read_record
from mrvae_zoo.training.recipe import recipe_from_table, to_toml

pytestmark = pytest.mark.slow

QUICK = ("--learning-rate", 0.01, "--draws", 2)


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "tiny.toml").write_text(to_toml(recipe_from_table(RECIPE, where="test")), encoding="utf-8")
    return "tiny.toml"


def test_it_leaves_a_record_a_plot_and_a_table(mrvae, recipe, own_root, tmp_path):
    command = ("compare", recipe, "--data-root", own_root, "-o", ".", "--betas", 3, "--arm", "paper", *QUICK)
    done = mrvae(*command, "--set", "training.epochs=1")
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "compare_tiny_short.json")
    assert record.recipe["training"]["epochs"] == 1
    assert (record.name, record.regime, record.draws, record.budget) == ("tiny", "short", 2, 1.0)
    *rows, gaps, spent = done.stdout.splitlines()
    header = re.split("  +", rows[0])
    assert header == ["beta", "L dedicated", "L MR-VAE", "gap", "95% interval", "L paper", "gap paper"]
    for row, i in zip(rows[1:], range(3), strict=True):
        paper = record.arms["paper"]
        assert re.split("  +", row) == [
            f"{record.betas[i]:g}",
            f"{record.dedicated.L[i]:.2f}",
            f"{record.mrvae.L[i]:.2f}",
            f"{100 * record.mrvae.gap[i]:+.2f}%",
            "one training each",
            f"{paper.L[i]:.2f}",
            f"{100 * paper.gap[i]:+.2f}%",
        ]
    worst = max(range(3), key=record.mrvae.gap.__getitem__)
    cost = record.cost
    assert gaps == (
        f"mean gap {100 * sum(record.mrvae.gap) / 3:+.2f}%, worst {100 * record.mrvae.gap[worst]:+.2f}% at beta "
        f"{record.betas[worst]:g}"
    )
    assert spent == (
        f"cost {cost.mrvae.flops / cost.dedicated.flops:.3f} of the FLOPs of the 3 dedicated trainings, "
        f"{cost.mrvae.seconds:,.0f} seconds to their {cost.dedicated.seconds:,.0f} on {cost.device}; "
        f"{cost.mrvae.step.operations:,} operations per step to {cost.dedicated.step.operations:,}"
    )
    with Image.open(tmp_path / "compare_tiny_short.png") as image:
        assert min(image.size) > 400
    assert sorted(path.name.partition("-lr")[0] for path in (tmp_path / "runs" / "tiny").iterdir()) == [
        *["dedicated-b0.01", "dedicated-b0.3162", "dedicated-b10"],
        *["mrvae", "paper", "paper-uniform", "paper-uniform-weighted"],
    ]
    assert "run 7 of 7: paper-uniform-weighted-lr0.01-s0-n" in done.stderr
    assert "wrote compare_tiny_short.json and compare_tiny_short.png" in done.stderr
    again = mrvae(*command, "--set", "training.epochs=1")
    assert again.returncode == 1
    assert "compare_tiny_short.json exists; pass --force" in again.stderr
    (tmp_path / "compare_tiny_short.json").unlink()
    forced = mrvae(*command, "--set", "training.epochs=1", "--json", "--force")
    again = json.loads(forced.stdout)
    for part in ("mrvae", "dedicated", "arms", "per_seed", "recipe", "data"):
        assert again[part] == record.to_plain()[part]
    assert forced.stderr.count("is there already") == 7
    other = mrvae(*command, "--set", "training.epochs=1", "--set", "objective.beta_weighting=0.5", "--force")
    assert other.returncode == 1
    assert re.search(r"with another recipe: objective.beta_weighting = \S+ there, 0.5 now", other.stderr)


def test_budgets_are_trained_and_shown_rising(mrvae, recipe, own_root, tmp_path):
    arguments = ("--betas", 2, "--budget", 2, "--budget", 0.5, "--budget", 2, "--arm", "paper")
    done = mrvae("compare", recipe, "--data-root", own_root, "-o", ".", *arguments, *QUICK)
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "compare_tiny_short.json")
    assert [each.budget for each in record.budgets] == [0.5, 2.0]
    assert len(list((tmp_path / "runs" / "tiny").iterdir())) == 7
    other = "" if record.budget == 0.5 else " (budget 0.5)"
    first, _, _, header, *rows, last, _ = done.stdout.splitlines()
    assert re.split("  +", first)[-2:] == [f"L paper{other}", f"gap paper{other}"]
    assert re.split("  +", header) == ["budget", "mean gap", "worst gap", "at beta", "worst validation gap"]
    for row, each in zip(rows, record.budgets, strict=True):
        at = max(range(2), key=each.gap.__getitem__)
        assert re.split("  +", row) == [
            f"{each.budget:g}",
            f"{100 * sum(each.gap) / 2:+.2f}%",
            f"{100 * each.gap[at]:+.2f}%",
            f"{record.betas[at]:g}",
            f"{100 * max(each.validation_gap):+.2f}%",
        ]
    assert last.startswith(f"budget {record.budget:g}: mean gap {100 * sum(record.mrvae.gap) / 2:+.2f}%")


def test_what_has_not_converged_is_said(mrvae, recipe, own_root, tmp_path):
    """With two seeds, and two processes, which give one line for each training."""
    (tmp_path / "mine").mkdir()
    options = ("--betas", 2, "--tune-at", 2, "--regime", "converged", "--seeds", 2, "--processes", 2)
    done = mrvae("compare", recipe, "--data-root", own_root, "-o", "mine", *options, "--runs", "mine/runs", *QUICK)
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "mine" / "compare_tiny_converged.json")
    assert record.reached == "not converged"
    assert (record.validations, record.dedicated.tuned_at) == (2, (0.01, 10.0))
    gains = [each.improvement for each in record.doubling]
    assert f"twice the epochs improve the dedicated β-VAE of beta 10 by {gains[1]:.2%}" in done.stderr
    assert "NOT CONVERGED" in done.stderr
    assert len(list((tmp_path / "mine" / "runs").iterdir())) == 9
    finished = re.findall(r"^run (\d+) of 9: \S+: [\d., ]+ nats on the validation split", done.stderr, re.MULTILINE)
    assert finished == [f"{number}" for number in range(1, 10)]
    *rows, _, twice, _ = done.stdout.splitlines()
    low, high = record.mrvae.gap_interval[1]
    assert f"{low:+.2%} to {high:+.2%}" in rows[2]
    ours = record.mrvae_doubling
    assert twice == (
        f"not converged: twice the epochs improve the β-VAEs by {gains[0]:+.2%} at beta 0.01, {gains[1]:+.2%} at beta "
        f"10, and the Multi-Rate VAE by {ours.mean:+.2%} on average and {ours.worst:+.2%} at most"
    )


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (("-o", "none"), "none: no such folder; make it first", 1),
        (("--runs", "none/runs"), "none: no such folder; make it first", 1),
        (("--budget", 0), "budget=0.0 should be a number above 0", 1),
        (("--arm", "shrinkage"), "arm='shrinkage' should be a gating other than the recipe's", 1),
        (("--learning-rate", 0), "learning_rate=0.0 should be above 0", 1),
        (("--set", "training.epoch=1"), "did you mean epochs", 1),
        (("--set", "data.name=yours"), "unknown data set 'yours'", 1),
        (("--arm", "none"), "arm='none' should be a gating other than the recipe's", 1),
        (("--betas", 1), "--betas 1: should be at least 2", 2),
        (("--tune-at", 1), "--tune-at 1: should be at least 2", 2),
        (("--tune-at", 3), "tune_at=3 should be at least 2, the ends of the range, and at most 2", 1),
        (("--processes", 0), "--processes 0: should be at least 1", 2),
    ],
)
def test_errors_are_one_line_and_come_before_the_work(mrvae, recipe, own_root, tmp_path, arguments, message, status):
    options = {"-o": ".", "--betas": 2} | {arguments[0]: arguments[1]}
    flat = [part for option in options.items() for part in option]
    done = mrvae("compare", recipe, "--data-root", own_root, *flat)
    assert done.returncode == status
    assert message in done.stderr
    assert done.stderr.splitlines()[-1].startswith("mrvae: ")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def test_the_result_is_called_after_the_recipe(monkeypatch, tmp_path):
    from mrvae_zoo.cli.compare import _short_name

    monkeypatch.chdir(tmp_path)
    names = {
        "mrvae_mlp.mnist": "mrvae_mlp.mnist",
        "recipes/my.mnist.toml": "my.mnist",
        "registry/mrvae_mlp.mnist/recipe.toml": "mrvae_mlp.mnist",
        "recipe.toml": tmp_path.name,
        "local-dir:runs/a/": "a",
        "hf-hub:org/digits@v1": "digits",
    }
    assert {name: _short_name(name) for name in names} == names
