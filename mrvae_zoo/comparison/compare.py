"""Comparing a Multi-Rate VAE with dedicated β-VAEs: trained, chosen on validation data, measured on test data."""

import logging
from collections.abc import Sequence

from mrvae_zoo.comparison.plan import MRVAE, Plan
from mrvae_zoo.comparison.record import CONVERGED_BELOW, ComparisonRecord, Doubling
from mrvae_zoo.comparison.runs import Run, Runs
from mrvae_zoo.comparison.summary import Seed, make_record
from mrvae_zoo.comparison.tuning import Choice, choose_arm, choose_budget, choose_dedicated
from mrvae_zoo.evaluation.rate_distortion import Losses

logger = logging.getLogger(__name__)


def compare(plan: Plan, runs: Runs, *, name: str, draws: int) -> ComparisonRecord:
    """Carry out a plan: train, choose learning rates and a budget, and measure the chosen models on the test split.

    Finished trainings are reused, so the same call continues after it was killed.

    Args:
        plan: The plan: what to train.
        runs: The folder of the trainings and how they are run.
        name: The name of the recipe.
        draws: The number of draws of z per image and β, on the test split.

    Raises:
        ValueError: The folder of a run holds another recipe, or the data do not fit the model.
        FloatingPointError: A training diverged, and there is no other to take its place.
        KeyboardInterrupt: SIGINT or SIGTERM came; the state of the training is saved.
        OSError: The runs cannot be written.
    """
    first = plan.seeds[0]
    dedicated = choose_dedicated(plan, runs)
    runs.train(_dedicated_runs(plan, dedicated, first))
    own = [_validation(runs, run)[0] for run in _dedicated_runs(plan, dedicated, first)]
    choices = {label: choose_arm(plan, runs, label, own) for label in plan.all_arms}
    at_budgets = _budget_runs(plan, choices[MRVAE], first)
    validation_gaps = {budget: _gaps(_validation(runs, run), own) for budget, run in at_budgets.items()}
    budget = choose_budget(validation_gaps)
    doubling = tuple(_double(plan, runs, dedicated, own, beta) for beta in plan.doubled_betas)
    others = [run for seed in plan.seeds[1:] for run in _runs_of(plan, dedicated, choices, seed)]
    runs.train(others)
    for run in others:
        _validation(runs, run)
    seeds = [_measure(plan, runs, dedicated, choices, seed, draws) for seed in plan.seeds]
    return make_record(
        plan,
        runs,
        name=name,
        draws=draws,
        dedicated=dedicated,
        choices=choices,
        budget=budget,
        validation_gaps=validation_gaps,
        doubling=doubling,
        seeds=seeds,
    )


def _dedicated_runs(plan: Plan, choice: Choice, seed: int) -> list[Run]:
    """Return the dedicated runs, one per β."""
    return [plan.dedicated(beta, rate, seed) for beta, rate in zip(plan.betas, choice.rates, strict=True)]


def _budget_runs(plan: Plan, choice: Choice, seed: int) -> dict[float, Run]:
    """Return the runs of the Multi-Rate VAE, one per budget."""
    return {budget: plan.arm(MRVAE, choice.rates[0], seed, budget=budget) for budget in plan.budgets}


def _arm_runs(plan: Plan, choices: dict[str, Choice], seed: int) -> dict[str, Run]:
    """Return the runs of the further arms, one per arm."""
    return {label: plan.arm(label, choices[label].rates[0], seed) for label in plan.arms}


def _runs_of(plan: Plan, dedicated: Choice, choices: dict[str, Choice], seed: int) -> list[Run]:
    """Return all runs of a seed: the dedicated ones, those of each budget, and those of the further arms."""
    ours = (*_budget_runs(plan, choices[MRVAE], seed).values(), *_arm_runs(plan, choices, seed).values())
    return [*_dedicated_runs(plan, dedicated, seed), *ours]


def _gaps(ours: Sequence[float], dedicated: Sequence[float]) -> tuple[float, ...]:
    return tuple(one / own - 1 for one, own in zip(ours, dedicated, strict=True))


def _validation(runs: Runs, run: Run) -> tuple[float, ...]:
    """Return L on the validation split of a training that must not diverge."""
    losses = runs.validation(run)
    if losses is None:
        raise FloatingPointError(
            f"{runs.folder / run.name} diverged, at the learning rate that was chosen for it; compare with lower ones "
            "(--learning-rate), or in another --runs with training.clip_norm"
        )
    return losses


def _double(plan: Plan, runs: Runs, choice: Choice, own: Sequence[float], beta: float) -> Doubling:
    """Measure what twice the epochs gain the dedicated β-VAE of `beta`; `own` is L of all on the validation split."""
    at = plan.betas.index(beta)
    longer = plan.dedicated(beta, choice.rates[at], plan.seeds[0], doubled=True)
    improvement = 1 - _validation(runs, longer)[0] / own[at]
    if improvement >= CONVERGED_BELOW:
        logger.warning(
            "NOT CONVERGED: twice the epochs improve the dedicated β-VAE of beta %g by %.2f%%, and %.1f%% is too much; "
            "give more training.epochs",
            *(beta, 100 * improvement, 100 * CONVERGED_BELOW),
        )
    return Doubling(beta=beta, improvement=improvement, epochs=longer.recipe.training.epochs)


def _measure(plan: Plan, runs: Runs, dedicated: Choice, choices: dict[str, Choice], seed: int, draws: int) -> Seed:
    """Measure the chosen trainings of a seed on the test split."""
    own = _dedicated_runs(plan, dedicated, seed)
    budgets, arms = _budget_runs(plan, choices[MRVAE], seed), _arm_runs(plan, choices, seed)

    def at_each_beta(run: Run) -> list[Losses]:
        return [runs.test_losses(run, beta, draws=draws) for beta in plan.betas]

    return Seed(
        seed=seed,
        dedicated=own,
        budgets=budgets,
        arms=arms,
        dedicated_losses=[runs.test_losses(run, beta, draws=draws) for run, beta in zip(own, plan.betas, strict=True)],
        budget_losses={budget: at_each_beta(run) for budget, run in budgets.items()},
        arm_losses={label: at_each_beta(run) for label, run in arms.items()},
    )
