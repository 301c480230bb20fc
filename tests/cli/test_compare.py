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
    *rows, last = done.stdout.splitlines()
    header = re.split("  +", rows[0])
    assert header == ["beta", "L dedicated", "L MR-VAE", "gap", "95% interval", "L paper", "gap paper"]
    for row, i in zip(rows[1:], range(3), strict=True):
        low, high = record.mrvae.gap_interval[i]
        paper = record.arms["paper"]
        assert re.split("  +", row) == [
            f"{record.betas[i]:g}",
            f"{record.dedicated.L[i]:.2f}",
            f"{record.mrvae.L[i]:.2f}",
            f"{100 * record.mrvae.gap[i]:+.2f}%",
            f"{100 * low:+.2f}% to {100 * high:+.2f}%",
            f"{paper.L[i]:.2f}",
            f"{100 * paper.gap[i]:+.2f}%",
        ]
    worst = max(range(3), key=record.mrvae.gap.__getitem__)
    cost = record.cost
    assert last == (
        f"mean gap {100 * sum(record.mrvae.gap) / 3:+.2f}%, worst {100 * record.mrvae.gap[worst]:+.2f}% at beta "
        f"{record.betas[worst]:g}; cost {cost.mrvae.flops / cost.dedicated.flops:.3f} of the FLOPs "
        f"of the 3 dedicated trainings, {cost.mrvae.seconds:,.0f} seconds to their {cost.dedicated.seconds:,.0f}"
    )
    with Image.open(tmp_path / "compare_tiny_short.png") as image:
        assert min(image.size) > 400
    assert sorted(path.name.partition("-")[0] for path in (tmp_path / "runs" / "tiny").iterdir()) == [
        *["dedicated"] * 3,
        "mrvae",
        "paper",
    ]
    assert "run 5 of 5: paper-lr0.01-s0-n" in done.stderr
    assert "wrote compare_tiny_short.json and compare_tiny_short.png" in done.stderr
    again = mrvae(*command, "--set", "training.epochs=1")
    assert again.returncode == 1
    assert "compare_tiny_short.json exists; pass --force" in again.stderr
    (tmp_path / "compare_tiny_short.json").unlink()
    forced = mrvae(*command, "--set", "training.epochs=1", "--json", "--force")
    assert json.loads(forced.stdout) == record.to_plain()
    assert forced.stderr.count("is there already") == 5
    other = mrvae(*command, "--set", "training.epochs=1", "--set", "objective.beta_weighting=0.5", "--force")
    assert other.returncode == 1
    assert "cannot be resumed with another recipe: objective.beta_weighting = 0.25 there, 0.5 now" in other.stderr


def test_budgets_are_trained_and_shown_rising(mrvae, recipe, own_root, tmp_path):
    arguments = ("--betas", 2, "--budget", 2, "--budget", 0.5, "--budget", 2, "--arm", "paper")
    done = mrvae("compare", recipe, "--data-root", own_root, "-o", ".", *arguments, *QUICK)
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "compare_tiny_short.json")
    assert [each.budget for each in record.budgets] == [0.5, 2.0]
    assert len(list((tmp_path / "runs" / "tiny").iterdir())) == 5
    other = "" if record.budget == 2 else " (budget 2)"
    first, _, _, header, *rows, last = done.stdout.splitlines()
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
    (tmp_path / "mine").mkdir()
    arguments = ("--betas", 2, "--regime", "converged", "--runs", "mine/runs", *QUICK)
    done = mrvae("compare", recipe, "--data-root", own_root, "-o", "mine", *arguments)
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "mine" / "compare_tiny_converged.json")
    assert record.converged is False
    assert (
        f"twice the epochs improve the dedicated β-VAE of beta 10 by {record.doubling[1].improvement:.2%}"
        in done.stderr
    )
    assert "NOT CONVERGED" in done.stderr
    assert len(list((tmp_path / "mine" / "runs").iterdir())) == 5


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
