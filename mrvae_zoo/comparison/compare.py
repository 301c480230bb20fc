"""Comparing a Multi-Rate VAE with dedicated β-VAEs: trained, chosen on validation data, measured on test data."""

import logging
from collections.abc import Mapping, Sequence

from mrvae_zoo.comparison.findings import Found, Seed
from mrvae_zoo.comparison.plan import MRVAE, Plan
from mrvae_zoo.comparison.record import CONVERGED_BELOW, ComparisonRecord, Doubling, MultiRateDoubling
from mrvae_zoo.comparison.runs import Run, Runs
from mrvae_zoo.comparison.summary import make_record
from mrvae_zoo.comparison.tuning import Choice, arm_candidates, choose_arms, choose_budget, choose_dedicated
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
        RuntimeError: A process that trains ended before its time.
        KeyboardInterrupt: SIGINT or SIGTERM came; the states of the trainings are saved.
        MissingExtraError: SciPy is not installed, and there are several seeds.
        OSError: The runs cannot be written.
    """
    try:
        found = _train(plan, runs)
    finally:
        runs.close()
    seeds = [_measure(plan, runs, found, seed, draws) for seed in plan.seeds]
    return make_record(plan, runs, found, seeds, name=name, draws=draws)


def _train(plan: Plan, runs: Runs) -> Found:
    """Train everything, and choose. What does not wait for a choice is begun early where a process is idle."""
    first, candidates = plan.seeds[0], arm_candidates(plan)
    dedicated = choose_dedicated(plan, runs, meanwhile=candidates)
    own_runs = _dedicated_runs(plan, dedicated, first)
    longer = [_doubled_run(plan, dedicated, beta) for beta in plan.doubled_betas]
    later = [*longer, *(run for seed in plan.seeds[1:] for run in _dedicated_runs(plan, dedicated, seed))]
    runs.train(own_runs, meanwhile=[*candidates, *later])
    own = [_validation(runs, run)[0] for run in own_runs]
    choices = choose_arms(plan, runs, own, meanwhile=later)

    later += [run for seed in plan.seeds[1:] for run in _arm_runs(plan, choices, seed).values()]
    later += [run for seed in plan.seeds[1:] for run in _budget_runs(plan, choices[MRVAE], seed).values()]
    at_budgets = _budget_runs(plan, choices[MRVAE], first)
    runs.train([*at_budgets.values()], meanwhile=later)
    validation_gaps = {budget: _gaps(_validation(runs, run), own) for budget, run in at_budgets.items()}
    budget = choose_budget(validation_gaps)
    twice = plan.arm(MRVAE, choices[MRVAE].rates[0], first, budget=budget, doubled=True)
    runs.train([*([twice] if longer else []), *later])
    for run in later:
        _validation(runs, run)
    return Found(
        dedicated=dedicated,
        choices=choices,
        budget=budget,
        validation_gaps=validation_gaps,
        doubling=tuple(_double(plan, runs, dedicated, own, beta) for beta in plan.doubled_betas),
        mrvae_doubling=_double_mrvae(runs, at_budgets[budget], twice) if longer else None,
    )


def _dedicated_runs(plan: Plan, choice: Choice, seed: int) -> list[Run]:
    """Return the dedicated runs, one per β."""
    return [plan.dedicated(beta, rate, seed) for beta, rate in zip(plan.betas, choice.rates, strict=True)]


def _doubled_run(plan: Plan, choice: Choice, beta: float) -> Run:
    """Return the dedicated run of `beta` with twice the epochs."""
    return plan.dedicated(beta, choice.rates[plan.betas.index(beta)], plan.seeds[0], doubled=True)


def _budget_runs(plan: Plan, choice: Choice, seed: int) -> dict[float, Run]:
    """Return the runs of the Multi-Rate VAE, one per budget."""
    return {budget: plan.arm(MRVAE, choice.rates[0], seed, budget=budget) for budget in plan.budgets}


def _arm_runs(plan: Plan, choices: Mapping[str, Choice], seed: int) -> dict[str, Run]:
    """Return the runs of the further arms, one per arm."""
    return {label: plan.arm(label, choices[label].rates[0], seed, draws=choices[label].draws) for label in plan.arms}


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
    longer = _doubled_run(plan, choice, beta)
    improvement = 1 - _validation(runs, longer)[0] / own[plan.betas.index(beta)]
    if abs(improvement) >= CONVERGED_BELOW:
        word, change = ("NOT CONVERGED", "improve") if improvement > 0 else ("OVERFITS", "worsen")
        remedy = "give more training.epochs" if improvement > 0 else "give fewer training.epochs, or regularise"
        logger.warning(
            "%s: twice the epochs %s the dedicated β-VAE of beta %g by %.2f%%, and %.1f%% is too much; %s",
            *(word, change, beta, 100 * abs(improvement), 100 * CONVERGED_BELOW, remedy),
        )
    return Doubling(beta=beta, improvement=improvement, epochs=longer.recipe.training.epochs)


def _double_mrvae(runs: Runs, once: Run, twice: Run) -> MultiRateDoubling:
    """Measure what twice the steps gain the Multi-Rate VAE at each β."""
    pairs = zip(_validation(runs, once), _validation(runs, twice), strict=True)
    improvement = tuple(1 - longer / loss for loss, longer in pairs)
    steps = twice.recipe.training.max_steps
    assert steps is not None  # an arm has them
    return MultiRateDoubling(improvement=improvement, steps=steps)


def _measure(plan: Plan, runs: Runs, found: Found, seed: int, draws: int) -> Seed:
    """Measure the chosen trainings of a seed on the test split."""
    choices = found.choices
    own = _dedicated_runs(plan, found.dedicated, seed)
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
