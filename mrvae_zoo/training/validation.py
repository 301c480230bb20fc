"""Looking at the validation split during a training: the loss at a few β, and whether it still falls."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.evaluation.rate_distortion import rate_distortion
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator


SHOWN = 3  # β: both ends of the range, and the middle


class Validation:
    """The losses so far, and the weights of the lowest.

    Attributes:
        lowest: the lowest figure so far, see `figure`.
        waited: validations since.
        best: the weights of then, where the recipe has a patience.
    """

    def __init__(self, recipe: Recipe, data: ImageData) -> None:
        """For a training as the recipe says, on its validation split."""
        beta, beta_range = recipe.objective.beta, recipe.model.beta_range
        self.betas = log_spaced(beta_range, SHOWN) if beta is None else [beta]
        self.data, self.seed, self.patience = data, recipe.training.seed, recipe.training.patience
        self.lowest, self.waited = math.inf, 0
        self.best: dict[str, Tensor] = {}

    def look(self, model: MultiRateVAE, accelerator: "Accelerator") -> dict[str, float]:
        """L at each β, by β, with one draw of z an image, always the same; `model` is left in the mode it was in."""
        training = model.training
        curve = rate_distortion(model.eval(), self.data, self.betas, seed=self.seed, accelerator=accelerator)
        model.train(training)
        losses = {f"{point.beta:g}": point.loss for point in curve.points}
        found = figure(losses)
        if found < self.lowest:
            self.lowest, self.waited = found, 0
            if self.patience:
                self.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        else:
            self.waited += 1
        return losses

    @property
    def exhausted(self) -> bool:
        """Whether the patience of the recipe is over."""
        return 0 < self.patience <= self.waited


def figure(losses: Mapping[str, float]) -> float:
    """One number for the losses at all β, none of which outweighs the others: the mean of log L."""
    return sum(math.log(max(loss, 1e-30)) for loss in losses.values()) / len(losses)
