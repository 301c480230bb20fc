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
BetaFall = Literal["linear", "cosine"]

MIN_SHARE = (0.95, 0.1)  # of the examples at β_min, at the start and at the end of a training
MAX_SHARE = 0.1  # of the other examples, at β_max
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


def count_of(beta: Beta) -> int | None:
    """Return how many β there are, or None for a number; raises a ValueError if it is neither."""
    return None if _is_number(beta) else _as_tensor(beta).numel()


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
    progress: float | None = None,
    min_share: tuple[float, float] = MIN_SHARE,
    min_fall: BetaFall = "linear",
    max_share: float = MAX_SHARE,
    skew: float = 1.0,
) -> Tensor:
    """Draw `n` values of β, log-uniform and stratified: one in each of n equal parts of log β, in random order.

    A training learns the whole range better if it starts at β_min. With `progress`, a share of the draws is exactly
    β_min, and this share falls during the training. Of the others, a share is exactly β_max, which has neighbours on
    one side only, and the rest is log-uniform.

    Args:
        n: The number of values, at least 1.
        beta_range: The range of β, (β_min, β_max).
        generator: A torch generator on `device` that makes the draw repeatable.
        device: The device of the result.
        progress: The part of the training that is done, from 0 to 1. Without it no draws are set aside for the ends.
        min_share: The share of the draws that are exactly β_min, at the start and at the end of the training.
        min_fall: The way from the one to the other: "linear", or "cosine" (half a period).
        max_share: The share of the other draws that are exactly β_max.
        skew: The skew of the other values. Their position on the scale of log β is u^skew with u uniform: 1 is
            log-uniform, and a smaller value gives more high β.

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
    check_density(min_share, max_share, skew)
    if progress is not None and not 0 <= progress <= 1:
        raise ValueError(f"progress={progress} should be between 0 and 1, the part of the training that is done")
    at_min, at_max = torch.zeros((), device=device), 0.0
    if progress is not None:
        at_max = max_share
        at_min = min_share_at(torch.full((), progress, dtype=torch.float32, device=device), min_share, min_fall)
    stratum = torch.randperm(n, generator=generator, device=device)
    position = (stratum + torch.rand(n, generator=generator, dtype=torch.float32, device=device)) / n
    return beta_at(position, beta_range, at_min=at_min, at_max=at_max, skew=skew)


def min_share_at(progress: Tensor, min_share: tuple[float, float], fall: BetaFall) -> Tensor:
    """Return the share of the examples at β_min when a part of the training is done: () -> (); see `sample_beta`."""
    start, end = min_share
    left = (1 + (math.pi * progress).cos()) / 2 if fall == "cosine" else 1 - progress
    return end + (start - end) * left


def beta_at(
    position: Tensor, beta_range: tuple[float, float], *, at_min: Tensor, at_max: float = 0.0, skew: float = 1.0
) -> Tensor:
    """Return the β at positions (...) that are uniform in [0, 1).

    A share `at_min` () of the positions has the lowest β, and a share `at_max` of the others the highest; the skew is
    that of `sample_beta`.
    """
    low, high = beta_range
    between = ((1 - at_min) * (1 - at_max)).clamp(min=1e-6)  # nothing lies there if the shares are everything
    position = ((position - at_min) / between).clamp(0, 1) ** skew
    log_low, log_high = math.log(low), math.log(high)
    beta = (log_low + (log_high - log_low) * position).exp().clamp(low, high)
    return beta.masked_fill(position == 0, low).masked_fill(position == 1, high)  # exactly, however exp rounds


def check_density(min_share: tuple[float, float], max_share: float, skew: float) -> None:
    """Raise a ValueError unless the shares are shares and the skew is positive."""
    if not all(0 <= share <= 1 for share in min_share):  # NaN is not
        raise ValueError(
            f"beta_min_share={list(min_share)} should be two shares between 0 and 1, at the start and at the end"
        )
    if not 0 <= max_share <= 1:
        raise ValueError(f"beta_max_share={max_share} should be a share between 0 and 1")
    if not 0 < skew < math.inf:
        raise ValueError(f"beta_skew={skew} should be a number above 0")
