"""What a comparison found: its choices on the validation split, and its measurements on the test split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrvae_zoo.comparison.plan import MRVAE
from mrvae_zoo.comparison.record import Doubling, MultiRateDoubling
from mrvae_zoo.comparison.runs import Run
from mrvae_zoo.comparison.tuning import Choice
from mrvae_zoo.evaluation.rate_distortion import Losses


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a comparison found on the validation split.

    Attributes:
        dedicated: The learning rates of the dedicated β-VAEs.
        choices: The learning rates and draws of all arms.
        budget: The budget of the Multi-Rate VAE that is compared with the dedicated ones.
        validation_gaps: The gaps at each β, by budget.
        doubling: The gains of dedicated β-VAEs from twice the epochs.
        mrvae_doubling: The gain of the Multi-Rate VAE from twice the steps; None in any regime but "converged".
    """

    dedicated: Choice
    choices: Mapping[str, Choice]
    budget: float
    validation_gaps: Mapping[float, tuple[float, ...]]
    doubling: tuple[Doubling, ...] = ()
    mrvae_doubling: MultiRateDoubling | None = None


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
