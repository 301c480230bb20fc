"""The cost of a training, counted in floating-point operations.

Letters: B batch, C, H, W image.
"""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.factory import build_model
from mrvae_zoo.models.vae import MultiRateVAE


def training_flops(config: ModelConfig, shape: tuple[int, int, int], beta: Tensor) -> float:
    """Count the floating-point operations per example of one training step: forward and backward of D + β·R.

    Only matrix products and convolutions are counted, two operations per multiplication and addition, as torch's
    counter does. Elementwise work (activations, the gates' scale and shift, the optimiser) is not counted. The figure
    is for a CPU in eager mode. Compiled, or on a GPU, the gating "shrinkage" takes a few per cent more (see
    `mrvae_zoo.gating.blended.add_moved`).

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
