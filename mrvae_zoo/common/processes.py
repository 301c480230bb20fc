"""The processes of a training: one alone, or several that share each batch, on Accelerate."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed

from mrvae_zoo.common.devices import find_device
from mrvae_zoo.errors import MissingExtraError

if TYPE_CHECKING:
    from accelerate import Accelerator


TRACKERS = ("tensorboard", "wandb")


def make_accelerator(
    device: str | torch.device = "auto", trackers: Sequence[str] = (), logs: Path | None = None
) -> "Accelerator":
    """The Accelerator of this process. It could hold the precision too, but one for the life of the process.

    Args:
        device: "auto", "cpu" or a kind of GPU; which GPU is for the launcher to say.
        trackers: some of TRACKERS.
        logs: the folder that trackers write to.

    Raises:
        MissingExtraError: Accelerate or a tracker is not installed.
        ValueError: there is no such device here.
    """
    on_cpu = find_device(device).type == "cpu"
    try:
        from accelerate import Accelerator
    except ImportError:
        raise MissingExtraError("accelerate", "train") from None
    for tracker in trackers:
        _check_tracker(tracker)
    return Accelerator(
        mixed_precision="no",
        cpu=on_cpu,  # without it torchrun's processes on a CPU stay strangers
        log_with=list(trackers) or None,
        project_dir=logs,
    )


def _check_tracker(tracker: str) -> None:
    """Accelerate leaves out a tracker that is not installed without a word."""
    if tracker not in TRACKERS:
        raise ValueError(f"unknown tracker {tracker!r}; there are {' and '.join(TRACKERS)}")
    try:
        __import__("wandb" if tracker == "wandb" else "torch.utils.tensorboard")
    except ImportError:
        raise MissingExtraError(tracker, tracker) from None


def gather(tensor: Tensor) -> Tensor:
    """(b, ...) of each process -> (B, ...) of all, in order; what flows back is what all of them ask for."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return tensor
    gathered: Tensor = _Gather.apply(tensor)
    return gathered


class _Gather(torch.autograd.Function):
    """torch.distributed.nn has one, deprecated."""

    @staticmethod
    def forward(_ctx: Any, tensor: Tensor) -> Tensor:
        parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        gradient = gradient.contiguous()
        distributed.all_reduce(gradient)
        return gradient.chunk(distributed.get_world_size())[distributed.get_rank()]
