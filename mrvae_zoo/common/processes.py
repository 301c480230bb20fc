"""The processes of a training: a single one, or several that share each batch, with Accelerate."""

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
    """Return the Accelerator of this process. It does not set the precision, which it could not change later.

    Args:
        device: The device: "auto", "cpu" or a kind of GPU. The launcher chooses which GPU.
        trackers: The trackers to log to, from TRACKERS.
        logs: The folder that trackers write to.

    Raises:
        MissingExtraError: Accelerate or a tracker is not installed.
        ValueError: There is no such device here.
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
    """Check that a tracker is installed, since Accelerate silently leaves out a missing one."""
    if tracker not in TRACKERS:
        raise ValueError(f"unknown tracker {tracker!r}; there are {' and '.join(TRACKERS)}")
    try:
        __import__("wandb" if tracker == "wandb" else "torch.utils.tensorboard")
    except ImportError:
        raise MissingExtraError(tracker, tracker) from None


def gather(tensor: Tensor) -> Tensor:
    """Join the tensors of all processes in order, (b, ...) -> (B, ...). Gradients are summed over the processes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return tensor
    gathered: Tensor = _Gather.apply(tensor)
    return gathered


class _Gather(torch.autograd.Function):
    """Gather with gradients; the one in torch.distributed.nn is deprecated."""

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
