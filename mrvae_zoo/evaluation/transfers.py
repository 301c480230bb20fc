"""Moving tensors while measuring, so that the CPU waits for a GPU once, when it reads the result."""

import torch
from torch import Tensor

from mrvae_zoo.common.precision import widest_dtype


def widen(tensor: Tensor) -> Tensor:
    """Return figures of examples in float64, on the device where they are summed.

    That is their own device, or the CPU if theirs has no float64: in float32, sums over thousands of examples are not
    exact enough.
    """
    if widest_dtype(tensor.device) != torch.float64:
        tensor = tensor.cpu()
    return tensor.double()


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device, without waiting for the work that a GPU still has to do."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
