import math
from dataclasses import replace

import pytest
import torch
from helpers import RECIPE, make_plan

from mrvae_zoo.comparison.flops import training_flops
from mrvae_zoo.comparison.plan import with_validation
from mrvae_zoo.training.recipe import ObjectiveRecipe, recipe_from_table


def flops(plan, gating):
    return training_flops(replace(plan.recipe.model, gating=gating), plan.shape, torch.full((32,), 0.3))


def test_the_betas_are_log_spaced_and_named_by_their_count():
    assert make_plan(beta_count=4).betas == (0.01, 0.1, 1.0, 10.0)
    assert make_plan(beta_count=2).betas == make_plan(beta_count=2).ends == (0.01, 10.0)


@pytest.mark.parametrize("budget", [0.25, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("label", ["mrvae", "paper"])
def test_an_arm_gets_the_operations_of_so_many_dedicated_runs(label, budget):
    plan = make_plan(arms=("paper",), budgets=(budget,))
    dedicated, run = plan.dedicated(1.0, 0.01, 0), plan.arm(label, 0.01, 0)
    gated = flops(plan, "shrinkage" if label == "mrvae" else "paper")
    training = run.recipe.training
    assert training.max_steps == math.floor(2 * 10 * budget * flops(plan, "none") / gated)
    assert plan.steps(training) == training.max_steps  # the epochs suffice
    assert plan.flops(run) <= budget * plan.flops(dedicated) < plan.flops(run) + 32 * gated


def test_operations_are_counted_at_beta_as_they_are_drawn():
    """Three quarters at β_min, where weights do not move: a step costs less than without, and the budget buys more."""
    plain, at_lowest = (
        make_plan(recipe=recipe_from_table(RECIPE | drawn, where="test"))
        for drawn in (
            {},
            {"objective": {"beta_at_ends": [0.75, 0.0]}},
        )
    )
    beta = torch.full((32,), 0.3)
    beta[:24] = 0.01
    step = training_flops(at_lowest.recipe.model, at_lowest.shape, beta)
    one, other = (plan.arm("mrvae", 0.01, 0) for plan in (plain, at_lowest))
    steps = other.recipe.training.max_steps
    assert at_lowest.flops(other) == pytest.approx(32 * steps * step, rel=0.01)
    assert steps > one.recipe.training.max_steps


def test_twice_the_budget_is_twice_the_steps():
    one, two = (make_plan(budgets=(b,)).arm("mrvae", 0.01, 0).recipe.training.max_steps for b in (1.0, 2.0))
    assert two - 2 * one in (0, 1)


@pytest.mark.parametrize("label", ["mrvae", "paper"])
def test_at_a_budget_of_several_is_the_training_of_a_plan_of_that_one(label):
    """So that what an earlier comparison trained is found again; without a budget it is that of the largest."""
    plan = make_plan(arms=("paper",), budgets=(1.0, 2.0, 3.0))
    for budget in plan.budgets:
        alone = make_plan(arms=("paper",), budgets=(budget,)).arm(label, 0.02, 5)
        assert plan.arm(label, 0.02, 5, budget=budget) == alone
    assert plan.arm(label, 0.02, 5) == alone


def test_a_dedicated_run_is_the_recipe_without_gates_at_one_beta():
    plan = make_plan()
    run = plan.dedicated(0.3162, 0.02, 5)
    recipe = plan.recipe
    assert run.recipe.model == replace(recipe.model, gating="none")
    assert run.recipe.objective == replace(recipe.objective, beta=0.3162, beta_weighting=0.0)
    assert run.recipe.training == replace(recipe.training, learning_rate=0.02, seed=5)
    assert run.recipe.data == recipe.data
    assert (run.name, run.betas) == ("dedicated-b0.3162-lr0.02-s5-e2", (0.3162,))


def test_only_the_model_draws_beta_as_the_recipe_says():
    objective = {"beta_at_ends": [0.2, 0.1], "beta_skew": 0.8, "beta_sampling": "batch", "beta_weighting": 0.5}
    plan = make_plan(recipe=recipe_from_table(RECIPE | {"objective": objective}, where="test"), arms=("paper",))
    dedicated = plan.dedicated(0.3162, 0.01, 0).recipe.objective
    assert dedicated == ObjectiveRecipe(name="beta_vae", beta=0.3162, beta_weighting=0.0)
    assert (dedicated.beta_at_ends, dedicated.beta_skew) == ((0.0, 0.0), 1.0)
    for label in ("mrvae", "paper"):
        assert plan.arm(label, 0.01, 0).recipe.objective == plan.recipe.objective
    assert plan.recipe.objective.beta_at_ends == (0.2, 0.1)


def test_an_arm_is_the_recipe_but_for_its_length_and_its_gating():
    plan = make_plan(arms=("paper",))
    for label, gating in (("mrvae", "shrinkage"), ("paper", "paper")):
        run = plan.arm(label, 0.02, 5)
        assert run.recipe.model == replace(plan.recipe.model, gating=gating)
        assert run.recipe.objective == plan.recipe.objective
        training = replace(run.recipe.training, max_steps=None, epochs=2)
        assert training == replace(plan.recipe.training, learning_rate=0.02, seed=5)
        assert run.name == f"{label}-lr0.02-s5-n{run.recipe.training.max_steps}"
        assert run.betas == plan.betas


def test_rates_between_the_ends_are_log_linear_in_log_beta():
    plan = make_plan(beta_count=4)
    assert [plan.between(beta, 0.008, 0.001) for beta in plan.betas] == [0.008, 0.004, 0.002, 0.001]
    odd = 0.123456789
    assert plan.between(0.01, odd, 0.3) == odd  # what was tuned stays as it was
    assert plan.between(0.1, odd, odd) == 0.123


def test_the_grid_is_that_of_the_recipe_or_the_one_that_is_given():
    assert make_plan().grid == (0.005, 0.01, 0.02)
    assert make_plan(learning_rates=(0.1, 0.001, 0.1)).grid == (0.001, 0.1)
    high = recipe_from_table(RECIPE | {"training": {"epochs": 1, "learning_rate": 0.8}}, where="test")
    assert make_plan(recipe=high).grid == (0.4, 0.8, 1.0)


def test_twice_the_epochs_at_the_ends_and_in_the_middle():
    assert make_plan().doubled_betas == ()
    plan = make_plan(beta_count=4, regime="converged")
    assert plan.doubled_betas == (0.01, 1.0, 10.0)
    assert make_plan(beta_count=2, regime="converged").doubled_betas == (0.01, 10.0)
    one, two = (plan.dedicated(1.0, 0.01, 0, doubled=doubled) for doubled in (False, True))
    assert plan.steps(two.recipe.training) == 2 * plan.steps(one.recipe.training) == 40
    assert two.name == "dedicated-b1-lr0.01-s0-e4"
    capped = replace(plan.recipe, training=replace(plan.recipe.training, max_steps=15))
    two = make_plan(recipe=capped, regime="converged").dedicated(1.0, 0.01, 0, doubled=True)
    assert plan.steps(two.recipe.training) == 30
    assert two.name == "dedicated-b1-lr0.01-s0-n30"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta_count": 1}, "betas=1 should be at least 2"),
        ({"budgets": (0.0,)}, "budget=0.0 should be a number above 0"),
        ({"budgets": (math.nan,)}, "budget=nan should be a number above 0"),
        ({"budgets": (0.01,)}, "budget=0.01 is less than a step"),
        ({"budgets": (1.0, math.inf)}, "budget=inf should be a number above 0"),
        ({"budgets": (0.01, 1.0)}, "budget=0.01 is less than a step"),
        ({"budgets": ()}, r"budgets=\(\) should be one or several, rising"),
        ({"budgets": (2.0, 1.0)}, r"budgets=\(2, 1\) should be one or several, rising"),
        ({"budgets": (1.0, 1.0)}, r"budgets=\(1, 1\) should be one or several, rising"),
        ({"seed_count": 0}, "seeds=0 should be at least 1"),
        ({"learning_rates": (0.1, 2.0)}, "learning_rate=2.0 should be above 0 and at most 1"),
        ({"arms": ("shrinkage",)}, "arm='shrinkage' should be a gating other than the recipe's 'shrinkage'"),
        ({"arms": ("none",)}, "arm='none' should be a gating other than"),
        (
            {"arms": ("linear",)},
            "arm='linear' should be a gating other than the recipe's 'shrinkage': affine, paper, concat",
        ),
        ({"arms": ("paper", "paper")}, "arms=paper, paper: name each once"),
        ({"model": {"gating": "none"}}, "model.gating = 'none'"),
        ({"objective": {"beta": 1.0}}, "the recipe has objective.beta"),
        (
            {"objective": {"name": "beta_tcvae", "beta_sampling": "batch"}, "model": {"beta_range": (1.0, 9.0)}},
            "beta_tcvae minimises another loss",
        ),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(change, message):
    sections = {key: RECIPE.get(key, {}) | change.pop(key) for key in ("model", "objective") if key in change}
    recipe = recipe_from_table(RECIPE | sections, where="test")
    with pytest.raises(ValueError, match=message):
        make_plan(recipe=recipe, **change)


def test_a_tenth_validates_where_neither_the_set_nor_the_recipe_has_a_split(own_root, bars, caplog):
    recipe = recipe_from_table(RECIPE, where="test")
    named = with_validation(recipe, own_root)
    assert named is recipe  # it holds out 80
    with caplog.at_level("INFO", logger="mrvae_zoo"):
        found = with_validation(replace(recipe, data=replace(recipe.data, held_out=0, limit=50)), own_root)
    assert found.data == replace(recipe.data, held_out=40, limit=50)
    assert "40 of its 400 training images become one" in caplog.text
    own = replace(recipe, data=replace(recipe.data, name="binarized_mnist", held_out=0))
    assert with_validation(own, bars) is own
