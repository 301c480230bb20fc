"""What a comparison trains: dedicated β-VAEs, the Multi-Rate VAE, and arms that differ from it in their gating.

A budget is measured in examples × β drawn per example × FLOPs; a budget of 1 is the compute of one dedicated run. With
one β per example, the Multi-Rate VAE gets the budget times the steps of a dedicated run, times the ratio of FLOPs per
example in the plain and in the gated network. It is trained at each budget of the plan. Arms are trained at the largest
budget, and its learning rate is chosen there.
"""

import logging
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from mrvae_zoo.comparison.flops import training_flops
from mrvae_zoo.comparison.record import Regime
from mrvae_zoo.comparison.runs import Run
from mrvae_zoo.data.sets import has_validation, load_data
from mrvae_zoo.gating.beta import log_spaced, sample_beta
from mrvae_zoo.models.architecture_table import architectures
from mrvae_zoo.training.batches import count_steps
from mrvae_zoo.training.objectives import objectives
from mrvae_zoo.training.recipe import ObjectiveRecipe, Recipe, TrainingRecipe

GRID = (0.5, 1.0, 2.0)  # learning rates, times that of the recipe
MRVAE = "mrvae"
HELD_OUT_SHARE = 10  # one in so many training images validates, where nothing else is said
DIGITS = 3  # digits of a learning rate between those at the ends

logger = logging.getLogger(__name__)


def with_validation(recipe: Recipe, data_root: Path) -> Recipe:
    """Return the recipe, with a tenth of the training images held out if there is no validation split.

    No more is held out if the recipe already does so, or the data set has a validation split. Nothing is validated
    or stopped early during the trainings: all runs of one side get the same number of steps.
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
        regime: The regime: "short", or "converged", which also trains some of the dedicated runs for twice the epochs.
        arms: The gatings to train besides the recipe's.
        seed_count: The number of seeds, starting from the recipe's.
        learning_rates: The learning rates to try; empty for ½, 1 and 2 times the recipe's.
        examples: The number of examples in the training split.
        shape: The shape (C, H, W) of an image.
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

    def __post_init__(self) -> None:
        if self.beta_count < 2:
            raise ValueError(f"betas={self.beta_count} should be at least 2, the ends of the range")
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
        if min(self._budget_steps(label, self.budgets[0]) for label in self.all_arms) < 1:
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
    def ends(self) -> tuple[float, float]:
        """The values of β at which dedicated runs are tuned: the ends of the range."""
        return self.recipe.model.beta_range

    @property
    def doubled_betas(self) -> tuple[float, ...]:
        """The β at which convergence of the dedicated runs is checked: the ends, and the one nearest to β = 1."""
        if self.regime == "short":
            return ()
        middle = min(self.betas, key=lambda beta: abs(math.log(beta)))
        return tuple(sorted({*self.ends, middle}))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the trainings; learning rates are chosen with the first."""
        return tuple(range(self.recipe.training.seed, self.recipe.training.seed + self.seed_count))

    @property
    def all_arms(self) -> tuple[str, ...]:
        """The arms, each compared with the dedicated runs: "mrvae", that of the recipe, and the further ones."""
        return (MRVAE, *self.arms)

    @property
    def grid(self) -> tuple[float, ...]:
        """The learning rates to try, in rising order."""
        usual = (min(1.0, factor * self.recipe.training.learning_rate) for factor in GRID)
        return tuple(sorted({*(self.learning_rates or usual)}))

    @property
    def total(self) -> int:
        """The number of trainings that the plan takes."""
        tuning = (len(self.ends) + len(self.all_arms)) * len(self.grid)
        smaller = len(self.budgets) - 1
        one_seed = len(self.betas) + len(self.all_arms) + smaller
        untuned = len(self.betas) - len(self.ends) + smaller + len(self.doubled_betas)
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
            objective=ObjectiveRecipe(name=self.recipe.objective.name, beta_weighting=0.0, beta=beta),
            training=training,
            trained=None,
        )
        length = f"e{training.epochs}" if training.max_steps is None else f"n{self.steps(training)}"
        name = f"dedicated-b{beta:.12g}-lr{learning_rate:g}-s{seed}-{length}"
        return Run(name=name, recipe=recipe, betas=(beta,))

    def arm(self, label: str, learning_rate: float, seed: int, *, budget: float | None = None) -> Run:
        """Return the training of an arm, at the largest budget unless one is given."""
        steps = self._budget_steps(label, self.budgets[-1] if budget is None else budget)
        training = replace(
            self.recipe.training,
            learning_rate=learning_rate,
            seed=seed,
            epochs=math.ceil(steps / self.steps_an_epoch),
            max_steps=steps,
        )
        model = replace(self.recipe.model, gating=self._gating(label))
        recipe = replace(self.recipe, model=model, training=training, trained=None)
        return Run(name=f"{label}-lr{learning_rate:g}-s{seed}-n{steps}", recipe=recipe, betas=self.betas)

    def between(self, beta: float, low: float, high: float) -> float:
        """Return the learning rate at β, from those at the ends of the range: log-linear in log β."""
        first, last = self.ends
        if beta in self.ends:
            return low if beta == first else high
        share = math.log(beta / first) / math.log(last / first)
        return float(f"{low * (high / low) ** share:.{DIGITS}g}")

    @property
    def steps_an_epoch(self) -> int:
        """The number of steps per epoch of every training."""
        return self.steps(replace(self.recipe.training, epochs=1, max_steps=None))

    def steps(self, training: TrainingRecipe) -> int:
        """Return the number of steps of a training on the training split."""
        return count_steps(training, self.examples)

    def flops(self, run: Run) -> float:
        """Return the FLOPs of a whole training."""
        training = run.recipe.training
        batch = min(training.batch_size, self.examples)
        return self.steps(training) * batch * self._flops_by_gating[run.recipe.model.gating]

    def _budget_steps(self, label: str, budget: float) -> int:
        one = self._flops_by_gating["none"] / self._flops_by_gating[self._gating(label)]
        return math.floor(self.steps(self.recipe.training) * budget * one)

    def _gating(self, label: str) -> str:
        return label if label in self.arms else self.recipe.model.gating

    @cached_property
    def _flops_by_gating(self) -> dict[str, float]:
        """The FLOPs per example of a training step, at β as they are drawn, by gating."""
        batch = min(self.recipe.training.batch_size, self.examples)
        objective, generator = self.recipe.objective, torch.Generator().manual_seed(0)
        beta = sample_beta(
            batch,
            self.recipe.model.beta_range,
            generator,
            at_ends=objective.beta_at_ends,
            skew=objective.beta_skew,
        )
        gatings: tuple[str, ...] = ("none", self.recipe.model.gating, *self.arms)
        return {
            gating: training_flops(replace(self.recipe.model, gating=gating), self.shape, beta) for gating in gatings
        }
