"""What changes from step to step by plan: the learning rate and the decay of the moving average, as tables."""

import logging
from collections.abc import Iterable
from functools import partial

import torch
from torch import nn

from mrvae_zoo.training.recipe import TrainingRecipe

logger = logging.getLogger(__name__)


def make_optimizer(parameters: Iterable[nn.Parameter], training: TrainingRecipe) -> torch.optim.Optimizer:
    """Make the optimiser that a recipe names, with one kernel for all weights where torch has it."""
    from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]

    parameters = list(parameters)
    kind = parameters[0].device.type
    return create_optimizer_v2(
        [{"params": [parameter]} for parameter in parameters],
        opt=training.optimizer,
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        betas=(0.9, training.adam_beta2),
        filter_bias_and_bn=False,
        fused=kind in ("cpu", "cuda"),
        capturable=kind == "cuda",
    )


def schedule(training: TrainingRecipe, steps: int) -> list[float]:
    """Return the learning rate of each step, as a share of the way from the final one to the highest."""
    from timm.scheduler.cosine_lr import CosineLRScheduler
    from timm.scheduler.poly_lr import PolyLRScheduler

    if training.warmup_steps >= steps:
        highest = training.learning_rate * steps / training.warmup_steps
        text = "training.warmup_steps=%d: the training ends within it, after %d steps and at a learning rate of %.2g"
        logger.warning(text, training.warmup_steps, steps, highest)
        for name in ("cosine_lr", "poly_lr"):  # they warn of a schedule of one step
            logging.getLogger(f"timm.scheduler.{name}").setLevel(logging.ERROR)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=1.0)
    make = partial(PolyLRScheduler, power=1.0) if training.schedule == "linear" else CosineLRScheduler
    scheduler = make(
        optimizer,
        t_initial=max(1, steps - training.warmup_steps),
        lr_min=1.0 if training.schedule == "constant" else 0.0,  # a cosine from it to itself
        warmup_t=training.warmup_steps,
        warmup_lr_init=1 / max(1, training.warmup_steps),  # of the first step, which counts too
        warmup_prefix=True,
        t_in_epochs=False,
    )
    shares = []
    for step in range(steps):
        scheduler.step_update(step)
        shares.append(optimizer.param_groups[0]["lr"])
    return shares


def average_weights(decay: float, steps: int) -> list[float]:
    """Return the weight of the newest parameters in the moving average, for each step: 1 − timm's decay, with warm-up.

    The decay begins at 0 and rises to `decay`, so that the average forgets the initial weights.
    """
    from timm.utils.model_ema import ModelEmaV3

    average = ModelEmaV3(nn.Linear(1, 1), decay=decay, use_warmup=True)
    return [1 - average.get_decay(step) for step in range(steps)]
