"""From the losses of each image to the figures of a comparison: means, gaps and their intervals, costs.

Letters: N images of the test split.
"""

import math
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mrvae_zoo._version import __version__
from mrvae_zoo.comparison.plan import MRVAE, Plan
from mrvae_zoo.comparison.record import (
    CONVERGED_BELOW,
    Arm,
    AtBudget,
    ComparisonRecord,
    Cost,
    Dedicated,
    Doubling,
    PerSeed,
    SeedGap,
    SeedLoss,
    Spent,
    SpentByBeta,
    TrainingCurve,
)
from mrvae_zoo.comparison.runs import Run, Runs
from mrvae_zoo.comparison.tuning import Choice
from mrvae_zoo.evaluation.rate_distortion import Losses
from mrvae_zoo.training.recipe import to_toml

NORMAL_95 = 1.959964  # standard deviations, of a 95% interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """The chosen trainings of one seed, and their losses on the test split at each β.

    `budgets` holds the trainings of the Multi-Rate VAE, by budget.
    """

    seed: int
    dedicated: Sequence[Run]
    budgets: Mapping[float, Run]
    arms: Mapping[str, Run]
    dedicated_losses: Sequence[Losses]
    budget_losses: Mapping[float, Sequence[Losses]]
    arm_losses: Mapping[str, Sequence[Losses]]

    def all_arms(self, budget: float) -> dict[str, Run]:
        """Return the trainings of the recipe's own arm at a budget, "mrvae", and of the further arms."""
        return {MRVAE: self.budgets[budget], **self.arms}

    def all_arm_losses(self, budget: float) -> dict[str, Sequence[Losses]]:
        """Return the losses of the trainings of `all_arms`."""
        return {MRVAE: self.budget_losses[budget], **self.arm_losses}


def relative_gap(ours: Tensor, dedicated: Tensor) -> tuple[float, tuple[float, float]]:
    """Return the gap between two models and its 95% interval, with images as the sampling unit.

    The gap is a ratio of two means minus one. By the delta method its variance is that of the mean over images of ours
    − ratio · dedicated, divided by the squared mean of `dedicated`.

    Args:
        ours: The loss L of each image, (N,) nats.
        dedicated: The loss L of the dedicated β-VAE for the same images, (N,) nats.
    """
    base = dedicated.mean().item()
    gap = (ours - dedicated).mean().item() / base
    residual = ours - (1 + gap) * dedicated
    half = NORMAL_95 * residual.std().item() / math.sqrt(len(residual)) / base if len(residual) > 1 else 0.0
    return gap, (gap - half, gap + half)


def make_record(
    plan: Plan,
    runs: Runs,
    *,
    name: str,
    draws: int,
    dedicated: Choice,
    choices: Mapping[str, Choice],
    budget: float,
    validation_gaps: Mapping[float, tuple[float, ...]],
    doubling: tuple[Doubling, ...],
    seeds: Sequence[Seed],
) -> ComparisonRecord:
    """Make the record of everything that a comparison found.

    Args:
        plan: The plan that was carried out.
        runs: The trainings.
        name: The name of the recipe.
        draws: The number of draws of z per image and β.
        dedicated: The learning rates of the dedicated β-VAEs.
        choices: The learning rates of all arms.
        budget: The budget of the Multi-Rate VAE that is compared with the dedicated ones.
        validation_gaps: The gaps on the validation split at each β, by budget.
        doubling: The gains from twice the epochs.
        seeds: The trainings and measurements of each seed.
    """
    base = _means(plan.betas, [each.dedicated_losses for each in seeds])
    per_seed = tuple(_per_seed(plan.betas, each, budget) for each in seeds)
    sides = {}
    for label, choice in choices.items():
        gaps = [each.mrvae.gap if label == MRVAE else each.arms[label].gap for each in per_seed]
        means = _means(plan.betas, [each.all_arm_losses(budget)[label] for each in seeds])
        sides[label] = _arm(means, base, choice, gaps)
    trained = [run for each in seeds for run in (*each.dedicated, *each.budgets.values(), *each.arms.values())]
    converged = plan.regime == "converged"
    return ComparisonRecord(
        name=name,
        regime=plan.regime,
        budget=budget,
        betas=plan.betas,
        mrvae=sides.pop(MRVAE),
        dedicated=Dedicated(
            L=base.L,
            rate=base.rate,
            distortion=base.distortion,
            learning_rate=dedicated.rates,
            learning_rates_tried=dedicated.tried,
            best_at_grid_end=dedicated.at_grid_end,
        ),
        arms=sides,
        cost=_cost(plan, runs, seeds, budget),
        seeds=plan.seeds,
        per_seed=per_seed,
        training_curves=tuple(_training_curve(plan, runs, run) for each in seeds for run in each.dedicated),
        recipe=tomllib.loads(to_toml(plan.recipe)),
        data=runs.test_data.describe() | {"train_examples": plan.examples},
        draws=draws,
        hardware="; ".join(sorted({runs.trained(run).hardware for run in trained})),
        version=__version__,
        doubling=doubling if converged else None,
        converged=all(each.improvement < CONVERGED_BELOW for each in doubling) if converged else None,
        budgets=_at_budgets(plan, runs, base, seeds, validation_gaps) if len(plan.budgets) > 1 else None,
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
    gap, interval = _gaps(means, base)
    return Arm(
        L=means.L,
        rate=means.rate,
        distortion=means.distortion,
        gap=gap,
        gap_interval=interval,
        gap_spread=_spread(gaps),
        learning_rate=choice.rates[0],
        learning_rates_tried=choice.tried,
        best_at_grid_end=choice.at_grid_end,
    )


def _at_budgets(
    plan: Plan,
    runs: Runs,
    base: _Means,
    seeds: Sequence[Seed],
    validation_gaps: Mapping[float, tuple[float, ...]],
) -> tuple[AtBudget, ...]:
    """Return the Multi-Rate VAE at each budget."""
    found = []
    for budget in plan.budgets:
        means = _means(plan.betas, [each.budget_losses[budget] for each in seeds])
        gap, interval = _gaps(means, base)
        of_seeds = [_seed_gap(plan.betas, each, each.budget_losses[budget]).gap for each in seeds]
        spent = _spent(plan, runs, [each.budgets[budget] for each in seeds])
        at_budget = AtBudget(
            budget=budget,
            L=means.L,
            gap=gap,
            gap_interval=interval,
            gap_spread=_spread(of_seeds),
            validation_gap=validation_gaps[budget],
            flops=spent.flops,
            seconds=spent.seconds,
        )
        found.append(at_budget)
    return tuple(found)


def _gaps(means: _Means, base: _Means) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...]]:
    """Return the gap at each β, and the intervals."""
    found = [relative_gap(ours, own) for ours, own in zip(means.images, base.images, strict=True)]
    return tuple(gap for gap, _ in found), tuple(interval for _, interval in found)


def _spread(gaps: Sequence[Sequence[float]]) -> tuple[float, ...] | None:
    """Return the standard deviation at each β of the gaps of each seed; None for one seed."""
    return tuple(statistics.stdev(each) for each in zip(*gaps, strict=True)) if len(gaps) > 1 else None


def _per_seed(betas: Sequence[float], seed: Seed, budget: float) -> PerSeed:
    base = _means(betas, [seed.dedicated_losses])
    sides = {label: _seed_gap(betas, seed, losses) for label, losses in seed.all_arm_losses(budget).items()}
    return PerSeed(seed=seed.seed, dedicated=SeedLoss(L=base.L), mrvae=sides.pop(MRVAE), arms=sides)


def _seed_gap(betas: Sequence[float], seed: Seed, losses: Sequence[Losses]) -> SeedGap:
    means = _means(betas, [losses])
    return SeedGap(L=means.L, gap=_gaps(means, _means(betas, [seed.dedicated_losses]))[0])


def _cost(plan: Plan, runs: Runs, seeds: Sequence[Seed], budget: float) -> Cost:
    spent = {
        label: _spent(plan, runs, [seed.all_arms(budget)[label] for seed in seeds])
        for label in seeds[0].all_arms(budget)
    }
    each = [_spent(plan, runs, [seed.dedicated[i] for seed in seeds]) for i in range(len(plan.betas))]
    return Cost(
        mrvae=spent.pop(MRVAE),
        dedicated=SpentByBeta(
            flops=sum(one.flops for one in each),
            seconds=sum(one.seconds for one in each),
            flops_per_beta=tuple(one.flops for one in each),
            seconds_per_beta=tuple(one.seconds for one in each),
        ),
        arms=spent,
    )


def _spent(plan: Plan, runs: Runs, of_seeds: Sequence[Run]) -> Spent:
    """Return the cost of one training, averaged over seeds."""
    seconds = statistics.fmean(runs.trained(run).seconds for run in of_seeds)
    return Spent(flops=plan.flops(of_seeds[0]), seconds=seconds)


def _training_curve(plan: Plan, runs: Runs, run: Run) -> TrainingCurve:
    losses = runs.training_losses(run, steps_an_epoch=plan.steps_an_epoch)
    (beta,) = run.betas
    epochs = tuple(range(len(losses)))
    return TrainingCurve(beta=beta, seed=run.recipe.training.seed, epoch=epochs, L=tuple(losses))
