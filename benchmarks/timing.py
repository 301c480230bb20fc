"""Timing several things in turn, so that a change of the machine's speed falls on all of them."""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from mrvae_zoo.common.devices import processor_name

FEWEST = 3  # calls of one timing
UNTIMED = 2  # calls before each timing


def synchronize(device: torch.device) -> None:
    """Wait for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_of(call: Callable[[], object], device: torch.device, calls: int) -> float:
    """Of one call, in the mean of so many."""
    for _ in range(UNTIMED):
        call()
    synchronize(device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    synchronize(device)
    return (time.perf_counter() - start) / calls


def in_turn(
    contestants: Mapping[str, Callable[[], object]], device: torch.device, *, turns: int, shortest: float
) -> dict[str, list[float]]:
    """The seconds of a call of each contestant in every turn; every second turn goes backwards.

    `shortest` is how many seconds one timing takes at least.
    """
    for call in contestants.values():
        for _ in range(5):  # compiles, captures
            call()
    counts = {
        name: max(FEWEST, round(shortest / seconds_of(call, device, FEWEST))) for name, call in contestants.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(turns):
        for name in [*contestants][:: -1 if turn % 2 else 1]:
            seconds[name].append(seconds_of(contestants[name], device, counts[name]))
    return seconds


def quartiles(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """The median and the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return {"median": round(middle, digits), "low": round(low, digits), "high": round(high, digits)}


def ratio(ours: Sequence[float], theirs: Sequence[float], digits: int = 3) -> dict[str, float]:
    """How many times the seconds of ours theirs take, turn by turn."""
    return quartiles([their / our for our, their in zip(ours, theirs, strict=True)], digits)


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "torch": torch.__version__,
        "device": device.type,
        "gpu": torch.cuda.get_device_name() if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "cpus": os.cpu_count(),
    }


def processor() -> str:
    """The name of the CPU and whether it has instructions for bf16."""
    has = [name for name in ("avx512_bf16", "amx_tile") if getattr(torch.cpu, f"_is_{name}_supported", bool)()]
    return f"{processor_name()} ({', '.join(has) or 'no bf16'})"
