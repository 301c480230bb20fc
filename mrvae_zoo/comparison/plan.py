"""What a comparison trains: dedicated β-VAEs, the Multi-Rate VAE, and arms that differ from it in their gating.

A budget is measured in examples × β drawn per example × FLOPs; a budget of 1 is the compute of one dedicated run. With
one β per example, the Multi-Rate VAE gets the budget times the steps of a dedicated run, times the ratio of FLOPs per
example in the plain and in the gated network, as they are really computed. It is trained at each budget of the plan.
Arms are trained at the smallest budget, and learning rates are chosen there.
"""

import itertools
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mrvae_zoo.common.devices import find_device
from mrvae_zoo.comparison.flops import flops_by_beta, leaves_out_lowest, mean_min_share
from mrvae_zoo.comparison.record import Regime
from mrvae_zoo.comparison.runs import Run
from mrvae_zoo.data.sets import has_validation, load_data
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.models.architecture_table import architectures
from mrvae_zoo.training.batches import count_steps
from mrvae_zoo.training.objectives import objectives
from mrvae_zoo.training.recipe import ObjectiveRecipe, Recipe, TrainingRecipe

GRID = (0.5, 2**-0.5, 1.0, 2**0.5, 2.0)  # learning rates, times that of the recipe
DIGITS = 3  # digits of a learning rate that is computed
MRVAE = "mrvae"
HELD_OUT_SHARE = 10  # one in so many training images validates, where nothing else is said
MOST_VALIDATIONS = 20  # in a training that keeps its best weights
OWN_DRAWS = "recipe"
_UNIFORM: dict[str, Any] = {"beta_min_share": (0.0, 0.0), "beta_max_share": 0.0, "beta_skew": 1.0}
# The ways to draw and weight β that are tried for an arm, as keys of [objective] that replace those of the recipe.
DRAWS: Mapping[str, Mapping[str, Any]] = {
    OWN_DRAWS: {},
    "log-uniform": {**_UNIFORM, "beta_weighting": 0.0},  # as the method was published
    "log-uniform, weighted": {**_UNIFORM, "beta_weighting": 0.25},
}
IN_A_NAME = {OWN_DRAWS: "", "log-uniform": "-uniform", "log-uniform, weighted": "-uniform-weighted"}

logger = logging.getLogger(__name__)


def with_validation(recipe: Recipe, data_root: Path) -> Recipe:
    """Return the recipe, with a tenth of the training images held out if there is no validation split.

    No more is held out if the recipe already does so, or the data set has a validation split. What the recipe says of
    validations during a training is left out: the plan decides that for all trainings.
    """
    if recipe.training.validate_every:
        recipe = replace(recipe, training=replace(recipe.training, validate_every=0, patience=0))
    name, data = recipe.data.name, recipe.data
    if data.held_out or has_validation(name, data_root):
        return recipe
    images = len(load_data(replace(data, limit=None), "train", data_root, recipe.model.input_shape))
    held_out = max(1, images // HELD_OUT_SHARE)
    logger.info("%s has no validation split: %d of its %d training images become one", name, held_out, images)
    return replace(recipe, data=replace(data, held_out=held_out))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a comparison, checked when it is created.

    Attributes:
        recipe: The recipe of the Multi-Rate VAE. Its epochs are those of one dedicated run.
        beta_count: The number of β, log-spaced over the range of the model.
        budgets: The budgets of the Multi-Rate VAE, in dedicated runs, in rising order.
        regime: The regime: "short"; "long", in which trainings validate and keep the weights of the lowest validation
            loss; or "converged", which does so too, and also trains some of the dedicated runs for twice the epochs.
        arms: The gatings to train besides the recipe's.
        seed_count: The number of seeds, starting from the recipe's.
        learning_rates: The learning rates to try first; empty for the recipe's times ½, 1/√2, 1, √2 and 2.
        examples: The number of examples in the training split.
        shape: The shape (C, H, W) of an image.
        tune_at: The number of β at which the rate of the dedicated runs is chosen, evenly from the first to the last;
            None chooses it at every β.
        device: The device of the trainings; see `find_device`.
    """

    recipe: Recipe
    beta_count: int
    budgets: tuple[float, ...]
    regime: Regime
    arms: tuple[str, ...]
    seed_count: int
    learning_rates: tuple[float, ...]
    examples: int
    shape: tuple[int, int, int]
    tune_at: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.beta_count < 2:
            raise ValueError(f"betas={self.beta_count} should be at least 2, the ends of the range")
        if self.tune_at is not None and not 2 <= self.tune_at <= len(self.betas):
            raise ValueError(
                f"tune_at={self.tune_at} should be at least 2, the ends of the range, and at most {len(self.betas)}, "
                "the number of β"
            )
        if self.seed_count < 1:
            raise ValueError(f"seeds={self.seed_count} should be at least 1")
        for rate in self.learning_rates:
            replace(self.recipe.training, learning_rate=rate)  # checks the rate
        if self.recipe.model.gating == "none":
            raise ValueError("the recipe has model.gating = 'none'; only a network with gates is compared with others")
        if self.recipe.objective.beta is not None:
            raise ValueError("the recipe has objective.beta, one β; leave it out to train for all of the range")
        if objectives[self.recipe.objective.name].total_correlation:
            raise ValueError(
                f"L = D + β·R is what is compared, and {self.recipe.objective.name} minimises another loss"
            )
        self._check_arms()
        self._check_budgets()

    def _check_budgets(self) -> None:
        for budget in self.budgets:
            if not 0 < budget < math.inf:
                raise ValueError(f"budget={budget} should be a number above 0, in trainings of a dedicated β-VAE")
        if not self.budgets or list(self.budgets) != sorted({*self.budgets}):
            listed = ", ".join(f"{budget:g}" for budget in self.budgets)
            raise ValueError(f"budgets=({listed}) should be one or several, rising")
        pairs = [(label, draws) for label in self.all_arms for draws in self.draws(label)]
        if min(self._budget_steps(label, draws, self.budgets[0]) for label, draws in pairs) < 1:
            raise ValueError(f"budget={self.budgets[0]} is less than a step of training; give more")

    def _check_arms(self) -> None:
        supported = architectures[self.recipe.model.architecture].supported_gatings()
        gatings = [one for one in supported if one not in ("none", self.recipe.model.gating)]
        for arm in self.arms:
            if arm not in gatings:
                raise ValueError(
                    f"arm={arm!r} should be a gating other than the recipe's {self.recipe.model.gating!r}: "
                    f"{', '.join(gatings)}"
                )
        if len({*self.arms}) < len(self.arms):
            raise ValueError(f"arms={', '.join(self.arms)}: name each once")

    @property
    def betas(self) -> tuple[float, ...]:
        """The values of β, in rising order."""
        return tuple(log_spaced(self.recipe.model.beta_range, self.beta_count))

    @property
    def anchors(self) -> tuple[float, ...]:
        """The values of β at which the learning rate of the dedicated runs is chosen."""
        if self.tune_at is None:
            return self.betas
        parts, last = self.tune_at - 1, len(self.betas) - 1
        return tuple(self.betas[round(i * last / parts)] for i in range(self.tune_at))

    @property
    def doubled_betas(self) -> tuple[float, ...]:
        """The β at which convergence of the dedicated runs is checked: the ends, and the one nearest to β = 1."""
        if self.regime != "converged":
            return ()
        middle = min(self.betas, key=lambda beta: abs(math.log(beta)))
        return tuple(sorted({self.betas[0], middle, self.betas[-1]}))

    @property
    def validations(self) -> int | None:
        """The largest number of validations in each training; None for none. It is at most one per epoch."""
        if self.regime == "short":
            return None
        return min(MOST_VALIDATIONS, math.ceil(self.steps(self.recipe.training) / self.steps_an_epoch))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the trainings; learning rates are chosen with the first."""
        return tuple(range(self.recipe.training.seed, self.recipe.training.seed + self.seed_count))

    @property
    def all_arms(self) -> tuple[str, ...]:
        """The arms, each compared with the dedicated runs: "mrvae", that of the recipe, and the further ones."""
        return (MRVAE, *self.arms)

    def draws(self, label: str) -> tuple[str, ...]:
        """Return the ways to draw and weight β that are tried for an arm; those of the recipe are kept as they are."""
        if label == MRVAE:
            return (OWN_DRAWS,)
        own = self.recipe.objective
        return tuple(name for name, keys in DRAWS.items() if name == OWN_DRAWS or replace(own, **keys) != own)

    @property
    def grid(self) -> tuple[float, ...]:
        """The learning rates to try first, in rising order."""
        own, lowest = self.recipe.training.learning_rate, self.recipe.training.final_learning_rate
        usual = (own if factor == 1 else _rounded(factor * own) for factor in GRID)
        return tuple(sorted({*(self.learning_rates or (min(1.0, max(lowest, rate)) for rate in usual))}))

    def beyond(self, rate: float) -> float | None:
        """Return the rate one step of the grid beyond an end of what was tried; None if there is none.

        Args:
            rate: The lowest or the highest rate that was tried.
        """
        grid = self.grid
        if len(grid) == 1:
            return None
        step = (grid[-1] / grid[0]) ** (1 / (len(grid) - 1))
        found = _rounded(rate * step if rate >= grid[-1] else rate / step)
        return found if self.recipe.training.final_learning_rate <= found <= 1 else None

    @property
    def total(self) -> int:
        """The number of trainings that the plan takes if no grid is extended."""
        candidates = sum(len(self.draws(label)) for label in self.all_arms)
        tuning = (len(self.anchors) + candidates) * len(self.grid)
        smaller = len(self.budgets) - 1
        one_seed = len(self.betas) + len(self.all_arms) + smaller
        doubled = len(self.doubled_betas) + (1 if self.doubled_betas else 0)
        untuned = len(self.betas) - len(self.anchors) + smaller + doubled
        return tuning + untuned + (len(self.seeds) - 1) * one_seed

    def dedicated(self, beta: float, learning_rate: float, seed: int, *, doubled: bool = False) -> Run:
        """Return the training of the β-VAE of one β."""
        training = replace(self.recipe.training, learning_rate=learning_rate, seed=seed)
        if doubled:
            cap = training.max_steps
            training = replace(training, epochs=2 * training.epochs, max_steps=None if cap is None else 2 * cap)
        recipe = replace(
            self.recipe,
            model=replace(self.recipe.model, gating="none"),
            objective=ObjectiveRecipe(name=self.recipe.objective.name, beta_weighting=0.0, beta=beta, **_UNIFORM),
            training=self._validated(training),
            trained=None,
        )
        length = f"e{training.epochs}" if training.max_steps is None else f"n{self.steps(training)}"
        name = f"dedicated-b{beta:.12g}-lr{learning_rate:g}-s{seed}-{length}{self._validations_in_name}"
        return Run(name=name, recipe=recipe, betas=(beta,))

    def arm(
        self,
        label: str,
        learning_rate: float,
        seed: int,
        *,
        budget: float | None = None,
        draws: str = OWN_DRAWS,
        doubled: bool = False,
    ) -> Run:
        """Return the training of an arm, at the smallest budget unless one is given.

        Args:
            label: The name of the arm.
            learning_rate: The learning rate.
            seed: The seed.
            budget: The budget.
            draws: The way β is drawn and weighted, one of DRAWS.
            doubled: Whether the training has twice the steps of the budget.
        """
        steps = self._budget_steps(label, draws, self.budgets[0] if budget is None else budget)
        steps *= 2 if doubled else 1
        one = self._arm_recipe(label, draws)
        training = replace(
            one.training,
            learning_rate=learning_rate,
            seed=seed,
            epochs=math.ceil(steps / self.steps_an_epoch),
            max_steps=steps,
        )
        recipe = replace(one, training=self._validated(training))
        length = f"n{steps}{self._validations_in_name}"
        return Run(
            name=f"{label}{IN_A_NAME[draws]}-lr{learning_rate:g}-s{seed}-{length}", recipe=recipe, betas=self.betas
        )

    def rates(self, at_anchors: Sequence[float]) -> tuple[float, ...]:
        """Return the learning rate at each β, from those at the anchors: log-linear in log β between two of them."""
        points = list(zip(self.anchors, at_anchors, strict=True))
        found = dict(points)
        for (low, first), (high, last) in itertools.pairwise(points):
            for beta in self.betas:
                if low < beta < high:
                    share = math.log(beta / low) / math.log(high / low)
                    found[beta] = _rounded(first * (last / first) ** share)
        return tuple(found[beta] for beta in self.betas)

    @property
    def steps_an_epoch(self) -> int:
        """The number of steps per epoch of every training."""
        return self.steps(replace(self.recipe.training, epochs=1, max_steps=None))

    def steps(self, training: TrainingRecipe) -> int:
        """Return the number of steps of a training on the training split."""
        return count_steps(training, self.examples)

    def flops(self, run: Run) -> float:
        """Return the FLOPs of a whole training."""
        steps = self.steps(run.recipe.training)
        return steps * self._batch * self._flops_per_example(run.recipe, steps)

    @property
    def _batch(self) -> int:
        return min(self.recipe.training.batch_size, self.examples)

    def _budget_steps(self, label: str, draws: str, budget: float) -> int:
        """Return the steps that a budget buys."""
        plain, _ = self._flops_by_beta["none"]
        bought = self.steps(self.recipe.training) * budget * plain
        recipe = self._arm_recipe(label, draws)
        steps = math.floor(bought / self._flops_per_example(recipe, steps=1))
        return math.floor(bought / self._flops_per_example(recipe, steps))  # so many steps may be compiled

    def _flops_per_example(self, recipe: Recipe, steps: int) -> float:
        """Return the FLOPs per example in a training of so many steps, as a mean over them."""
        elsewhere, at_lowest = self._flops_by_beta[recipe.model.gating]
        if elsewhere == at_lowest or not leaves_out_lowest(recipe, find_device(self.device), steps):
            return elsewhere
        share = mean_min_share(recipe.objective)
        return (1 - share) * elsewhere + share * at_lowest

    @cached_property
    def _flops_by_beta(self) -> dict[str, tuple[float, float]]:
        """The FLOPs per example by gating, with no example at β_min and with all there."""
        gatings: tuple[str, ...] = ("none", self.recipe.model.gating, *self.arms)
        return {one: flops_by_beta(replace(self.recipe.model, gating=one), self.shape, self._batch) for one in gatings}

    def _arm_recipe(self, label: str, draws: str) -> Recipe:
        """Return the recipe of an arm but for its learning rate, seed and length."""
        return replace(
            self.recipe,
            model=replace(self.recipe.model, gating=label if label in self.arms else self.recipe.model.gating),
            objective=replace(self.recipe.objective, **DRAWS[draws]),
            training=self._validated(self.recipe.training),
            trained=None,
        )

    def _validated(self, training: TrainingRecipe) -> TrainingRecipe:
        """Return a training with the validations of the plan, which keeps the weights of the best one.

        The patience outlasts the training, so that it runs to its end.
        """
        if self.validations is None:
            return training
        every = math.ceil(self.steps(training) / self.validations)
        return replace(training, validate_every=every, patience=self.validations)

    @property
    def _validations_in_name(self) -> str:
        return "" if self.validations is None else f"-v{self.validations}"


def _rounded(rate: float) -> float:
    return float(f"{rate:.{DIGITS}g}")
