"""Where the batch lies in the outputs of the layers of a foreign module.

Letters: B batch.
"""

import copy
import math
from collections.abc import Iterable

import torch
from torch import nn

from mrvae_zoo.gating.binding import Binding, Shapes
from mrvae_zoo.gating.calls import Call


def find_batch_axis(call: Call, plain: nn.Module, binding: Binding, shared: Iterable[object]) -> tuple[Shapes, Shapes]:
    """Find the shapes of each layer's outputs whose row i depends on example i only; and the other shapes.

    Every pair of examples differs in some bit of their numbers, and each bit is tried together with its complement. A
    row that is NaN exactly with its own example in every trial therefore depends on no other one.

    Args:
        call: The call, whose first tensor holds B examples.
        plain: The module that the call is made on, with its hooks. A copy in eval mode runs, so that nothing changes.
        binding: The binding of the module that records what the layers see.
        shared: The objects that the copy shares with the module.

    Raises:
        ValueError: The examples are not floating-point numbers, which alone can be NaN.
    """
    x = call.x
    assert x is not None
    if not x.is_floating_point():
        raise ValueError(f"x is {x.dtype}: one β per example takes floats, to verify that layers keep the batch axis")
    plain = copy.deepcopy(plain, memo={id(part): part for part in shared}).eval()
    number = torch.arange(x.shape[0], device=x.device)
    for bit in range((x.shape[0] - 1).bit_length()):
        for tagged in ((number >> bit) % 2 == 0, (number >> bit) % 2 == 1):
            binding.tagged = tagged
            marked = torch.where(tagged.view(-1, *[1] * (x.ndim - 1)), math.nan, x.detach())
            with torch.no_grad(), binding:
                call.with_x(marked).on(plain)
    return binding.found, binding.mixed
