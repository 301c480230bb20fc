"""β as the caller gives it -> β as a tensor that a model can use, or an error that says what is wrong with it."""

import math
import numbers

import torch
from torch import Tensor

TOLERANCE = 1e-6  # relative, of the ends of a range: float32 rounds them


def check_beta(
    beta: float | Tensor, beta_range: tuple[float, float], batch_size: int | None, *, like: Tensor
) -> Tensor:
    """β as a tensor () or (B,), within the range, on the device of `like` and at least in float32.

    Args:
        beta: a number, a tensor () or, where batch_size is given, a tensor (batch_size,).
        beta_range: the ends, inclusive with a relative tolerance of 1e-6, then clamped.
        batch_size: B, or None where only one β makes sense.
        like: a parameter of the model.

    Raises:
        ValueError: naming the value and the range, or the shape.
    """
    low, high = beta_range
    dtype = torch.promote_types(like.dtype, torch.float32)
    if isinstance(beta, (float, int, numbers.Real)) and not isinstance(beta, bool):
        if not low * (1 - TOLERANCE) <= beta <= high * (1 + TOLERANCE):
            raise ValueError(_outside(float(beta), beta_range))
        return torch.full((), beta, dtype=dtype, device=like.device).clamp(low, high)
    if not isinstance(beta, Tensor) or beta.dtype in (torch.bool, torch.complex64, torch.complex128):
        raise ValueError(f"beta={beta!r} should be a number, or a tensor () or (B,) of numbers")
    if beta.ndim and beta.shape != (batch_size,):
        expected = "()" if batch_size is None else f"() or ({batch_size},)"
        raise ValueError(f"beta has shape {tuple(beta.shape)}; expected {expected}: one β, or one an example")
    if values_can_be_read(beta):
        wrong = beta[~((beta >= low * (1 - TOLERANCE)) & (beta <= high * (1 + TOLERANCE)))]
        if wrong.numel():
            raise ValueError(_outside(wrong.flatten()[0].item(), beta_range))
    return beta.to(like.device, dtype).clamp(low, high)


def values_can_be_read(x: Tensor) -> bool:
    """Whether looking at the values costs nothing: on the CPU and in eager mode."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _outside(beta: float, beta_range: tuple[float, float]) -> str:
    low, high = beta_range
    if math.isfinite(beta) and beta > 0:
        remedy = "a model covers the range that it was trained on"
    else:
        remedy = "β is a positive number"
    return f"beta={beta} is outside this model's range [{low}, {high}]; {remedy}"
