"""The cost of each side of a comparison: its steps, times what one of them costs."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrvae_zoo.comparison.findings import Seed
from mrvae_zoo.comparison.plan import Plan
from mrvae_zoo.comparison.runs import Run, Runs
from mrvae_zoo.comparison.spent import Cost, Spent, SpentByBeta, StepCost


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """The cost of the chosen trainings.

    Attributes:
        plan: The plan of the comparison.
        runs: The trainings.
        seeds: The chosen trainings of each seed.
        steps: The cost of one step of each training of the first seed, by its name.
        device: The name of the device.
    """

    plan: Plan
    runs: Runs
    seeds: Sequence[Seed]
    steps: Mapping[str, StepCost]
    device: str

    @classmethod
    def measure(cls, plan: Plan, runs: Runs, seeds: Sequence[Seed]) -> "Spending":
        """Measure what a step of each training costs; the dedicated ones, which differ in β alone, are one."""
        first = seeds[0]
        timed = (first.dedicated[0], *first.budgets.values(), *first.arms.values())
        steps, device = runs.step_costs(timed)
        return cls(plan=plan, runs=runs, seeds=seeds, steps=steps, device=device)

    def cost(self, budget: float) -> Cost:
        """Return the cost of each side, with the Multi-Rate VAE at a budget."""
        dedicated = [[seed.dedicated[i] for seed in self.seeds] for i in range(len(self.plan.betas))]
        step = self.steps[dedicated[0][0].name]
        each = [self._spent(of_seeds, step) for of_seeds in dedicated]
        return Cost(
            mrvae=self.at_budget(budget),
            dedicated=SpentByBeta(
                flops=sum(one.flops for one in each),
                seconds=sum(one.seconds for one in each),
                flops_per_beta=tuple(one.flops for one in each),
                seconds_per_beta=tuple(one.seconds for one in each),
                wall_seconds_per_beta=tuple(self._wall_seconds(of_seeds) for of_seeds in dedicated),
                steps=each[0].steps,
                step=step,
            ),
            arms={label: self._of_arm([seed.arms[label] for seed in self.seeds]) for label in self.plan.arms},
            device=self.device,
        )

    def at_budget(self, budget: float) -> Spent:
        """Return the cost of the Multi-Rate VAE at a budget."""
        return self._of_arm([seed.budgets[budget] for seed in self.seeds])

    def _of_arm(self, of_seeds: Sequence[Run]) -> Spent:
        return self._spent(of_seeds, self.steps[of_seeds[0].name])

    def _spent(self, of_seeds: Sequence[Run], step: StepCost) -> Spent:
        """Return the cost of one training, which is the same for every seed but for the wall time."""
        steps = self.plan.steps(of_seeds[0].recipe.training)
        return Spent(
            flops=self.plan.flops(of_seeds[0]),
            seconds=steps * step.seconds,
            wall_seconds=self._wall_seconds(of_seeds),
            steps=steps,
            step=step,
        )

    def _wall_seconds(self, of_seeds: Sequence[Run]) -> float:
        return statistics.fmean(self.runs.trained(run).seconds for run in of_seeds)
