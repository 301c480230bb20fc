"""From the losses of each image to the figures of a comparison: means, gaps and their intervals, costs.

Letters: N images of the test split.
"""

import statistics
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mrvae_zoo._version import __version__
from mrvae_zoo.comparison.findings import Found, Seed
from mrvae_zoo.comparison.interval import intervals, relative_gap
from mrvae_zoo.comparison.plan import MRVAE, Plan
from mrvae_zoo.comparison.record import (
    CONVERGED_BELOW,
    Arm,
    AtBudget,
    ComparisonRecord,
    Dedicated,
    PerSeed,
    SeedGap,
    SeedLoss,
    TrainingCurve,
)
from mrvae_zoo.comparison.runs import Run, Runs
from mrvae_zoo.comparison.spending import Spending
from mrvae_zoo.comparison.tuning import Choice
from mrvae_zoo.evaluation.rate_distortion import Losses
from mrvae_zoo.training.recipe import to_toml

Interval = tuple[float, float]


def make_record(
    plan: Plan, runs: Runs, found: Found, seeds: Sequence[Seed], *, name: str, draws: int
) -> ComparisonRecord:
    """Make the record of everything that a comparison found.

    Args:
        plan: The plan that was carried out.
        runs: The trainings.
        found: What was found on the validation split.
        seeds: The trainings and measurements of each seed.
        name: The name of the recipe.
        draws: The number of draws of z per image and β.

    Raises:
        MissingExtraError: SciPy is not installed, and there are several seeds.
    """
    budget, base = found.budget, _means(plan.betas, [each.dedicated_losses for each in seeds])
    per_seed = tuple(_per_seed(plan.betas, each, budget) for each in seeds)
    spending = Spending.measure(plan, runs, seeds)
    sides = {}
    for label, choice in found.choices.items():
        gaps = [each.mrvae.gap if label == MRVAE else each.arms[label].gap for each in per_seed]
        means = _means(plan.betas, [each.all_arm_losses(budget)[label] for each in seeds])
        sides[label] = _arm(means, base, choice, gaps)
    trained = [run for each in seeds for run in (*each.dedicated, *each.budgets.values(), *each.arms.values())]
    gains = [each.improvement for each in found.doubling]
    is_short = max(gains, default=0.0) >= CONVERGED_BELOW
    overfits = not is_short and min(gains, default=0.0) <= -CONVERGED_BELOW
    doubled = plan.regime == "converged"
    return ComparisonRecord(
        name=name,
        regime=plan.regime,
        budget=budget,
        arms_at=plan.budgets[0],
        betas=plan.betas,
        mrvae=sides.pop(MRVAE),
        dedicated=Dedicated(
            L=base.L,
            rate=base.rate,
            distortion=base.distortion,
            learning_rate=found.dedicated.rates,
            learning_rates_tried=found.dedicated.tried,
            best_at_grid_end=found.dedicated.at_grid_end,
            tuned_at=plan.anchors,
        ),
        arms=sides,
        cost=spending.cost(budget),
        seeds=plan.seeds,
        per_seed=per_seed,
        training_curves=tuple(_training_curve(plan, runs, run) for each in seeds for run in each.dedicated),
        recipe=tomllib.loads(to_toml(plan.recipe)),
        data=runs.test_data.describe() | {"train_examples": plan.examples},
        draws=draws,
        hardware="; ".join(sorted({runs.trained(run).hardware for run in trained})),
        version=__version__,
        doubling=found.doubling if doubled else None,
        converged=not (is_short or overfits) if doubled else None,
        overfits=overfits if doubled else None,
        mrvae_doubling=found.mrvae_doubling,
        validations=plan.validations,
        budgets=_at_budgets(plan, spending, found, base, seeds) if len(plan.budgets) > 1 else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Means:
    """The means at each β over images and seeds; `images` holds L of each image averaged over seeds, (N,) at each β."""

    L: tuple[float, ...]
    rate: tuple[float, ...]
    distortion: tuple[float, ...]
    images: tuple[Tensor, ...]


def _means(betas: Sequence[float], seeds: Sequence[Sequence[Losses]]) -> _Means:
    rate = tuple(torch.stack([seed[i].rate for seed in seeds]).mean().item() for i in range(len(betas)))
    distortion = tuple(torch.stack([seed[i].distortion for seed in seeds]).mean().item() for i in range(len(betas)))
    images = tuple(torch.stack([seed[i].at(beta) for seed in seeds]).mean(0) for i, beta in enumerate(betas))
    return _Means(L=tuple(each.mean().item() for each in images), rate=rate, distortion=distortion, images=images)


def _arm(means: _Means, base: _Means, choice: Choice, gaps: Sequence[Sequence[float]]) -> Arm:
    gap, interval, spread = _gaps(means, base, gaps)
    return Arm(
        L=means.L,
        rate=means.rate,
        distortion=means.distortion,
        gap=gap,
        gap_interval=interval,
        gap_spread=spread,
        learning_rate=choice.rates[0],
        learning_rates_tried=choice.tried,
        best_at_grid_end=choice.at_grid_end,
        draws=choice.draws,
    )


def _at_budgets(
    plan: Plan, spending: Spending, found: Found, base: _Means, seeds: Sequence[Seed]
) -> tuple[AtBudget, ...]:
    """Return the Multi-Rate VAE at each budget."""
    at_each = []
    for budget in plan.budgets:
        means = _means(plan.betas, [each.budget_losses[budget] for each in seeds])
        of_seeds = [_seed_gap(plan.betas, each, each.budget_losses[budget]).gap for each in seeds]
        gap, interval, spread = _gaps(means, base, of_seeds)
        spent = spending.at_budget(budget)
        at_budget = AtBudget(
            budget=budget,
            L=means.L,
            gap=gap,
            gap_interval=interval,
            gap_spread=spread,
            validation_gap=found.validation_gaps[budget],
            flops=spent.flops,
            seconds=spent.seconds,
            wall_seconds=spent.wall_seconds,
            steps=spent.steps,
        )
        at_each.append(at_budget)
    return tuple(at_each)


def _gaps(
    means: _Means, base: _Means, of_seeds: Sequence[Sequence[float]]
) -> tuple[tuple[float, ...], tuple[Interval, ...] | None, tuple[float, ...] | None]:
    """Return the gap at each β, the intervals and the spread over seeds; None for both if there is one seed.

    `of_seeds` holds the gaps of each seed.
    """
    pairs = [relative_gap(ours, own) for ours, own in zip(means.images, base.images, strict=True)]
    gaps = tuple(gap for gap, _ in pairs)
    if len(of_seeds) == 1:
        return gaps, None, None
    spread = tuple(statistics.stdev(each) for each in zip(*of_seeds, strict=True))
    return gaps, intervals(gaps, [error for _, error in pairs], spread, len(of_seeds)), spread


def _per_seed(betas: Sequence[float], seed: Seed, budget: float) -> PerSeed:
    base = _means(betas, [seed.dedicated_losses])
    sides = {label: _seed_gap(betas, seed, losses) for label, losses in seed.all_arm_losses(budget).items()}
    return PerSeed(seed=seed.seed, dedicated=SeedLoss(L=base.L), mrvae=sides.pop(MRVAE), arms=sides)


def _seed_gap(betas: Sequence[float], seed: Seed, losses: Sequence[Losses]) -> SeedGap:
    ours, own = _means(betas, [losses]), _means(betas, [seed.dedicated_losses])
    pairs = zip(ours.images, own.images, strict=True)
    return SeedGap(L=ours.L, gap=tuple(relative_gap(*pair)[0] for pair in pairs))


def _training_curve(plan: Plan, runs: Runs, run: Run) -> TrainingCurve:
    losses = runs.training_losses(run, steps_an_epoch=plan.steps_an_epoch)
    (beta,) = run.betas
    epochs = tuple(range(len(losses)))
    return TrainingCurve(beta=beta, seed=run.recipe.training.seed, epoch=epochs, L=tuple(losses))
