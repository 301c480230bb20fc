"""What the tests of comparisons share: a recipe that trains in a moment, its plan, and a record of made-up figures."""

from mrvae_zoo.comparison.plan import Plan
from mrvae_zoo.comparison.record import (
    AtBudget,
    ComparisonRecord,
    Contender,
    Cost,
    Dedicated,
    Doubling,
    PerSeed,
    SeedGap,
    SeedLoss,
    Spent,
    SpentByBeta,
    TrainingCurve,
    Trial,
)
from mrvae_zoo.comparison.runs import Runs
from mrvae_zoo.training.recipe import recipe_from_table

RECIPE = {
    "model": {"architecture": "mrvae_mlp", "input_shape": [1, 8, 8], "latent_dim": 3, "widths": [12]},
    "data": {"name": "mine", "held_out": 80},
    "training": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "log_every": 1},
}


def make_plan(**changes) -> Plan:
    settings = {
        "recipe": recipe_from_table(RECIPE, where="test"),
        "beta_count": 3,
        "budgets": (1.0,),
        "regime": "short",
        "arms": (),
        "seed_count": 1,
        "learning_rates": (),
        "examples": 320,
        "shape": (1, 8, 8),
    }
    return Plan(**settings | changes)


def make_runs(plan, root, folder) -> Runs:
    folder.mkdir(exist_ok=True)
    model, data = plan.recipe.model, plan.recipe.data
    return Runs(folder=folder, data_root=root, data=data, shape=model.input_shape, total=plan.total)


def make_contender(losses, gaps, intervals, **figures) -> Contender:
    trial = Trial(learning_rate=0.01, diverged=False, validation=1.01)
    return Contender(
        L=losses,
        gap=gaps,
        gap_interval=intervals,
        gap_spread=(0.01, 0.02),
        learning_rate=0.01,
        learning_rates_tried=(trial,),
        best_at_grid_end=True,
        **figures,
    )


RECORD = ComparisonRecord(
    name="tiny",
    regime="converged",
    budget=1.0,
    betas=(0.1, 10.0),
    mrvae=make_contender(
        (48.0, 180.0), (-0.01, 0.02), ((-0.02, 0.0), (0.01, 0.03)), rate=(80.0, 5.0), distortion=(40.0, 130.0)
    ),
    dedicated=Dedicated(
        L=(49.0, 176.0),
        rate=(90.0, 4.6),
        distortion=(40.0, 130.0),
        learning_rate=(0.01, 0.01),
        learning_rates_tried=(Trial(learning_rate=0.01, diverged=False, validation=49.5, beta=0.1),),
        best_at_grid_end=True,
    ),
    arms={
        "paper": make_contender(
            (55.0, 190.0), (0.10, 0.08), ((0.09, 0.11), (0.07, 0.09)), rate=(100.0, 6.0), distortion=(45.0, 130.0)
        )
    },
    cost=Cost(
        mrvae=Spent(flops=90.0, seconds=2.0),
        dedicated=SpentByBeta(flops=200.0, seconds=4.0, flops_per_beta=(100.0, 100.0), seconds_per_beta=(2.0, 2.0)),
        arms={"paper": Spent(flops=100.0, seconds=2.0)},
    ),
    seeds=(0, 1),
    per_seed=(
        PerSeed(
            seed=0,
            dedicated=SeedLoss(L=(49.0, 176.0)),
            mrvae=SeedGap(L=(48.0, 180.0), gap=(-0.01, 0.02)),
            arms={"paper": SeedGap(L=(55.0, 190.0), gap=(0.10, 0.08))},
        ),
    ),
    training_curves=(TrainingCurve(beta=0.1, seed=0, epoch=(0, 1), L=(60.0, 50.0)),),
    recipe=RECIPE,
    data={"name": "mine", "split": "test", "examples": 100},
    draws=2,
    hardware="1 CPU thread",
    version="0.1.0",
    doubling=(Doubling(beta=0.1, improvement=0.001, epochs=4),),
    converged=True,
)


def make_budget(budget, losses, gaps, **figures) -> AtBudget:
    interval = tuple((gap - 0.01, gap + 0.01) for gap in gaps)
    costs = {"flops": 90.0 * budget, "seconds": 2.0 * budget}
    return AtBudget(budget=budget, L=losses, gap=gaps, gap_interval=interval, **costs, **figures)


BUDGETS = (
    make_budget(0.5, (50.0, 184.0), (0.02, 0.05), validation_gap=(0.01, 0.04), gap_spread=(0.01, 0.02)),
    make_budget(1.0, (48.0, 180.0), (-0.01, 0.02), validation_gap=(-0.02, 0.0), gap_spread=(0.01, 0.02)),
    make_budget(3.0, (47.0, 175.0), (-0.04, -0.01), validation_gap=(-0.03, -0.01), gap_spread=(0.01, 0.02)),
)
