"""Measuring a model during its training: the loss at three fixed β, and whether it still falls on validation data."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.evaluation.examples import Examples
from mrvae_zoo.evaluation.rate_distortion import rate_distortion
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator


SHOWN = 3  # β: both ends of the range, and the middle
GLANCED_AT = 128  # training images
GLANCES = 25  # the most glances in a training


class Validation:
    """The validation losses so far, and the weights of the lowest one.

    Attributes:
        lowest: The lowest figure so far; see `figure`.
        best_step: The step of the lowest figure.
        waited: The number of validations since then.
        best: The weights of the lowest figure, if the recipe has a patience.
    """

    def __init__(self, recipe: Recipe, data: ImageData) -> None:
        """Prepare the validation of a training with this recipe, on its validation split."""
        self.betas = shown_betas(recipe)
        self.data, self.seed, self.patience = data, recipe.training.seed, recipe.training.patience
        self.lowest, self.best_step, self.waited = math.inf, 0, 0
        self.best: dict[str, Tensor] = {}

    def look(self, model: MultiRateVAE, step: int, accelerator: "Accelerator") -> dict[str, float]:
        """Measure L at each β after `step` steps; see `losses_at`."""
        losses = losses_at(self.betas, model, self.data, self.seed, accelerator)
        found = figure(losses)
        if found < self.lowest:
            self.lowest, self.best_step, self.waited = found, step, 0
            if self.patience:
                self.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        else:
            self.waited += 1
        return losses

    @property
    def exhausted(self) -> bool:
        """Whether the patience of the recipe has run out."""
        return 0 < self.patience <= self.waited


class Glance:
    """The loss on some training images now and then, as progress for people, in a training without validation."""

    def __init__(self, recipe: Recipe, data: ImageData, steps: int) -> None:
        """Prepare glances for a training of `steps` steps on `data`."""
        self.betas, self.seed = shown_betas(recipe), recipe.training.seed
        (images,) = data.read([torch.arange(min(GLANCED_AT, len(data)), device="cpu")])
        self.data = recipe.model.to_data_range(data.prepare(images))
        lines = recipe.training.log_every
        self.every = math.ceil(steps / GLANCES / lines) * lines

    def look(self, model: MultiRateVAE, accelerator: "Accelerator") -> dict[str, float]:
        """Measure L at each β; see `losses_at`."""
        return losses_at(self.betas, model, self.data, self.seed, accelerator)


def shown_betas(recipe: Recipe) -> list[float]:
    """Return the β to measure at: three of the range, or the one of the recipe."""
    beta, beta_range = recipe.objective.beta, recipe.model.beta_range
    return log_spaced(beta_range, SHOWN) if beta is None else [beta]


def losses_at(
    betas: Sequence[float], model: MultiRateVAE, data: Examples, seed: int, accelerator: "Accelerator"
) -> dict[str, float]:
    """Measure L at each β, with one draw of z per image, always the same; `model` keeps its mode."""
    training = model.training
    curve = rate_distortion(model.eval(), data, betas, seed=seed, accelerator=accelerator)
    model.train(training)
    return {f"{point.beta:g}": point.loss for point in curve.points}


def figure(losses: Mapping[str, float]) -> float:
    """Summarise the losses at all β as the mean of log L, so that none outweighs the others."""
    return sum(math.log(max(loss, 1e-30)) for loss in losses.values()) / len(losses)
