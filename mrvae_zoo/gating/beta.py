"""β as the caller gives it -> β as a tensor that a model can use, or an error that says what is wrong with it."""

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
        """See NumPy."""


Beta = float | Tensor | Sequence[float] | Array
BetaSampling = Literal["stratified", "batch"]

TOLERANCE = 1e-6  # relative, of the ends of a range: float32 rounds them


def check_beta(beta: Beta, beta_range: tuple[float, float], batch_size: int | None, *, like: Tensor) -> Tensor:
    """β as a tensor () or (B,), within the range, on the device of `like` and at least in float32.

    Args:
        beta: a number, or where batch_size is given one per example: a tensor, an array or a list (batch_size,). What
            holds a single number, such as a tensor (1,), is that number.
        beta_range: the ends, inclusive with a relative tolerance of 1e-6, then clamped.
        batch_size: B, or None where only one β makes sense.
        like: a parameter of the model.

    Raises:
        ValueError: naming the value and the range, or the shape.
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
        raise ValueError(f"beta has shape {tuple(beta.shape)}; expected {expected}: one β, or one an example")
    if values_can_be_read(beta):
        wrong = beta[~((beta >= low * (1 - TOLERANCE)) & (beta <= high * (1 + TOLERANCE)))]
        if wrong.numel():
            raise ValueError(_outside(wrong.flatten()[0].item(), beta_range))
    return beta.to(like.device, dtype).clamp(low, high)


def _is_number(beta: Beta) -> TypeGuard[float]:
    return isinstance(beta, (float, int, numbers.Real)) and not isinstance(beta, bool)


def _as_tensor(beta: Any) -> Tensor:
    """Numbers as a tensor; a ValueError where they are none."""
    try:
        tensor = beta if isinstance(beta, Tensor) else torch.as_tensor(beta, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        tensor = None
    if tensor is None or isinstance(beta, bool) or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"beta={beta!r} should be a number, or (B,) numbers: a tensor, an array or a list")
    return tensor


def values_can_be_read(x: Tensor) -> bool:
    """Whether looking at the values costs nothing: on the CPU, in eager mode and outside of vmap and its like."""
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
    """`count` values of β from one end of the range to the other, in equal steps of log β: rising.

    To 4 digits, or to as many as tell them apart in a narrow range; where none do there are fewer.
    """
    low, high = beta_range
    ratio = (math.log(high) - math.log(low)) / (count - 1)
    inner = [low * math.exp(i * ratio) for i in range(1, count - 1)]
    for digits in range(4, 18):
        rounded = [low, *(float(f"{beta:.{digits}g}") for beta in inner), high]
        if all(a < b for a, b in itertools.pairwise(rounded)):
            return rounded
    return sorted({low, high, *(beta for beta in inner if low < beta < high)})


def draw_beta(
    n: int,
    beta_range: tuple[float, float],
    sampling: BetaSampling,
    generator: torch.Generator | None = None,
    device: str | torch.device = "cpu",
    *,
    at_ends: tuple[float, float] = (0.0, 0.0),
    skew: float = 1.0,
) -> Tensor:
    """The β of the examples of a whole batch: those of `sample_beta`, or for "batch" one of them: (n,)."""
    if sampling == "batch":
        return sample_beta(1, beta_range, generator, device, at_ends=at_ends, skew=skew).repeat(n)
    return sample_beta(n, beta_range, generator, device, at_ends=at_ends, skew=skew)


def sample_beta(
    n: int,
    beta_range: tuple[float, float] = (0.01, 10.0),
    generator: torch.Generator | None = None,
    device: str | torch.device = "cpu",
    *,
    at_ends: tuple[float, float] = (0.0, 0.0),
    skew: float = 1.0,
) -> Tensor:
    """`n` values of β, log-uniform and stratified: one in each of n equal parts of log β, in random order.

    Args:
        n: how many; at least 1.
        beta_range: (β_min, β_max).
        generator: makes the draw repeatable; on `device`.
        device: of the result.
        at_ends: the share of the draws that are β_min itself, and that of β_max; the others lie between.
        skew: of those: the place of β between the ends, on the scale of log β, is u^skew with u uniform. 1 is
            log-uniform, a smaller one gives more of a high β.

    Returns:
        (n,) float32.

    Raises:
        ValueError: naming the value.
    """
    if n < 1:
        raise ValueError(f"n={n} should be at least 1")
    low, high = beta_range
    if not 0 < low < high < math.inf:
        raise ValueError(f"beta_range={beta_range} should be two numbers with 0 < low < high")
    check_density(at_ends, skew)
    stratum = torch.randperm(n, generator=generator, device=device)
    position = (stratum + torch.rand(n, generator=generator, dtype=torch.float32, device=device)) / n
    position = ((position - at_ends[0]) / (1 - sum(at_ends))).clamp(0, 1) ** skew
    log_low, log_high = math.log(low), math.log(high)
    beta = (log_low + (log_high - log_low) * position).exp().clamp(low, high)
    return beta.masked_fill(position == 0, low).masked_fill(position == 1, high)  # whatever exp rounds to


def check_density(at_ends: tuple[float, float], skew: float) -> None:
    """A ValueError, if these are no two shares that leave something between the ends, or no positive skew."""
    if not (min(at_ends) >= 0 and sum(at_ends) < 1):  # NaN is neither
        raise ValueError(f"beta_at_ends={list(at_ends)} should be two shares, each at least 0, below 1 together")
    if not 0 < skew < math.inf:
        raise ValueError(f"beta_skew={skew} should be a number above 0")
