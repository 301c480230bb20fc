"""Looking at a model during its training: the loss at three fixed β, and whether that on the validation split falls."""

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
GLANCES = 25  # at most, in a training


class Validation:
    """The losses so far, and the weights of the lowest.

    Attributes:
        lowest: the lowest figure so far, see `figure`.
        best_step: the step of then.
        waited: validations since.
        best: the weights of then, where the recipe has a patience.
    """

    def __init__(self, recipe: Recipe, data: ImageData) -> None:
        """For a training as the recipe says, on its validation split."""
        self.betas = shown_betas(recipe)
        self.data, self.seed, self.patience = data, recipe.training.seed, recipe.training.patience
        self.lowest, self.best_step, self.waited = math.inf, 0, 0
        self.best: dict[str, Tensor] = {}

    def look(self, model: MultiRateVAE, step: int, accelerator: "Accelerator") -> dict[str, float]:
        """L at each β after so many steps, see `losses_at`."""
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
        """Whether the patience of the recipe is over."""
        return 0 < self.patience <= self.waited


class Glance:
    """The loss on some training images now and then, for those who wait; of a training without validation."""

    def __init__(self, recipe: Recipe, data: ImageData, steps: int) -> None:
        """For a training of so many steps on `data`."""
        self.betas, self.seed = shown_betas(recipe), recipe.training.seed
        (images,) = data.read([torch.arange(min(GLANCED_AT, len(data)), device="cpu")])
        self.data = recipe.model.to_data_range(data.prepare(images))
        lines = recipe.training.log_every
        self.every = math.ceil(steps / GLANCES / lines) * lines

    def look(self, model: MultiRateVAE, accelerator: "Accelerator") -> dict[str, float]:
        """L at each β, see `losses_at`."""
        return losses_at(self.betas, model, self.data, self.seed, accelerator)


def shown_betas(recipe: Recipe) -> list[float]:
    """The β that are looked at: three of the range, or the one of the recipe."""
    beta, beta_range = recipe.objective.beta, recipe.model.beta_range
    return log_spaced(beta_range, SHOWN) if beta is None else [beta]


def losses_at(
    betas: Sequence[float], model: MultiRateVAE, data: Examples, seed: int, accelerator: "Accelerator"
) -> dict[str, float]:
    """L at each β, by β, with one draw of z per image, always the same; `model` is left in the mode it was in."""
    training = model.training
    curve = rate_distortion(model.eval(), data, betas, seed=seed, accelerator=accelerator)
    model.train(training)
    return {f"{point.beta:g}": point.loss for point in curve.points}


def figure(losses: Mapping[str, float]) -> float:
    """One number for the losses at all β, none of which outweighs the others: the mean of log L."""
    return sum(math.log(max(loss, 1e-30)) for loss in losses.values()) / len(losses)
