"""What a training costs, counted in floating-point operations.

Letters: B batch, C, H, W image.
"""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.factory import build_model
from mrvae_zoo.models.vae import MultiRateVAE


def training_flops(config: ModelConfig, shape: tuple[int, int, int], beta: Tensor) -> float:
    """Floating-point operations of one example in one step of training: forward and backward of D + β·R.

    Counted are the products of matrices and convolutions, two operations for a multiplication and an addition, as
    torch's counter does; elementwise work (activations, the gates' scale and shift, the optimiser) is not. It is what
    a CPU does in eager mode: compiled, or on a GPU, the gating "shrinkage" takes a few per cent more (see
    `mrvae_zoo.gating.blended.add_moved`).

    Args:
        config: of the model; holds no folded β.
        shape: (C, H, W) of an image, for a model of any size as well.
        beta: (B,), those of the examples of a step: what a gated layer computes may depend on them, and on B.

    Raises:
        ValueError: the architecture refuses its arguments.
    """
    model = build_model(config)
    assert isinstance(model, MultiRateVAE)  # holds no β
    model.train()
    x = torch.full((len(beta), *shape), sum(config.data_range or (0.0, 1.0)) / 2, device="cpu")
    with FlopCounterMode(display=False) as counter:
        output = model(x, beta)
        (output.distortion + beta * output.rate).mean().backward()
    return float(counter.get_total_flops()) / len(beta)
