"""Converting β as the caller gives it to a tensor that a model can use, or to an error that says what is wrong."""

import itertools
import math
import numbers
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeGuard

import torch
from torch import Tensor


class Array(Protocol):
    """A NumPy array."""

    def __array__(self) -> Any:
        """Return the array; see NumPy."""


Beta = float | Tensor | Sequence[float] | Array
BetaSampling = Literal["stratified", "batch"]

TOLERANCE = 1e-6  # relative tolerance at the ends of a range, since float32 rounds them


def check_beta(beta: Beta, beta_range: tuple[float, float], batch_size: int | None, *, like: Tensor) -> Tensor:
    """Return β as a tensor () or (B,), within the range, on the device of `like` and at least in float32.

    Args:
        beta: A number or, if batch_size is given, one number per example: a tensor, an array or a list (batch_size,).
            Something that holds a single number, for example a tensor (1,), counts as that number.
        beta_range: The ends of the range, inclusive. A relative tolerance of 1e-6 applies, then β is clamped.
        batch_size: The batch size B, or None if only a single β makes sense.
        like: A parameter of the model.

    Raises:
        ValueError: β is out of range or has a wrong shape; the message names the value and the range, or the shape.
    """
    low, high = beta_range
    dtype = torch.promote_types(like.dtype, torch.float32)
    if _is_number(beta):
        if not low * (1 - TOLERANCE) <= beta <= high * (1 + TOLERANCE):
            raise ValueError(_outside(float(beta), beta_range))
        return torch.full((), beta, dtype=dtype, device=like.device).clamp(low, high)
    beta = _as_tensor(beta)
    if beta.numel() == 1 and beta.shape != (batch_size,):
        beta = beta.reshape(())
    if beta.ndim and beta.shape != (batch_size,):
        expected = "()" if batch_size is None else f"() or ({batch_size},)"
        raise ValueError(f"beta has shape {tuple(beta.shape)}; expected {expected}: one β, or one per example")
    if values_can_be_read(beta):
        wrong = beta[~((beta >= low * (1 - TOLERANCE)) & (beta <= high * (1 + TOLERANCE)))]
        if wrong.numel():
            raise ValueError(_outside(wrong.flatten()[0].item(), beta_range))
    return beta.to(like.device, dtype).clamp(low, high)


def _is_number(beta: Beta) -> TypeGuard[float]:
    return isinstance(beta, (float, int, numbers.Real)) and not isinstance(beta, bool)


def _as_tensor(beta: Any) -> Tensor:
    """Return numbers as a tensor, or raise a ValueError if they are not numbers."""
    try:
        tensor = beta if isinstance(beta, Tensor) else torch.as_tensor(beta, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        tensor = None
    if tensor is None or isinstance(beta, bool) or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"beta={beta!r} should be a number, or (B,) numbers: a tensor, an array or a list")
    return tensor


def values_can_be_read(x: Tensor) -> bool:
    """Whether reading the values costs nothing: on the CPU, in eager mode, outside of vmap and similar transforms."""
    if x.device.type != "cpu" or torch.compiler.is_compiling():  # first: no compiler need look at what follows
        return False
    return torch._C._functorch.peek_interpreter_stack() is None


def _outside(beta: float, beta_range: tuple[float, float]) -> str:
    low, high = beta_range
    if math.isfinite(beta) and beta > 0:
        remedy = "a model covers the range that it was trained on"
    else:
        remedy = "β is a positive number"
    return f"beta={beta} is outside this model's range [{low}, {high}]; {remedy}"


def log_spaced(beta_range: tuple[float, float], count: int) -> list[float]:
    """Return `count` values of β from one end of the range to the other, in equal steps of log β, rising.

    They have 4 digits, or as many as are needed to tell them apart in a narrow range. If no number of digits is enough,
    there are fewer values.
    """
    low, high = beta_range
    ratio = (math.log(high) - math.log(low)) / (count - 1)
    inner = [low * math.exp(i * ratio) for i in range(1, count - 1)]
    for digits in range(4, 18):
        rounded = [low, *(float(f"{beta:.{digits}g}") for beta in inner), high]
        if all(a < b for a, b in itertools.pairwise(rounded)):
            return rounded
    return sorted({low, high, *(beta for beta in inner if low < beta < high)})


def sample_beta(
    n: int,
    beta_range: tuple[float, float] = (0.01, 10.0),
    generator: torch.Generator | None = None,
    device: str | torch.device = "cpu",
    *,
    at_ends: tuple[float, float] = (0.0, 0.0),
    skew: float = 1.0,
) -> Tensor:
    """Draw `n` values of β, log-uniform and stratified: one in each of n equal parts of log β, in random order.

    Args:
        n: The number of values, at least 1.
        beta_range: The range of β, (β_min, β_max).
        generator: A torch generator on `device` that makes the draw repeatable.
        device: The device of the result.
        at_ends: The share of the draws that are exactly β_min, and the share that are exactly β_max. The others lie
            between.
        skew: The skew of the values between the ends. Their position on the scale of log β is u^skew with u uniform: 1
            is log-uniform, and a smaller value gives more high β.

    Returns:
        The values of β, (n,) float32.

    Raises:
        ValueError: An argument is wrong; the message names its value.
    """
    if n < 1:
        raise ValueError(f"n={n} should be at least 1")
    low, high = beta_range
    if not 0 < low < high < math.inf:
        raise ValueError(f"beta_range={beta_range} should be two numbers with 0 < low < high")
    check_density(at_ends, skew)
    stratum = torch.randperm(n, generator=generator, device=device)
    position = (stratum + torch.rand(n, generator=generator, dtype=torch.float32, device=device)) / n
    return beta_at(position, beta_range, at_ends=at_ends, skew=skew)


def beta_at(
    position: Tensor, beta_range: tuple[float, float], *, at_ends: tuple[float, float] = (0.0, 0.0), skew: float = 1.0
) -> Tensor:
    """Return the β at positions (...) that are uniform in [0, 1]; the rest is as in `sample_beta`."""
    low, high = beta_range
    position = ((position - at_ends[0]) / (1 - sum(at_ends))).clamp(0, 1) ** skew
    log_low, log_high = math.log(low), math.log(high)
    beta = (log_low + (log_high - log_low) * position).exp().clamp(low, high)
    return beta.masked_fill(position == 0, low).masked_fill(position == 1, high)  # exactly, however exp rounds


def check_density(at_ends: tuple[float, float], skew: float) -> None:
    """Raise a ValueError unless the two shares leave something between the ends and the skew is positive."""
    if not (min(at_ends) >= 0 and sum(at_ends) < 1):  # NaN is neither
        raise ValueError(f"beta_at_ends={list(at_ends)} should be two shares, each at least 0, below 1 together")
    if not 0 < skew < math.inf:
        raise ValueError(f"beta_skew={skew} should be a number above 0")
