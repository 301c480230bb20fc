"""The device that a word such as "auto" or "cuda" stands for on this machine, and the name of a device."""

import platform
from pathlib import Path

import torch

from mrvae_zoo.errors import counted


def find_device(name: str | torch.device) -> torch.device:
    """Return the device of a name; "auto" is the GPU if there is one, and otherwise the CPU.

    Raises:
        ValueError: Torch has no such device here.
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return torch.device("cpu") if found is None else found
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        expected = "'auto', 'cpu', 'cuda' or 'mps'"
        raise ValueError(f"device={name!r} is not a device that torch knows; pass {expected}") from None
    if device.type in ("cpu", "meta"):
        return device
    try:
        module = torch.get_device_module(device)
    except RuntimeError:  # a kind that needs a package of its own
        module = None
    count = module.device_count() if module is not None and module.is_available() else 0
    if count == 0:
        raise ValueError(f"device={str(device)!r}: torch finds no such device here; pass 'cpu', or 'auto'")
    if device.index is not None and device.index >= count:
        raise ValueError(f"device={str(device)!r}: torch finds {count} here, from {device.type}:0 on")
    return device


def device_name(device: torch.device, *, threads: int | None = None) -> str:
    """Return the name of a device: that of the GPU, or that of the CPU with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return f"{platform.machine()} ({device.type})"
    return f"{processor_name()}, {counted(torch.get_num_threads() if threads is None else threads, 'thread')}"


def processor_name() -> str:
    """Return the name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
