"""Choosing on the validation split, with the first seed: learning rates, draws of β for arms, and a budget.

The same rules hold for all sides. Every learning rate of the grid is tried. Where the best one lies at an end of what
was tried, the next one beyond it is tried too, up to MOST_ADDED times.
"""

import logging
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mrvae_zoo.comparison.plan import OWN_DRAWS, Plan
from mrvae_zoo.comparison.record import Trial
from mrvae_zoo.comparison.runs import Run, Runs

MOST_ADDED = 4  # learning rates beyond the grid

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen for a side.

    Attributes:
        tried: The learning rates that were tried, each with its figure.
        rates: The chosen learning rates: one per β for the dedicated β-VAEs, a single one for an arm.
        at_grid_end: Whether a chosen rate lies at an end of those that were tried.
        draws: The way an arm draws and weights β.
    """

    tried: tuple[Trial, ...]
    rates: tuple[float, ...]
    at_grid_end: bool
    draws: str = OWN_DRAWS


@dataclass(slots=True, kw_only=True)
class Search:
    """The search for the learning rate of one β-VAE, or of an arm that draws β in one way.

    Attributes:
        what: What is trained, in words.
        run: The function from a learning rate to the training.
        figure: The function from L at each β of the training, on the validation split, to the figure to minimise.
        beta: The β of a dedicated β-VAE; None for an arm.
        draws: The way an arm draws and weights β; None for a dedicated β-VAE.
        losses: The losses L of each learning rate that was tried; None if it diverged.
    """

    what: str
    run: Callable[[float], Run]
    figure: Callable[[Sequence[float]], float]
    beta: float | None = None
    draws: str | None = None
    losses: dict[float, tuple[float, ...] | None] = field(default_factory=dict)

    def trials(self) -> tuple[Trial, ...]:
        """Return what was tried, in rising order of the learning rate."""
        return tuple(self._trial(rate, self.losses[rate]) for rate in sorted(self.losses))

    def _trial(self, rate: float, losses: tuple[float, ...] | None) -> Trial:
        figure = None if losses is None else self.figure(losses)
        if figure is None or not math.isfinite(figure):
            return Trial(learning_rate=rate, diverged=True, beta=self.beta, draws=self.draws)
        return Trial(
            learning_rate=rate,
            diverged=False,
            validation=figure,
            beta=self.beta,
            draws=self.draws,
            losses=None if self.draws is None else losses,
        )

    @property
    def best(self) -> tuple[float, float] | None:
        """The lowest figure and its learning rate; None if every one diverged."""
        finished = [(one.validation, one.learning_rate) for one in self.trials() if one.validation is not None]
        return min(finished, default=None)

    @property
    def is_at_end(self) -> bool:
        """Whether the best learning rate is the lowest or the highest of those that were tried."""
        best = self.best
        return best is not None and best[1] in (min(self.losses), max(self.losses))

    def next(self, plan: Plan) -> float | None:
        """Return the learning rate to try next; None if the best one lies within what was tried."""
        best = self.best
        return plan.beyond(best[1]) if best is not None and self.is_at_end else None

    def check(self) -> None:
        """Raise a FloatingPointError if every learning rate diverged."""
        if self.best is None:
            tried = ", ".join(f"{rate:g}" for rate in sorted(self.losses))
            raise FloatingPointError(
                f"{self.what} diverged at every learning rate ({tried}); give lower ones, --learning-rate"
            )

    def warn_at_end(self) -> None:
        """Say that a chosen learning rate lies at an end of those that were tried, if it does."""
        if self.best is not None and self.is_at_end:
            logger.warning(
                "the best learning rate of %s, %g, lies at an end of the grid (%s); one beyond it may be better: "
                "--learning-rate gives others",
                *(self.what, self.best[1], ", ".join(f"{rate:g}" for rate in sorted(self.losses))),
            )


def search_all(plan: Plan, runs: Runs, searches: Sequence[Search], meanwhile: Sequence[Run] = ()) -> None:
    """Carry out several searches together: the grid first, and then what lies beyond it.

    Args:
        plan: The plan of the comparison.
        runs: The trainings.
        searches: The searches, which keep what they find.
        meanwhile: Trainings that idle processes may begin; see `Runs.train`.
    """
    waiting = [(search, rate) for search in searches for rate in plan.grid]
    for added in range(MOST_ADDED + 1):
        runs.train([search.run(rate) for search, rate in waiting], meanwhile)
        for search, rate in waiting:
            search.losses[rate] = runs.validation(search.run(rate))
        following = [(search, search.next(plan)) for search in searches]
        waiting = [(search, rate) for search, rate in following if rate is not None]
        if not waiting or added == MOST_ADDED:
            return
        runs.total += len(waiting)


def choose_dedicated(plan: Plan, runs: Runs, meanwhile: Sequence[Run] = ()) -> Choice:
    """Choose the rate of the lowest L of the dedicated β-VAE at each anchor, log-linear in log β between them.

    Raises:
        FloatingPointError: Every rate diverged at an anchor.
    """

    def search_at(beta: float) -> Search:
        return Search(
            what=f"the dedicated β-VAE of beta {beta:g}",
            run=lambda rate: plan.dedicated(beta, rate, plan.seeds[0]),
            figure=lambda losses: losses[0],
            beta=beta,
        )

    searches = [search_at(beta) for beta in plan.anchors]
    search_all(plan, runs, searches, meanwhile)
    best = []
    for search in searches:
        search.check()
        search.warn_at_end()
        assert search.best is not None
        best.append(search.best[1])
    return Choice(
        tried=tuple(trial for search in searches for trial in search.trials()),
        rates=plan.rates(best),
        at_grid_end=any(search.is_at_end for search in searches),
    )


def choose_arms(plan: Plan, runs: Runs, dedicated: Sequence[float], meanwhile: Sequence[Run] = ()) -> dict[str, Choice]:
    """Choose the rate of each arm: the lowest mean over β of its L divided by that of the dedicated β-VAE.

    For an arm besides that of the recipe, the way to draw β is chosen with it. All is chosen at the smallest budget,
    and is also used for the others.

    Args:
        plan: The plan of the comparison.
        runs: The trainings.
        dedicated: The loss L of the dedicated β-VAE of each β, on the validation split.
        meanwhile: Trainings that idle processes may begin; see `Runs.train`.

    Returns:
        The choice for each arm, by its name.

    Raises:
        FloatingPointError: Every rate of an arm diverged.
    """

    def ratio(losses: Sequence[float]) -> float:
        return statistics.fmean(ours / own for ours, own in zip(losses, dedicated, strict=True))

    def search_of(label: str, draws: str) -> Search:
        return Search(
            what=label if draws == OWN_DRAWS else f"{label} with {draws} β",
            run=lambda rate: plan.arm(label, rate, plan.seeds[0], draws=draws),
            figure=ratio,
            draws=draws,
        )

    searches = {label: [search_of(label, draws) for draws in plan.draws(label)] for label in plan.all_arms}
    search_all(plan, runs, [one for of_arm in searches.values() for one in of_arm], meanwhile)
    return {label: _choose(of_arm) for label, of_arm in searches.items()}


def _choose(searches: Sequence[Search]) -> Choice:
    """Choose among the ways to draw β of an arm."""
    found = min(searches, key=lambda search: search.best or (math.inf, 0.0))
    found.check()
    found.warn_at_end()
    assert found.best is not None
    assert found.draws is not None
    return Choice(
        tried=tuple(trial for search in searches for trial in search.trials()),
        rates=(found.best[1],),
        at_grid_end=found.is_at_end,
        draws=found.draws,
    )


def arm_candidates(plan: Plan) -> list[Run]:
    """Return the trainings of the first grid of every arm, which depend on no choice."""
    pairs = [(label, draws) for label in plan.all_arms for draws in plan.draws(label)]
    return [plan.arm(label, rate, plan.seeds[0], draws=draws) for label, draws in pairs for rate in plan.grid]


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
