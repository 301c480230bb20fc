"""The states that a training continues from after it was killed: one safetensors file per state, the newest two kept.

A file is named STEP-SHA256.safetensors after the number of steps and its own content, so that damage shows. It holds
the weights as "model.NAME", their average as "average.NAME", those of the best validation as "best.NAME" and the
optimiser's state as "optimizer.PARAMETER.NAME". The schedule and all noise are functions of the step.
"""

import hashlib
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.training.validation import Validation

KEPT = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """The state of a training after a step.

    Attributes:
        step: The number of steps done.
        seconds: The seconds that these steps took.
        tensors: The tensors, by the names that the head of this file lists.
        lowest: The lowest validation figure so far; see `Validation`.
        best_step: The step of that figure.
        waited: The number of validations since then.
    """

    step: int
    seconds: float
    tensors: dict[str, Tensor]
    lowest: float = math.inf
    best_step: int = 0
    waited: int = 0


def save_state(
    folder: Path,
    model: nn.Module,
    average: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    done: tuple[int, float],
    validation: Validation | None = None,
) -> None:
    """Write a state into `folder`, created if missing; then remove all but the newest two.

    `done` holds the number of steps, and the seconds that they took.
    """
    step, seconds = done
    metadata = {"step": str(step), "seconds": str(seconds)}
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in values.items()}
    if validation is not None:
        tensors |= {f"best.{name}": tensor for name, tensor in validation.best.items()}
        figures = ("lowest", "best_step", "waited")
        metadata |= {name: str(getattr(validation, name)) for name in figures}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = safetensors.torch.save(tensors, metadata=metadata)
    folder.mkdir(exist_ok=True)
    path = folder / f"{step:09}-{hashlib.sha256(content).hexdigest()}.safetensors"
    write_atomically(path, content)
    before = [other for other in newest_first(folder) if other.name < f"{step:09}"]
    for other in newest_first(folder):  # one of this step or later is damaged: training went on from before it
        if other != path and other not in before[: KEPT - 1]:
            other.unlink(missing_ok=True)


def newest_first(folder: Path) -> list[Path]:
    """Return the state files, newest first."""
    return sorted(folder.glob("*-*.safetensors"), reverse=True)


def load_state(folder: Path) -> TrainingState | None:
    """Load the newest undamaged state, or return None if there is none; each damaged file is named in a warning."""
    for path in newest_first(folder):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == path.stem.partition("-")[2]:
            with safetensors.safe_open(path, framework="pt") as file:
                metadata = file.metadata()
            return TrainingState(
                step=int(metadata["step"]),
                seconds=float(metadata["seconds"]),
                tensors=safetensors.torch.load(content),
                lowest=float(metadata.get("lowest", "inf")),
                best_step=int(metadata.get("best_step", "0")),
                waited=int(metadata.get("waited", "0")),
            )
        logger.warning("%s is damaged: its content is not what was written; the state before it is taken", path)
    return None


def restore(
    state: TrainingState,
    model: nn.Module,
    average: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    validation: Validation | None = None,
) -> None:
    """Load a state of the same recipe into the objects of a training."""
    model.load_state_dict(_below("model.", state.tensors))
    if average is not None:
        average.load_state_dict(_below("average.", state.tensors))
    if validation is not None:
        device = next(model.parameters()).device
        validation.lowest, validation.best_step, validation.waited = state.lowest, state.best_step, state.waited
        validation.best = {name: tensor.to(device) for name, tensor in _below("best.", state.tensors).items()}
    values: dict[int, dict[str, Any]] = {}
    for name, tensor in _below("optimizer.", state.tensors).items():
        number, _, key = name.partition(".")
        values.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": values, "param_groups": optimizer.state_dict()["param_groups"]})


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
