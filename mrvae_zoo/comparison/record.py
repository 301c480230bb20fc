"""compare_NAME_REGIME.json: a Multi-Rate VAE compared with β-VAEs that were each trained for one β. Needs no torch.

Every loss is L = D + β·R in nats per image; lists have one value per β.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mrvae_zoo.common.schema import from_mapping, to_plain
from mrvae_zoo.comparison.spent import Cost

Regime = Literal["short", "long", "converged"]
CONVERGED_BELOW = 0.005  # the share of L that twice the epochs may still gain, or lose


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A learning rate that was tried.

    Attributes:
        learning_rate: The learning rate.
        diverged: Whether the training diverged.
        validation: The figure on the validation split. It is L of a dedicated β-VAE, or the mean over β of L divided by
            that of the dedicated β-VAEs; None if the training diverged.
        beta: The β of the dedicated β-VAE; None for an arm.
        draws: The way an arm drew and weighted β, as in `Arm`; None for a dedicated β-VAE.
        losses: The loss L of an arm at each β on the validation split; None if the training diverged, and for a
            dedicated β-VAE, whose only loss is `validation`.
    """

    learning_rate: float
    diverged: bool
    validation: float | None = None
    beta: float | None = None
    draws: str | None = None
    losses: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.diverged != (self.validation is None):
            raise ValueError("a trial has a figure of validation, or it diverged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dedicated:
    """The figures of the dedicated β-VAEs.

    Attributes:
        L: The loss L on the test split, averaged over images and seeds.
        rate: The rate R, averaged in the same way.
        distortion: The distortion D, averaged in the same way.
        learning_rate: The learning rate at each β.
        learning_rates_tried: The learning rates that were tried at each β of `tuned_at`, with their figures.
        best_at_grid_end: Whether a chosen rate lies at an end of those that were tried, so that one beyond it may be
            better.
        tuned_at: The values of β at which a rate was chosen; between them it is interpolated. None means both ends of
            the range.
    """

    L: tuple[float, ...]
    rate: tuple[float, ...]
    distortion: tuple[float, ...]
    learning_rate: tuple[float, ...]
    learning_rates_tried: tuple[Trial, ...]
    best_at_grid_end: bool
    tuned_at: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """The figures of an arm of the comparison: one network for every β, compared with the dedicated β-VAEs.

    Attributes:
        L: The loss L on the test split, averaged over images and seeds.
        rate: The rate R, averaged in the same way.
        distortion: The distortion D, averaged in the same way.
        gap: The gap (L − L of the dedicated β-VAE) / L of the dedicated β-VAE; negative is better.
        gap_interval: The 95% interval (low, high) of the gap, over images and trainings (see
            `mrvae_zoo.comparison.interval`); None for one seed.
        gap_spread: The standard deviation of the gap over seeds; None for one seed.
        learning_rate: The learning rate that was chosen, at the budget of the arms.
        learning_rates_tried: The learning rates that were tried, with their figures.
        best_at_grid_end: Whether the chosen rate lies at an end of those that were tried.
        draws: The way β is drawn and weighted: "recipe" for that of the recipe, or one of those in
            `mrvae_zoo.comparison.plan.DRAWS`. None in a file that does not say.
    """

    L: tuple[float, ...]
    rate: tuple[float, ...]
    distortion: tuple[float, ...]
    gap: tuple[float, ...]
    gap_interval: tuple[tuple[float, float], ...] | None = None
    gap_spread: tuple[float, ...] | None = None
    learning_rate: float
    learning_rates_tried: tuple[Trial, ...]
    best_at_grid_end: bool
    draws: str | None = None

    @property
    def mean_gap(self) -> float:
        """The mean gap over β."""
        return statistics.fmean(self.gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedLoss:
    """The loss of one seed on the test split."""

    L: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedGap:
    """The loss and the gap of one seed on the test split."""

    L: tuple[float, ...]
    gap: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerSeed:
    """The figures of one seed."""

    seed: int
    dedicated: SeedLoss
    mrvae: SeedGap
    arms: dict[str, SeedGap]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCurve:
    """The course of the training of a dedicated β-VAE: the mean training loss of each epoch, counted from 0."""

    beta: float
    seed: int
    epoch: tuple[int, ...]
    L: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling:
    """The gain of a dedicated β-VAE from twice the epochs.

    Attributes:
        beta: The β of the dedicated β-VAE.
        improvement: The improvement of L on the validation split, as a fraction of L; negative if L got worse.
        epochs: The number of epochs of the longer training.
    """

    beta: float
    improvement: float
    epochs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiRateDoubling:
    """The gain of the Multi-Rate VAE from twice the steps, at the budget of the comparison.

    Attributes:
        improvement: The improvement of L on the validation split at each β, as a fraction of L.
        steps: The number of steps of the longer training.
    """

    improvement: tuple[float, ...]
    steps: int

    @property
    def mean(self) -> float:
        """The mean improvement over β."""
        return statistics.fmean(self.improvement)

    @property
    def worst(self) -> float:
        """The improvement that is farthest from 0."""
        return max(self.improvement, key=abs)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtBudget:
    """The Multi-Rate VAE at one of several budgets, with the learning rate that was chosen at that of the arms.

    Attributes:
        budget: The budget, in trainings of one dedicated β-VAE.
        L: The loss L on the test split, averaged over images and seeds.
        gap: The gap, as in `Arm`.
        gap_interval: The 95% interval (low, high) of the gap, as in `Arm`; None for one seed.
        gap_spread: The standard deviation of the gap over seeds; None for one seed.
        validation_gap: The gap on the validation split, for the first seed.
        flops: The FLOPs of one training.
        seconds: The seconds of one training, as in `mrvae_zoo.comparison.spent.Spent`.
        wall_seconds: The seconds that one training took, averaged over seeds.
        steps: The number of steps of one training.
    """

    budget: float
    L: tuple[float, ...]
    gap: tuple[float, ...]
    gap_interval: tuple[tuple[float, float], ...] | None = None
    gap_spread: tuple[float, ...] | None = None
    validation_gap: tuple[float, ...]
    flops: float
    seconds: float
    wall_seconds: float | None = None
    steps: int | None = None

    @property
    def mean_gap(self) -> float:
        """The mean gap over β."""
        return statistics.fmean(self.gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRecord:
    """The whole file.

    Attributes:
        name: The name of the recipe.
        regime: The regime: "short"; "long", in which trainings keep their best weights; or "converged", which also has
            `doubling` and `converged`.
        budget: The budget of `mrvae`, in trainings of one dedicated β-VAE of equal operations. Of several budgets it is
            the smallest one without a gap above 0 on the validation split, or else the largest.
        betas: The values of β, in rising order.
        mrvae: The model of the recipe.
        dedicated: The β-VAEs that it is compared with.
        arms: The further arms, by their gating, at the smallest budget.
        cost: The cost of the chosen trainings.
        seeds: The seeds of the trainings.
        per_seed: The figures of each seed.
        training_curves: The training curves of the chosen dedicated β-VAEs.
        recipe: The tables of recipe.toml as compared.
        data: The test split, and the number of training and validation examples.
        draws: The number of draws of z per image and β, on the test split.
        hardware: The hardware of the trainings.
        version: The version of mrvae_zoo.
        doubling: The gain from twice the epochs, at both ends of the range and nearest to β = 1.
        converged: Whether that gain is less than 0.5% everywhere, and no loss of 0.5% either.
        overfits: Whether it is nowhere a gain of 0.5% or more, but somewhere such a loss. None in a file that does not
            say.
        mrvae_doubling: The gain of the Multi-Rate VAE from twice the steps.
        validations: The largest number of validations in a training, which keeps the weights of the best one; None if
            trainings keep the weights of their last step.
        budgets: The model of the recipe at each of several budgets, in rising order; None for one budget.
        arms_at: The budget of the arms, at which learning rates were chosen. None in a file of an older protocol, which
            had it at the largest.
    """

    name: str
    regime: Regime
    budget: float
    betas: tuple[float, ...]
    mrvae: Arm
    dedicated: Dedicated
    arms: dict[str, Arm]
    cost: Cost
    seeds: tuple[int, ...]
    per_seed: tuple[PerSeed, ...]
    training_curves: tuple[TrainingCurve, ...]
    recipe: dict[str, Any]
    data: dict[str, Any]
    draws: int
    hardware: str
    version: str
    doubling: tuple[Doubling, ...] | None = None
    converged: bool | None = None
    overfits: bool | None = None
    mrvae_doubling: MultiRateDoubling | None = None
    validations: int | None = None
    budgets: tuple[AtBudget, ...] | None = None
    arms_at: float | None = None

    def __post_init__(self) -> None:
        sides: dict[str, Dedicated | Arm] = {"dedicated": self.dedicated, **self.all_arms}
        for label, side in sides.items():
            lists: dict[str, Sequence[Any]] = {"L": side.L, "rate": side.rate, "distortion": side.distortion}
            if isinstance(side, Dedicated):
                lists |= {"learning_rate": side.learning_rate}
            else:
                lists |= {"gap": side.gap} | _of_several_seeds(side)
            check_lengths(label, self.betas, lists)
        if (self.regime == "converged") == (self.doubling is None or self.converged is None):
            raise ValueError("doubling and converged belong to the regime 'converged', and to no other")
        if self.mrvae_doubling is not None:
            check_lengths("mrvae_doubling", self.betas, {"improvement": self.mrvae_doubling.improvement})
        self._check_budgets()

    @property
    def reached(self) -> str:
        """The regime in words: that of the record, or what "converged" is instead: "not converged" or "overfits"."""
        if self.overfits:
            return "overfits"
        return "not converged" if self.converged is False else self.regime

    def _check_budgets(self) -> None:
        if self.budgets is None:
            return
        of_each = [each.budget for each in self.budgets]
        if of_each != sorted({*of_each}) or self.budget not in of_each:
            raise ValueError(f"budgets should rise, and one of them be budget={self.budget:g}")
        for each in self.budgets:
            lists: dict[str, Sequence[Any]] = {"L": each.L, "gap": each.gap, "validation_gap": each.validation_gap}
            check_lengths(f"budget {each.budget:g}", self.betas, lists | _of_several_seeds(each))

    @property
    def arms_budget(self) -> float:
        """The budget of the arms."""
        if self.arms_at is not None:
            return self.arms_at
        return self.budget if self.budgets is None else self.budgets[-1].budget

    @property
    def all_arms(self) -> dict[str, Arm]:
        """The model of the recipe as "mrvae", and the further arms by their gating."""
        return {"mrvae": self.mrvae, **self.arms}

    def to_plain(self) -> dict[str, Any]:
        """Return the record as the plain data of the file, without entries that are None."""
        plain: dict[str, Any] = _without_none(to_plain(self))
        return plain

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps(self.to_plain(), indent=1) + "\n"


def read_record(path: Path) -> ComparisonRecord:
    """Read the record in a file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a record; the message names it and the key.
    """
    return record_from_plain(read_object(path), where=str(path))


def record_from_plain(data: Mapping[str, Any], *, where: str) -> ComparisonRecord:
    """Make a record from the plain data of a file, or raise a ValueError that names `where` and the key."""
    return from_mapping(ComparisonRecord, data, where=where)


def read_object(path: Path) -> dict[str, Any]:
    """Read the JSON object in a file of a comparison; errors are those of `read_record`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is not JSON") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} should hold an object, with betas, mrvae and dedicated")
    return data


def check_lengths(label: str, betas: Sequence[float], lists: Mapping[str, Sequence[Any]]) -> None:
    """Raise a ValueError that names a list without one value per β."""
    for name, values in lists.items():
        if len(values) != len(betas):
            raise ValueError(f"{label} should hold as many values of {name} as there are betas, {len(betas)}")


def _of_several_seeds(side: Arm | AtBudget) -> dict[str, Sequence[Any]]:
    """Return the lists that a record of one seed lacks."""
    lists = {"gap_interval": side.gap_interval, "gap_spread": side.gap_spread}
    return {name: values for name, values in lists.items() if values is not None}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
