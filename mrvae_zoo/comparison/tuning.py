"""Choosing on the validation split, with the first seed: learning rates, from the same grid for all, and a budget."""

import logging
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrvae_zoo.comparison.plan import Plan
from mrvae_zoo.comparison.record import Trial
from mrvae_zoo.comparison.runs import Runs

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The learning rates of a side.

    Attributes:
        tried: The learning rates that were tried, each with its figure.
        rates: The chosen learning rates: one per β for the dedicated β-VAEs, a single one for an arm.
        at_grid_end: Whether a chosen rate lies at an end of the grid.
    """

    tried: tuple[Trial, ...]
    rates: tuple[float, ...]
    at_grid_end: bool


def choose_dedicated(plan: Plan, runs: Runs) -> Choice:
    """Choose the rate of the lowest L of the dedicated β-VAEs at both ends of the range, log-linear in log β between.

    Raises:
        FloatingPointError: Every rate diverged at one of the ends.
    """
    tried: list[Trial] = []
    best: list[float] = []
    at_end = False
    runs.train([plan.dedicated(beta, rate, plan.seeds[0]) for beta in plan.ends for rate in plan.grid])
    for beta in plan.ends:
        what = f"the dedicated β-VAE of beta {beta:g}"
        trials = []
        for rate in plan.grid:
            found = runs.validation(plan.dedicated(beta, rate, plan.seeds[0]))
            trials.append(_trial(rate, None if found is None else found[0], beta))
        best.append(_best(trials, what))
        at_end |= _at_grid_end(plan, best[-1], what)
        tried += trials
    rates = tuple(plan.between(beta, *best) for beta in plan.betas)
    return Choice(tried=tuple(tried), rates=rates, at_grid_end=at_end)


def choose_arm(plan: Plan, runs: Runs, label: str, dedicated: Sequence[float]) -> Choice:
    """Choose the rate of an arm: the lowest mean over β of its L divided by that of the dedicated β-VAE.

    It is chosen at the largest budget, and is also used for the others.

    Args:
        plan: The plan of the comparison.
        runs: The trainings.
        label: The name of the arm.
        dedicated: The loss L of the dedicated β-VAE of each β, on the validation split.

    Raises:
        FloatingPointError: Every rate diverged.
    """
    trials = []
    runs.train([plan.arm(label, rate, plan.seeds[0]) for rate in plan.grid])
    for rate in plan.grid:
        found = runs.validation(plan.arm(label, rate, plan.seeds[0]))
        pairs = None if found is None else zip(found, dedicated, strict=True)
        trials.append(_trial(rate, None if pairs is None else statistics.fmean(ours / own for ours, own in pairs)))
    best = _best(trials, label)
    return Choice(tried=tuple(trials), rates=(best,), at_grid_end=_at_grid_end(plan, best, label))


def choose_budget(gaps: Mapping[float, Sequence[float]]) -> float:
    """Return the smallest budget at which no gap is above 0, or the largest if there is none.

    Args:
        gaps: The gaps on the validation split at each β, by budget.
    """
    for budget in sorted(gaps):
        worst = max(gaps[budget])
        logger.info("budget %g: the worst gap on the validation split is %+.2f%%", budget, 100 * worst)
        if worst <= 0:
            return budget
    return max(gaps)


def _trial(rate: float, validation: float | None, beta: float | None = None) -> Trial:
    if validation is not None and not math.isfinite(validation):
        validation = None
    return Trial(learning_rate=rate, diverged=validation is None, validation=validation, beta=beta)


def _best(trials: Sequence[Trial], what: str) -> float:
    finished = [(trial.validation, trial.learning_rate) for trial in trials if trial.validation is not None]
    if not finished:
        tried = ", ".join(f"{trial.learning_rate:g}" for trial in trials)
        raise FloatingPointError(f"{what} diverged at every learning rate ({tried}); give lower ones, --learning-rate")
    return min(finished)[1]


def _at_grid_end(plan: Plan, rate: float, what: str) -> bool:
    if plan.grid[0] < rate < plan.grid[-1]:
        return False
    logger.warning(
        "the best learning rate of %s, %g, lies at an end of the grid (%s); one beyond it may be better: "
        "--learning-rate gives others",
        *(what, rate, ", ".join(f"{each:g}" for each in plan.grid)),
    )
    return True
