"""The gates of a gated module in a file of their own, to share beside the base module that they belong to.

The file is a safetensors file. Its metadata say how the module was gated, and hold the checksum of the base module, for
gates are worth nothing on other weights.
"""

import copy
import hashlib
import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from mrvae_zoo.checkpoints.folder import stored
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.schema import from_mapping, to_plain
from mrvae_zoo.errors import CheckpointError, name_some
from mrvae_zoo.gating.gated_module import GatedModule
from mrvae_zoo.gating.low_rank import LowRank
from mrvae_zoo.gating.module import GATINGS, GatingName
from mrvae_zoo.gating.sites import site
from mrvae_zoo.models.config import MAX_GATING_DEGREE

VERSION = 1
KEY = "mrvae_zoo"
CHILDREN = ("gate", "low_rank_gate")  # of a layer


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedLayerRecord:
    """What one layer has: its name, whether it has a gate, and the rank of the part that moves with β."""

    name: str
    gated: bool
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesRecord:
    """The metadata of a file of gates: what is needed to gate the base module again."""

    version: int
    base: str
    base_sha256: str
    beta_range: tuple[float, float]
    gating: GatingName
    degree: int
    layers: tuple[GatedLayerRecord, ...]
    methods: tuple[str, ...]

    def __post_init__(self) -> None:
        low, high = self.beta_range
        if not 0 < low < high < math.inf:
            raise ValueError(f"beta_range={self.beta_range} should be two numbers with 0 < low < high")
        if not 1 <= self.degree <= MAX_GATING_DEGREE:
            raise ValueError(f"degree={self.degree} should be between 1 and {MAX_GATING_DEGREE}")


def save_gates(gated: GatedModule, file: str | os.PathLike[str]) -> None:
    """Write the gates of a module gated by `gate` to a safetensors file, without the weights of the module itself.

    Train the gates alone to share them in this way: `load_gates` takes a base module with exactly the weights that
    `gated` has.

    Raises:
        ValueError: `gated` is not a gated module, or its gating is not one of `gate`.
        OSError: The file cannot be written.
    """
    if not isinstance(gated, GatedModule):
        raise ValueError(f"{type(gated).__name__} is not a gated module; pass what mrvae_zoo.gate returned")
    if gated.gating.name not in GATINGS:
        raise ValueError(f"gating {gated.gating.name!r} is not one that a file of gates can hold: {', '.join(GATINGS)}")
    record = GatesRecord(
        version=VERSION,
        base=type(gated._plain).__name__,
        base_sha256=checksum(gated),
        beta_range=gated.beta_range,
        gating=gated.gating.name,  # type: ignore[arg-type]
        degree=gated.gating.degree,
        layers=tuple(_record_of(name, gated.get_submodule(name)) for name in gated.layer_names),
        methods=gated.methods,
    )
    state, ours = gated.state_dict(), gate_names(gated)
    tensors = {name: stored(tensor, tensor.dtype) for name, tensor in state.items() if name in ours}
    metadata = {"format": "pt", KEY: json.dumps(to_plain(record))}
    write_atomically(Path(file), safetensors.torch.save(tensors, metadata=metadata))


def load_gates(module: nn.Module, file: str | os.PathLike[str]) -> GatedModule:
    """Gate a copy of `module` with the gates in a file, as `save_gates` writes it.

    Args:
        module: The base module, with the weights that the gates were trained on.
        file: The file of gates.

    Raises:
        CheckpointError: The file is missing or damaged, is no file of gates, or belongs to a module with other weights.
    """
    record, tensors = _read(Path(file))
    if (found := checksum(module)) != record.base_sha256:
        raise CheckpointError(
            f"{file} holds gates of a {record.base} with checksum {record.base_sha256[:12]}; this "
            f"{type(module).__name__} has {found[:12]}: take the base that the gates were trained on, in its dtype"
        )
    module = copy.deepcopy(module)
    try:
        layers = [
            replace(site(one.name, module.get_submodule(one.name)), gated=one.gated, rank=one.rank)
            for one in record.layers
        ]
        gating = GATINGS[record.gating](beta_range=record.beta_range, degree=record.degree)
        gated = GatedModule(gating, module, layers, methods=record.methods)
    except (AttributeError, ValueError, AssertionError) as error:
        raise CheckpointError(f"{file} does not fit this {type(module).__name__}: {error}") from None
    names = gate_names(gated)
    ours = {name: tensor for name, tensor in gated.state_dict().items() if name in names}
    wrong = [f"{name} is missing" for name in ours if name not in tensors]
    wrong += [f"{name} is not one of its gates" for name in tensors if name not in ours]
    both = ours.keys() & tensors.keys()
    wrong += [f"{name} has another shape" for name in sorted(both) if ours[name].shape != tensors[name].shape]
    if wrong:
        raise CheckpointError(f"{file} does not hold the gates that it describes: {name_some(wrong, '; ')}")
    for name, tensor in ours.items():
        tensor.detach().copy_(tensors[name])
    return gated


def _record_of(name: str, layer: nn.Module) -> GatedLayerRecord:
    moving = getattr(layer, CHILDREN[1], None)
    rank = moving.rank if isinstance(moving, LowRank) else 0
    return GatedLayerRecord(name=name, gated=getattr(layer, CHILDREN[0], None) is not None, rank=rank)


def gate_names(gated: GatedModule) -> set[str]:
    """Return the names of the tensors of the gates in the state dict of a gated module."""
    return {
        ".".join(part for part in (layer, child, name) if part)
        for layer in gated.layer_names
        for child in CHILDREN
        if isinstance(part := getattr(gated.get_submodule(layer), child, None), nn.Module)
        for name in part.state_dict()
    }


def checksum(module: nn.Module) -> str:
    """Return the SHA-256 of a module's state dict: names, shapes, dtypes and bytes; without gates if it is gated."""
    digest = hashlib.sha256()
    gates = gate_names(module) if isinstance(module, GatedModule) else set()
    for name, tensor in sorted(module.state_dict().items()):
        if name in gates:
            continue
        tensor = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(memoryview(tensor.flatten().view(torch.uint8).numpy()))
    return digest.hexdigest()


def _read(path: Path) -> tuple[GatesRecord, dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file, or is damaged: {error}") from None
    try:
        data: Any = json.loads(metadata[KEY])
    except (KeyError, ValueError, RecursionError):
        raise CheckpointError(f"{path} holds no gates; it should be a file of mrvae_zoo.save_gates") from None
    if not isinstance(data, dict) or not isinstance(version := data.get("version"), int) or version > VERSION:
        raise CheckpointError(f"{path} was written by a newer mrvae_zoo; upgrade with: pip install -U mrvae-zoo")
    try:
        return from_mapping(GatesRecord, data, where=str(path)), tensors
    except ValueError as error:
        raise CheckpointError(str(error)) from None
