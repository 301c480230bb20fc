"""The losses of a batch: from uint8 images, a seed and the number of the step to the loss to minimise.

Everything that is drawn is a function of the seed and the step, so that this may be compiled, captured in a CUDA graph,
and vectorised over models.

Letters: M models, B examples of a whole batch, b those of one process, or of one part of its batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mrvae_zoo.common.noise import Noise, Purpose
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.models.base import VAEOutput
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.batches import draw_beta
from mrvae_zoo.training.objectives import GlobalBatch, objectives, weigh
from mrvae_zoo.training.recipe import Recipe
from mrvae_zoo.training.settings import Settings

FIGURES = ("rate", "distortion", "loss")


class Losses(NamedTuple):
    """The losses of a model on a batch, or on its part of it; with M models, each has a leading dimension (M, ...).

    Attributes:
        loss: The loss to minimise, ().
        figures: The means over the examples of FIGURES, (3,), without gradients.
        fault: The highest β of an example whose loss is not finite, or 0, ().
    """

    loss: Tensor
    figures: Tensor
    fault: Tensor


class LossesOf:
    """The function from a batch to the losses of a model, or of M models with stacked weights.

    Args:
        model: The model, or one of the M models.
        recipe: The recipe, for all but the seed, the learning rate and the one β of a dedicated training.
        data: The training data, which prepare the images.
        context: What the objective may know of the batch.
        batch: The number of examples B of the whole batch.
        settings: How to compute.
        steps: The number of steps of the training, in which the draws of β change; None draws as at the end.
    """

    def __init__(
        self,
        model: MultiRateVAE,
        recipe: Recipe,
        data: ImageData,
        context: GlobalBatch,
        batch: int,
        settings: Settings,
        steps: int | None,
    ) -> None:
        self.model, self.recipe, self.data = model, recipe, data
        self.context, self.batch, self.settings, self.steps = context, batch, settings, steps
        self.objective = objectives[recipe.objective.name]

    def __call__(
        self,
        stacked: Mapping[str, Tensor] | None,
        raw: Tensor,
        seed: Tensor,
        beta: Tensor | None,
        step: Tensor,
        first: Tensor,
    ) -> Losses:
        """Compute the losses.

        Args:
            stacked: The weights of M models, each (M, ...); None for those of the model itself.
            raw: The images, uint8 (b, C, H, W), or (M, b, C, H, W) if the models have different seeds.
            seed: The seed, (), or the seeds of the models, (M,).
            beta: The β of each model, (M,); None draws one for each example.
            step: The number of steps before this one, ().
            first: The place of the first image in the whole batch, ().
        """
        if stacked is None:
            return self._of(self.model, raw, seed, None if beta is None else beta[0], step, first)

        def member(weights: Mapping[str, Tensor], raw: Tensor, seed: Tensor, beta: Tensor | None) -> Losses:
            return self._of(partial(_call, self.model, weights), raw, seed, beta, step, first)

        own = 0 if seed.ndim else None
        in_dims = (0, own, own, None if beta is None else 0)
        over_models = torch.func.vmap(member, in_dims=in_dims, randomness="different")  # for dropout, not for our noise
        losses: Losses = over_models(dict(stacked), raw, seed, beta)
        return losses

    def _of(
        self,
        model: Callable[..., VAEOutput],
        raw: Tensor,
        seed: Tensor,
        beta: Tensor | None,
        step: Tensor,
        first: Tensor,
    ) -> Losses:
        config, objective = self.recipe.model, self.recipe.objective
        noise = Noise(seed, step, len(raw), first)
        x = config.to_data_range(self.data.prepare(raw, noise))
        if self.settings.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        if beta is None:
            progress = torch.ones_like(step).float() if self.steps is None else step / self.steps
            drawn = draw_beta(noise, objective, config.beta_range, self.batch, progress)
        else:
            drawn = beta.expand(len(raw))
        epsilon = noise.normal(Purpose.LATENTS, *self.model.latent_shape((x.shape[2], x.shape[3])))
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            output = model(x, drawn, noise=epsilon)
        each = self.objective.loss(output, drawn, replace(self.context, x=x))
        loss = weigh(each, drawn, objective.beta_weighting if objective.beta is None else 0.0)
        figures = torch.stack([output.rate.mean(), output.distortion.mean(), loss]).detach()
        fault = torch.where(each.isfinite(), 0.0, drawn).amax().detach()
        return Losses(loss, figures, fault)


def _call(model: nn.Module, weights: Mapping[str, Tensor], *given: Tensor, noise: Tensor) -> VAEOutput:
    """Call a model with other weights."""
    output: VAEOutput = torch.func.functional_call(model, dict(weights), given, {"noise": noise})
    return output
