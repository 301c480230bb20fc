"""Images per second of a model: encoding, decoding and both, with gates and folded.

Letters: B batch, C channels, H, W image, Z latent size.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mrvae_zoo.errors import counted
from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE

ANY_SIZE = (32, 32)  # H, W of an image for a model that takes any size
UNTIMED = 3  # calls before anything is timed
FEWEST = 2  # calls of one timing

Call = Callable[[], object]
Key = tuple[str, str]  # folded or gated; what is timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Images per second, the median of the rounds.

    Attributes:
        encode: The images per second of `encode`.
        decode: The images per second of `decode`.
        whole: The images per second of the whole model, which encodes and decodes.
    """

    encode: float
    decode: float
    whole: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """The speed of a model with one batch size.

    Attributes:
        batch_size: The number of images in a call.
        folded: The speed with β folded into the weights.
        gated: The speed with gates and one β for all images; None for a model that is a plain VAE already.
        peak_bytes: The peak memory of the device in bytes, the weights of both forms included; None if the device does
            not say.
    """

    batch_size: int
    folded: Rates
    gated: Rates | None
    peak_bytes: int | None


def image_shape(model: BaseVAE, size: tuple[int, int] | None = None) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of the images to time a model with; `size` is for a model that takes any.

    Raises:
        ValueError: The model takes images of one size, and `size` is another.
    """
    channels, height, width = model.input_shape
    if height is None or width is None:
        return (channels, *(ANY_SIZE if size is None else size))
    if size not in (None, (height, width)):
        raise ValueError(f"size={size}: this model takes images of {height}×{width} only")
    return channels, height, width


@torch.no_grad()
def draw_images(plain: FixedRateVAE, n: int, shape: tuple[int, int, int]) -> Tensor:
    """Return `n` images of a shape (C, H, W) that a model draws itself: (B, C, H, W), as it takes them."""
    channels, height, width = plain.input_shape
    size = shape[1:] if height is None or width is None else None
    assert shape[0] == channels
    return plain.sample(n, size=size, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def measure_throughput(
    model: BaseVAE,
    beta: float,
    *,
    batch_size: int = 1,
    size: tuple[int, int] | None = None,
    rounds: int = 5,
    shortest: float = 0.1,
) -> Throughput:
    """Time a model at one β, on images that it draws itself.

    All forms take turns, so a change of the machine's speed falls on all of them.

    Args:
        model: The model, in eval mode and on its device.
        beta: The β of every call.
        batch_size: The number of images in a call.
        size: The size (H, W) of the images, for a model that takes any; None is 32×32.
        rounds: The number of rounds. Every second one goes backwards.
        shortest: The least number of seconds that one timing takes.

    Raises:
        ValueError: The model does not take this β or this size, or a number is below 1.
    """
    for name, number in (("batch_size", batch_size), ("rounds", rounds)):
        if number < 1:
            raise ValueError(f"{name}={number} should be at least 1")
    shape = image_shape(model, size)
    try:
        seconds, peak = _measure(model, beta, (batch_size, *shape), rounds=rounds, shortest=shortest)
    except torch.OutOfMemoryError:
        raise ValueError(f"{counted(batch_size, 'image')} at once do not fit into memory; take fewer") from None
    speeds = {key: batch_size / statistics.median(values) for key, values in seconds.items()}
    folded, gated = (
        {part: speed for (one, part), speed in speeds.items() if one == form} for form in ("folded", "gated")
    )
    return Throughput(
        batch_size=batch_size, folded=Rates(**folded), gated=Rates(**gated) if gated else None, peak_bytes=peak
    )


def _measure(
    model: BaseVAE, beta: float, shape: tuple[int, int, int, int], *, rounds: int, shortest: float
) -> tuple[dict[Key, list[float]], int | None]:
    """Return the seconds of a call of each form and part in every round, and the peak memory if the device tells it."""
    plain = model.at(beta)
    x = draw_images(plain, shape[0], shape[1:])
    calls: dict[Key, Call] = {("folded", part): call for part, call in _calls(plain, x, None).items()}
    if not isinstance(model, FixedRateVAE):
        calls |= {("gated", part): call for part, call in _calls(model, x, beta).items()}
    _forget_peak(x.device)
    seconds = _in_turn(calls, x.device, rounds=rounds, shortest=shortest)
    return seconds, _peak(x.device)


def _calls(model: BaseVAE, x: Tensor, beta: float | None) -> dict[str, Call]:
    z = model.encode(x, beta).mode()
    return {
        "encode": partial(model.encode, x, beta),
        "decode": partial(model.decode, z, beta),
        "whole": partial(model, x, beta, sample=False),
    }


def _in_turn(calls: dict[Key, Call], device: torch.device, *, rounds: int, shortest: float) -> dict[Key, list[float]]:
    """Return the seconds of one call of each, in every round."""
    counts = {}
    for key, call in calls.items():
        _time(call, device, UNTIMED)
        counts[key] = max(FEWEST, round(shortest / max(_time(call, device, FEWEST), 1e-9)))
    seconds: dict[Key, list[float]] = {key: [] for key in calls}
    for turn in range(rounds):
        for key in [*calls][:: -1 if turn % 2 else 1]:
            seconds[key].append(_time(calls[key], device, counts[key]))
    return seconds


def _time(call: Call, device: torch.device, times: int) -> float:
    """Return the mean seconds of so many calls."""
    _wait(device)
    start = time.perf_counter()
    for _ in range(times):
        call()
    _wait(device)
    return (time.perf_counter() - start) / times


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
