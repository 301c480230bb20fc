"""The states that a training continues from after it was killed: one safetensors file per state, the newest two kept.

A file is named STEP-SHA256.safetensors after the number of steps and its own content, so that damage shows. It holds
the weights as "model.NAME", their average as "average.NAME", those of the best validation as "best.NAME", the
optimiser's state as "optimizer.KIND.NAME" (its step count as "optimizer.step"), and the sums of the unfinished line of
the log as "log". The schedule and all noise are functions of the step.
"""

import hashlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.training.step import Step
from mrvae_zoo.training.validation import Validation

KEPT = 2
FORMAT = "2"  # of the names and figures in a state

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


def take_state(
    step: Step, member: int, *, done: int, seconds: float, validation: Validation | None = None
) -> Callable[[], TrainingState]:
    """Copy the state of one of the models that are trained, and return the function that brings the copy to the CPU.

    The copy lies on the device, so that the training goes on while it is written.
    """
    row = step.weights.rows[member]
    rows: dict[str, Tensor] = {"model": row.detach().clone()}
    tensors: dict[str, Tensor] = {}
    if step.training.ema:
        rows["average"] = step.average[member].clone()
    for kind, values in step.optimizer.state[row].items():
        of = rows if values.shape == row.shape else tensors
        of[f"optimizer.{kind}"] = values.clone()
    for kind, model in _networks(step, member).items():
        tensors |= {f"{kind}.{name}": tensor.clone() for name, tensor in _untrained(step, model).items()}
    if done < step.steps:
        tensors["log"] = step.history[member, step.line_after(done)].clone()
    figures = {}
    if validation is not None:
        tensors |= {f"best.{name}": tensor for name, tensor in validation.best.items()}
        figures = {name: getattr(validation, name) for name in ("lowest", "best_step", "waited")}

    def bring() -> TrainingState:
        ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        for kind, values in rows.items():
            on_cpu = values.cpu()
            ready |= {f"{kind}.{place.name}": place.of(on_cpu).contiguous() for place in step.weights.places}
        return TrainingState(step=done, seconds=seconds, tensors=ready, **figures)

    return bring


def put_state(step: Step, member: int, state: TrainingState, validation: Validation | None = None) -> None:
    """Load a state of the same recipe into one of the models that are trained."""
    row = step.weights.rows[member].detach()
    for kind, model in _networks(step, member).items():
        model.load_state_dict(_below(f"{kind}.", state.tensors))
    if "log" in state.tensors:
        step.history[member, step.line_after(state.step)] = state.tensors["log"].to(step.history)
    if validation is not None:
        validation.lowest, validation.best_step, validation.waited = state.lowest, state.best_step, state.waited
        validation.best = {name: tensor.to(row.device) for name, tensor in _below("best.", state.tensors).items()}
    values: dict[str, Tensor] = {}
    for name, tensor in _below("optimizer.", state.tensors).items():
        kind, _, parameter = name.partition(".")
        if parameter:
            whole = values.setdefault(kind, torch.zeros_like(row))
            step.weights.place(parameter).of(whole).copy_(tensor)
        else:
            values[kind] = tensor.to(row.device) if step.optimizer.defaults["fused"] else tensor
    step.optimizer.state[step.weights.rows[member]] = values


def save_state(folder: Path, state: TrainingState) -> None:
    """Write a state into `folder`, created if missing; then remove all but the newest two."""
    figures = ("step", "seconds", "lowest", "best_step", "waited")
    metadata = {name: str(getattr(state, name)) for name in figures} | {"format": FORMAT}
    content = safetensors.torch.save(state.tensors, metadata=metadata)
    folder.mkdir(exist_ok=True)
    path = folder / f"{state.step:09}-{hashlib.sha256(content).hexdigest()}.safetensors"
    write_atomically(path, content)
    before = [other for other in newest_first(folder) if other.name < f"{state.step:09}"]
    for other in newest_first(folder):  # one of this step or later is damaged: training went on from before it
        if other != path and other not in before[: KEPT - 1]:
            other.unlink(missing_ok=True)


def newest_first(folder: Path) -> list[Path]:
    """Return the state files, newest first."""
    return sorted(folder.glob("*-*.safetensors"), reverse=True)


def load_state(folder: Path) -> TrainingState | None:
    """Load the newest undamaged state, or return None if there is none; each damaged file is named in a warning.

    Raises:
        ValueError: The state was written by another version of mrvae_zoo.
    """
    for path in newest_first(folder):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == path.stem.partition("-")[2]:
            with safetensors.safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(
                    f"{path} was written by another version of mrvae_zoo, and this one cannot continue from it; "
                    "replace the training with --force"
                )
            return TrainingState(
                step=int(metadata["step"]),
                seconds=float(metadata["seconds"]),
                tensors=safetensors.torch.load(content),
                lowest=float(metadata["lowest"]),
                best_step=int(metadata["best_step"]),
                waited=int(metadata["waited"]),
            )
        logger.warning("%s is damaged: its content is not what was written; the state before it is taken", path)
    return None


def _networks(step: Step, member: int) -> dict[str, nn.Module]:
    """Return the networks of one model by their names in a state."""
    networks: dict[str, nn.Module] = {"model": step.models[member]}
    if step.training.ema:
        networks["average"] = step.averages[member]
    return networks


def _untrained(step: Step, model: nn.Module) -> dict[str, Tensor]:
    """Return what a network has beside the weights that are trained."""
    trained = {place.name for place in step.weights.places}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in trained}


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
