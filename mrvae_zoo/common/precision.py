"""The floating-point types that a device supports."""

import torch

WITHOUT_FLOAT64 = ("mps",)  # kinds of devices: Apple's GPU


def widest_dtype(device: torch.device) -> torch.dtype:
    """Return the widest floating-point type of a device, for sums: float64, or float32 if it has none."""
    return torch.float32 if device.type in WITHOUT_FLOAT64 else torch.float64
