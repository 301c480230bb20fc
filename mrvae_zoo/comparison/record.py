"""compare_NAME_REGIME.json: a Multi-Rate VAE beside β-VAEs that were each trained for one β. Needs no torch.

Every loss is L = D + β·R in nats an image; lists have one value for each β.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mrvae_zoo.common.schema import from_mapping, to_plain

Regime = Literal["short", "converged"]
CONVERGED_BELOW = 0.005  # of L, what twice the epochs may still gain


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A learning rate that was tried.

    Attributes:
        learning_rate: which.
        diverged: whether the training did.
        validation: on the validation split: L of a dedicated β-VAE, or the mean over β of L over that of the dedicated
            β-VAEs; None of a training that diverged.
        beta: of the dedicated β-VAE.
    """

    learning_rate: float
    diverged: bool
    validation: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        if self.diverged != (self.validation is None):
            raise ValueError("a trial has a figure of validation, or it diverged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dedicated:
    """The dedicated β-VAEs.

    Attributes:
        L: on the test split, mean over images and seeds; as the next two.
        rate: R.
        distortion: D.
        learning_rate: of each β.
        learning_rates_tried: at both ends of the range.
        best_at_grid_end: whether a chosen rate lies at an end of the grid, so that one beyond may be better.
    """

    L: tuple[float, ...]
    rate: tuple[float, ...]
    distortion: tuple[float, ...]
    learning_rate: tuple[float, ...]
    learning_rates_tried: tuple[Trial, ...]
    best_at_grid_end: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """An arm of the comparison: one network for every β, beside the dedicated β-VAEs.

    Attributes:
        L: on the test split, mean over images and seeds; as the next two.
        rate: R.
        distortion: D.
        gap: (L − L of the dedicated β-VAE) / L of the dedicated β-VAE; negative is better.
        gap_interval: (low, high) of its 95% interval, images as the sampling unit.
        gap_spread: the standard deviation of the gap over seeds; None for one seed.
        learning_rate: the chosen one, at the largest budget.
        learning_rates_tried: with their figures.
        best_at_grid_end: whether the chosen one lies at an end of the grid.
    """

    L: tuple[float, ...]
    rate: tuple[float, ...]
    distortion: tuple[float, ...]
    gap: tuple[float, ...]
    gap_interval: tuple[tuple[float, float], ...]
    gap_spread: tuple[float, ...] | None = None
    learning_rate: float
    learning_rates_tried: tuple[Trial, ...]
    best_at_grid_end: bool

    @property
    def mean_gap(self) -> float:
        """Over β."""
        return statistics.fmean(self.gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one training cost, without the search for learning rates: floating-point operations, and seconds."""

    flops: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentByBeta:
    """What the trainings of the dedicated β-VAEs cost: all of them together, and each."""

    flops: float
    seconds: float
    flops_per_beta: tuple[float, ...]
    seconds_per_beta: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What was spent on each side, means over seeds; `arms` by name."""

    mrvae: Spent
    dedicated: SpentByBeta
    arms: dict[str, Spent]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedLoss:
    """Of one seed, on the test split."""

    L: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedGap:
    """Of one seed, on the test split."""

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
    """How the training of a dedicated β-VAE went: the mean training loss of each epoch, counted from 0."""

    beta: float
    seed: int
    epoch: tuple[int, ...]
    L: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling:
    """What twice the epochs gain a dedicated β-VAE.

    Attributes:
        beta: of it.
        improvement: as a fraction of L, on the validation split.
        epochs: of the longer training.
    """

    beta: float
    improvement: float
    epochs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AtBudget:
    """The Multi-Rate VAE at one of several budgets, with the learning rate that was chosen at the largest.

    Attributes:
        budget: in trainings of one dedicated β-VAE.
        L: on the test split, mean over images and seeds.
        gap: of it, as in `Arm`; as the next two.
        gap_interval: (low, high) of its 95% interval.
        gap_spread: its standard deviation over seeds; None for one seed.
        validation_gap: the gap on the validation split, of the first seed.
        flops: of one training.
        seconds: of one training, mean over seeds.
    """

    budget: float
    L: tuple[float, ...]
    gap: tuple[float, ...]
    gap_interval: tuple[tuple[float, float], ...]
    gap_spread: tuple[float, ...] | None = None
    validation_gap: tuple[float, ...]
    flops: float
    seconds: float

    @property
    def mean_gap(self) -> float:
        """Over β."""
        return statistics.fmean(self.gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRecord:
    """The whole file.

    Attributes:
        name: of the recipe.
        regime: "short", or "converged" with `doubling` and `converged`.
        budget: of `mrvae`, in trainings of one dedicated β-VAE of equal operations. Of several it is the smallest at
            which no gap on the validation split is above 0, or else the largest.
        betas: rising.
        mrvae: the model of the recipe.
        dedicated: the β-VAEs that it is compared with.
        arms: further arms, by their gating, at the largest budget.
        cost: of the chosen trainings.
        seeds: of the trainings.
        per_seed: the figures of each.
        training_curves: of the dedicated β-VAEs that were chosen.
        recipe: the tables of recipe.toml as compared.
        data: the test split, and how many examples trained and validated.
        draws: of z for an image and β, on the test split.
        hardware: that trained.
        version: of mrvae_zoo.
        doubling: what twice the epochs gain, at both ends of the range and nearest β = 1.
        converged: whether that is below 0.5% everywhere.
        budgets: the model of the recipe at each of several budgets, rising; None for one.
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
    budgets: tuple[AtBudget, ...] | None = None

    def __post_init__(self) -> None:
        sides: dict[str, Dedicated | Arm] = {"dedicated": self.dedicated, **self.all_arms}
        for label, side in sides.items():
            lists: dict[str, Sequence[Any]] = {"L": side.L, "rate": side.rate, "distortion": side.distortion}
            if isinstance(side, Dedicated):
                lists |= {"learning_rate": side.learning_rate}
            else:
                lists |= {"gap": side.gap, "gap_interval": side.gap_interval}
                lists |= {} if side.gap_spread is None else {"gap_spread": side.gap_spread}
            check_lengths(label, self.betas, lists)
        if (self.regime == "converged") == (self.doubling is None or self.converged is None):
            raise ValueError("doubling and converged belong to the regime 'converged', and to no other")
        self._check_budgets()

    @property
    def reached(self) -> str:
        """The regime, in words: "short", "converged", or "not converged" where it was to be."""
        return "not converged" if self.converged is False else self.regime

    def _check_budgets(self) -> None:
        if self.budgets is None:
            return
        of_each = [each.budget for each in self.budgets]
        if of_each != sorted({*of_each}) or self.budget not in of_each:
            raise ValueError(f"budgets should rise, and one of them be budget={self.budget:g}")
        for each in self.budgets:
            lists: dict[str, Sequence[Any]] = {"L": each.L, "gap": each.gap, "gap_interval": each.gap_interval}
            lists |= {"validation_gap": each.validation_gap}
            lists |= {} if each.gap_spread is None else {"gap_spread": each.gap_spread}
            check_lengths(f"budget {each.budget:g}", self.betas, lists)

    @property
    def arms_budget(self) -> float:
        """That of the arms: the largest."""
        return self.budget if self.budgets is None else self.budgets[-1].budget

    @property
    def all_arms(self) -> dict[str, Arm]:
        """The model of the recipe as "mrvae", and the further arms by their gating."""
        return {"mrvae": self.mrvae, **self.arms}

    def to_plain(self) -> dict[str, Any]:
        """The record as the plain data of the file; what there is none of is left out."""
        plain: dict[str, Any] = _without_none(to_plain(self))
        return plain

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(self.to_plain(), indent=1) + "\n"


def read_record(path: Path) -> ComparisonRecord:
    """The record in a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a file; naming it and the key.
    """
    return record_from_plain(read_object(path), where=str(path))


def record_from_plain(data: Mapping[str, Any], *, where: str) -> ComparisonRecord:
    """The record in the plain data of a file; a ValueError that names `where` and the key if it is none."""
    return from_mapping(ComparisonRecord, data, where=where)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a comparison; errors as of `read_record`."""
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
    """A ValueError that names what has not one value for each β."""
    for name, values in lists.items():
        if len(values) != len(betas):
            raise ValueError(f"{label} should hold as many values of {name} as there are betas, {len(betas)}")


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
