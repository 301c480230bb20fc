"""Latents files: posteriors of images as safetensors, with all that decoding them needs."""

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.schema import from_mapping, to_plain

FORMAT = "mrvae_zoo.latents"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentsInfo:
    """Where latents come from.

    Attributes:
        source: of the model, as `exact` gives it.
        revision: SHA-256 of its weights.
        beta: that they were encoded at.
        input_shape: (C, H, W) of an image, as decoded.
        files: the name of each image.
    """

    source: str
    revision: str
    beta: float
    input_shape: tuple[int, int, int]
    files: tuple[str, ...]


def save_latents(path: Path, mean: Tensor, log_var: Tensor, info: LatentsInfo) -> None:
    """Write mean and log_var, each (N, Z) or (N, Z, h, w), atomically."""
    metadata = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "info": json.dumps(to_plain(info))}
    tensors = {"mean": mean.contiguous(), "log_var": log_var.contiguous()}
    write_atomically(path, safetensors.torch.save(tensors, metadata=metadata))


def load_latents(path: Path) -> tuple[Tensor, LatentsInfo]:
    """The means, (N, Z) or (N, Z, h, w), in a file, and where they come from.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no latents file, or is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    wrong = f"{path} is not a latents file as `mrvae encode` writes it"
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            mean = file.get_tensor("mean")
    except safetensors.SafetensorError:
        raise ValueError(wrong) from None
    if metadata.get("format") != FORMAT:
        raise ValueError(wrong)
    if metadata.get("format_version") != str(FORMAT_VERSION):
        raise ValueError(f"{path} has format_version {metadata.get('format_version')}; upgrade mrvae_zoo to read it")
    try:
        info = from_mapping(LatentsInfo, json.loads(metadata["info"]), where=str(path))
    except (KeyError, json.JSONDecodeError):
        raise ValueError(wrong) from None
    if mean.ndim not in (2, 4) or len(mean) != len(info.files):
        raise ValueError(f"{path}: {len(info.files)} file names for latents of shape {tuple(mean.shape)}")
    return mean, info


def unique_stems(files: tuple[str, ...]) -> list[str]:
    """A name for each file without folder and suffix; of two that are the same the later gets a number."""
    taken: set[str] = set()
    stems = []
    for file in files:
        stem = Path(file).stem or "image"
        name, number = stem, 2
        while name.lower() in taken:  # some file systems do not tell A from a
            name, number = f"{stem}-{number}", number + 1
        taken.add(name.lower())
        stems.append(name)
    return stems
