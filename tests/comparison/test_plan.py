import math
from dataclasses import replace

import pytest
import torch
from helpers import RECIPE, make_plan

from mrvae_zoo.comparison.flops import training_flops
from mrvae_zoo.comparison.plan import DRAWS, with_validation
from mrvae_zoo.training.recipe import ObjectiveRecipe, recipe_from_table


def flops(plan, gating):
    return training_flops(replace(plan.recipe.model, gating=gating), plan.shape, torch.full((32,), 0.3))


def test_the_betas_are_log_spaced_and_named_by_their_count():
    assert make_plan(beta_count=4).betas == (0.01, 0.1, 1.0, 10.0)
    assert make_plan(beta_count=2).betas == make_plan(beta_count=2).anchors == (0.01, 10.0)


def test_rates_are_chosen_at_each_beta_or_evenly_from_the_first_to_the_last():
    def anchored(count, betas):
        plan = make_plan(beta_count=betas, tune_at=count)
        return [plan.betas.index(beta) for beta in plan.anchors]

    assert anchored(None, 10) == anchored(10, 10) == list(range(10))
    assert anchored(4, 10) == [0, 3, 6, 9]
    assert anchored(2, 10) == [0, 9]
    assert anchored(3, 5) == [0, 2, 4]
    assert all(len({*anchored(count, 7)}) == count for count in range(2, 8))


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


# Too large to be trained side by side with others on a CPU, with weights that do not move at β_min.
WIDE = RECIPE["model"] | {"widths": [4200], "gating_moves": "weights"}


def wide_plan(*, objective=None, training=None, **changes):
    table = RECIPE | {"model": WIDE, "objective": objective or {}, "training": RECIPE["training"] | (training or {})}
    return make_plan(recipe=recipe_from_table(table, where="test"), **changes)


@pytest.mark.parametrize("fall", ["linear", "cosine"])
def test_flops_are_those_of_the_mean_share_at_the_lowest_beta(fall):
    """Weights do not move there: with 3 of 4 examples there at the start, and 1 of 4 at the end, half do not."""
    plan = wide_plan(objective={"beta_min_share": [0.75, 0.25], "beta_min_fall": fall}, budgets=(0.5,))
    beta = torch.full((32,), 0.3)
    beta[:16] = 0.01
    step = training_flops(plan.recipe.model, plan.shape, beta)
    plain, run = flops(plan, "none"), plan.arm("mrvae", 0.01, 0)
    assert step < flops(plan, "shrinkage")
    assert run.recipe.training.max_steps == math.floor(20 * 0.5 * plain / step)
    assert plan.flops(run) == pytest.approx(32 * run.recipe.training.max_steps * step, rel=1e-12)


@pytest.mark.parametrize("changes", [{"training": {"compile": "step"}}, {"device": "meta"}])
def test_compiled_or_on_a_gpu_the_lowest_beta_saves_nothing(changes):
    plan = wide_plan(objective={"beta_min_share": [0.75, 0.25]}, **changes)
    run = plan.arm("mrvae", 0.01, 0)
    steps = math.floor(20 * flops(plan, "none") / flops(plan, "shrinkage"))
    assert run.recipe.training.max_steps == steps
    assert plan.flops(run) == 32 * steps * flops(plan, "shrinkage")


def test_a_training_that_would_be_compiled_for_its_length_is_counted_as_such(monkeypatch):
    """Eagerly a budget of 1 buys more steps than compiled, and so many that they are compiled."""
    monkeypatch.setattr("mrvae_zoo.training.settings._has_compiler", lambda: True)
    monkeypatch.setattr("mrvae_zoo.training.settings.WORTH_COMPILING", 50)
    objective = {"beta_min_share": [1.0, 0.9]}
    eager, compiled = (wide_plan(objective=objective, training={"epochs": epochs}) for epochs in (2, 8))
    ratio = flops(eager, "none") / flops(eager, "shrinkage")
    assert eager.arm("mrvae", 0.01, 0).recipe.training.max_steps > math.floor(20 * ratio)
    assert compiled.arm("mrvae", 0.01, 0).recipe.training.max_steps == math.floor(80 * ratio) > 50


def test_twice_the_budget_is_twice_the_steps():
    one, two = (make_plan(budgets=(b,)).arm("mrvae", 0.01, 0).recipe.training.max_steps for b in (1.0, 2.0))
    assert two - 2 * one in (0, 1)


@pytest.mark.parametrize("label", ["mrvae", "paper"])
def test_at_a_budget_of_several_is_the_training_of_a_plan_of_that_one(label):
    """So that what an earlier comparison trained is found again; without a budget it is that of the smallest."""
    plan = make_plan(arms=("paper",), budgets=(1.0, 2.0, 3.0))
    for budget in plan.budgets:
        alone = make_plan(arms=("paper",), budgets=(budget,)).arm(label, 0.02, 5)
        assert plan.arm(label, 0.02, 5, budget=budget) == alone
    assert plan.arm(label, 0.02, 5) == plan.arm(label, 0.02, 5, budget=1.0)


def test_a_dedicated_run_is_the_recipe_without_gates_at_one_beta():
    plan = make_plan()
    run = plan.dedicated(0.3162, 0.02, 5)
    recipe = plan.recipe
    assert run.recipe.model == replace(recipe.model, gating="none")
    nothing_drawn = {"beta_weighting": 0.0, "beta_min_share": (0.0, 0.0), "beta_max_share": 0.0}
    assert run.recipe.objective == replace(recipe.objective, beta=0.3162, **nothing_drawn)
    assert run.recipe.training == replace(recipe.training, learning_rate=0.02, seed=5)
    other = replace(recipe, objective=replace(recipe.objective, beta_min_share=(0.3, 0.2), beta_max_share=0.2))
    assert make_plan(recipe=other).dedicated(0.3162, 0.02, 5) == run  # found again, however the other side draws
    assert run.recipe.data == recipe.data
    assert (run.name, run.betas) == ("dedicated-b0.3162-lr0.02-s5-e2", (0.3162,))


OBJECTIVE = {
    "beta_min_share": [0.8, 0.1],
    "beta_min_fall": "cosine",
    "beta_max_share": 0.1,
    "beta_skew": 0.8,
    "beta_sampling": "batch",
    "beta_weighting": 0.5,
}


def test_only_the_model_draws_beta_as_the_recipe_says():
    plan = make_plan(recipe=recipe_from_table(RECIPE | {"objective": OBJECTIVE}, where="test"), arms=("paper",))
    dedicated = plan.dedicated(0.3162, 0.01, 0).recipe.objective
    nothing_drawn = {"beta_weighting": 0.0, "beta_min_share": (0.0, 0.0), "beta_max_share": 0.0}
    assert dedicated == ObjectiveRecipe(name="beta_vae", beta=0.3162, **nothing_drawn)
    for label in ("mrvae", "paper"):
        assert plan.arm(label, 0.01, 0).recipe.objective == plan.recipe.objective
    assert plan.recipe.objective.beta_min_share == (0.8, 0.1)


def test_draws_of_beta_are_tuned_for_arms_alone():
    plan = make_plan(recipe=recipe_from_table(RECIPE | {"objective": OBJECTIVE}, where="test"), arms=("paper",))
    assert plan.draws("mrvae") == ("recipe",)
    assert plan.draws("paper") == ("recipe", "log-uniform", "log-uniform, weighted")
    runs = [plan.arm("paper", 0.01, 0, draws=draws) for draws in plan.draws("paper")]
    published = {"beta_min_share": (0.0, 0.0), "beta_max_share": 0.0, "beta_skew": 1.0, "beta_weighting": 0.0}
    for run, changes in zip(runs, ({}, published, published | {"beta_weighting": 0.25}), strict=True):
        assert run.recipe.objective == replace(plan.recipe.objective, **changes)
        assert run.recipe.model.gating == "paper"
    assert [run.name.partition("-lr")[0] for run in runs] == ["paper", "paper-uniform", "paper-uniform-weighted"]
    own = recipe_from_table(RECIPE | {"objective": {**DRAWS["log-uniform"]}}, where="test")
    assert make_plan(recipe=own, arms=("paper",)).draws("paper") == ("recipe", "log-uniform, weighted")


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


def test_rates_between_anchors_are_log_linear_in_log_beta():
    plan = make_plan(beta_count=4, tune_at=2)
    assert plan.rates((0.008, 0.001)) == (0.008, 0.004, 0.002, 0.001)
    odd = 0.123456789
    assert plan.rates((odd, odd)) == (odd, 0.123, 0.123, odd)  # what was chosen stays as it was
    three = make_plan(beta_count=5, tune_at=3)
    assert three.rates((0.01, 0.04, 0.01)) == (0.01, 0.02, 0.04, 0.02, 0.01)
    assert make_plan(beta_count=3).rates((0.3, odd, 0.1)) == (0.3, odd, 0.1)


def test_the_grid_is_that_of_the_recipe_or_the_one_that_is_given():
    assert make_plan().grid == (0.005, 0.00707, 0.01, 0.0141, 0.02)
    assert make_plan(learning_rates=(0.1, 0.001, 0.1)).grid == (0.001, 0.1)
    high = recipe_from_table(RECIPE | {"training": {"epochs": 1, "learning_rate": 0.8}}, where="test")
    assert make_plan(recipe=high).grid == (0.4, 0.566, 0.8, 1.0)
    odd = {"epochs": 1, "learning_rate": 0.012345, "final_learning_rate": 0.0075}
    low = recipe_from_table(RECIPE | {"training": odd}, where="test")
    assert make_plan(recipe=low).grid == (0.0075, 0.00873, 0.012345, 0.0175, 0.0247)


def test_beyond_the_grid_is_a_step_of_it():
    plan = make_plan()
    assert (plan.beyond(0.02), plan.beyond(0.005)) == (0.0283, 0.00354)
    assert (plan.beyond(0.0283), plan.beyond(0.00354)) == (0.04, 0.0025)
    given = make_plan(learning_rates=(0.002, 0.004, 0.008))
    assert (given.beyond(0.008), given.beyond(0.016), given.beyond(0.002)) == (0.016, 0.032, 0.001)
    assert make_plan(learning_rates=(0.3, 0.6)).beyond(0.6) is None  # above 1 there is none
    final = replace(plan.recipe, training=replace(plan.recipe.training, final_learning_rate=0.004))
    assert make_plan(recipe=final).beyond(0.005) is None
    assert make_plan(learning_rates=(0.01,)).beyond(0.01) is None  # one rate has no step


def test_early_stopping_validates_all_trainings_as_often_and_none_ends_early():
    """As often as the recipe has epochs, and at most 20 times."""
    assert make_plan().validations is None
    assert make_plan(regime="converged").validations == make_plan(regime="long").validations == 2
    for epochs, count in ((2, 2), (50, 20)):
        recipe = recipe_from_table(RECIPE | {"training": RECIPE["training"] | {"epochs": epochs}}, where="test")
        plan = make_plan(recipe=recipe, regime="long", budgets=(0.5, 3.0), arms=("paper",))
        assert plan.validations == count
        runs = [plan.dedicated(1.0, 0.01, 0), plan.dedicated(1.0, 0.01, 0, doubled=True), plan.arm("paper", 0.01, 0)]
        runs += [plan.arm("mrvae", 0.01, 0, budget=0.5), plan.arm("mrvae", 0.01, 0, doubled=True)]
        for run in runs:
            steps, training = plan.steps(run.recipe.training), run.recipe.training
            looks = [step for step in range(1, steps + 1) if step % training.validate_every == 0 or step == steps]
            assert count - 2 <= len(looks) <= count
            assert training.patience == count > len(looks) - 1  # validations since the first, and best
            assert run.name.endswith(f"-v{count}")


def test_twice_the_epochs_at_the_ends_and_in_the_middle():
    assert make_plan().doubled_betas == make_plan(regime="long").doubled_betas == ()
    plan = make_plan(beta_count=4, regime="converged")
    assert plan.doubled_betas == (0.01, 1.0, 10.0)
    assert make_plan(beta_count=2, regime="converged").doubled_betas == (0.01, 10.0)
    one, two = (plan.dedicated(1.0, 0.01, 0, doubled=doubled) for doubled in (False, True))
    assert plan.steps(two.recipe.training) == 2 * plan.steps(one.recipe.training) == 40
    assert two.name == "dedicated-b1-lr0.01-s0-e4-v2"
    capped = replace(plan.recipe, training=replace(plan.recipe.training, max_steps=15))
    two = make_plan(recipe=capped, regime="converged").dedicated(1.0, 0.01, 0, doubled=True)
    assert plan.steps(two.recipe.training) == 30
    assert two.name == "dedicated-b1-lr0.01-s0-n30-v2"
    once, twice = (plan.arm("mrvae", 0.01, 0, doubled=doubled).recipe.training for doubled in (False, True))
    assert twice.max_steps == 2 * once.max_steps
    assert plan.steps(twice) == twice.max_steps


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
        ({"tune_at": 1}, "tune_at=1 should be at least 2, the ends of the range, and at most 3, the number of β"),
        ({"tune_at": 4}, "tune_at=4 should be at least 2"),
        ({"learning_rates": (0.1, 2.0)}, "learning_rate=2.0 should be above 0 and at most 1"),
        ({"arms": ("shrinkage",)}, "arm='shrinkage' should be a gating other than the recipe's 'shrinkage'"),
        ({"arms": ("none",)}, "arm='none' should be a gating other than"),
        (
            {"arms": ("linear",)},
            "arm='linear' should be a gating other than the recipe's 'shrinkage': affine, paper, paper_open",
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
