"""The cost of a training, counted in floating-point operations (FLOPs).

Letters: B batch, C, H, W image.
"""

import statistics

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.factory import build_model
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.recipe import ObjectiveRecipe, Recipe
from mrvae_zoo.training.settings import choose_settings
from mrvae_zoo.training.stacks import can_be_stacked, worth_stacking


def training_flops(config: ModelConfig, shape: tuple[int, int, int], beta: Tensor) -> float:
    """Count the floating-point operations per example of one training step: forward and backward of D + β·R.

    Only matrix products and convolutions are counted, two operations per multiplication and addition, as torch's
    counter does. Elementwise work (activations, the gates' scale and shift, the optimiser) is not counted. The figure
    is for a CPU in eager mode; see `leaves_out_lowest`.

    Args:
        config: The config of the model, without a folded β.
        shape: The shape (C, H, W) of an image, also for a model that takes any size.
        beta: The β of the examples of a step, (B,). The work of a gated layer may depend on them, and on B.

    Raises:
        ValueError: The architecture refuses its arguments.
    """
    model = build_model(config)
    assert isinstance(model, MultiRateVAE)  # holds no β
    model.train()
    x = torch.full((len(beta), *shape), sum(config.data_range or (0.0, 1.0)) / 2, device="cpu")
    with FlopCounterMode(display=False) as counter:
        output = model(x, beta)
        (output.distortion + beta * output.rate).mean().backward()
    return float(counter.get_total_flops()) / len(beta)


def flops_by_beta(config: ModelConfig, shape: tuple[int, int, int], batch: int) -> tuple[float, float]:
    """Count the FLOPs per example of a step with no example at β_min, and of one with all examples there."""
    low, high = config.beta_range
    elsewhere, at_lowest = (training_flops(config, shape, torch.full((batch,), beta)) for beta in (high, low))
    return elsewhere, at_lowest


def mean_min_share(objective: ObjectiveRecipe) -> float:
    """Return the mean over a training of the share of the examples at β_min; both ways to fall have this one."""
    return statistics.fmean(objective.beta_min_share)


def leaves_out_lowest(recipe: Recipe, device: torch.device, steps: int) -> bool:
    """Whether a training computes the moving weights only for examples above β_min, which saves FLOPs.

    Only a step on a CPU that is not compiled does so; see `mrvae_zoo.gating.blended.add_moved`. Small networks, which
    may be trained side by side as one network, do not.
    """
    if device.type != "cpu":
        return False
    with torch.device("meta"):
        network = build_model(recipe.model)
    settings = choose_settings(recipe.training, network, device, steps=steps, processes=1)
    return not settings.compile and not (can_be_stacked([recipe]) and worth_stacking(recipe, device))
