"""Latents files: posteriors of images as safetensors, with everything that decoding them needs."""

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import safetensors
import safetensors.torch
from torch import Tensor

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.schema import from_mapping, to_plain

FORMAT = "mrvae_zoo.latents"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentsInfo:
    """The origin of latents.

    Attributes:
        source: The source of the model, as `exact` returns it.
        revision: The SHA-256 of the model's weights.
        beta: The β that the images were encoded at.
        input_shape: The shape (C, H, W) of an image, as decoded.
        files: The name of each image.
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
    """Read the means, (N, Z) or (N, Z, h, w), and their origin from a file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a latents file, or is damaged.
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


def image_paths(files: Sequence[str]) -> list[PurePath]:
    """Return the path for each decoded image, inside one folder. Sub-folders are kept, without their common part.

    If two files in one folder differ only in their suffix, the later one keeps it ("a.jpg.png"). If they are the same,
    the later one gets a number.
    """
    whole = [_parts(file) for file in files]
    levels = zip(*(parts[:-1] for parts in whole), strict=False)  # as many as the shallowest file has
    common = sum(1 for _ in itertools.takewhile(lambda level: len({*level}) == 1, levels))
    folders = [PurePath(*parts[common:-1]) for parts in whole]
    taken = {str(folder).lower() for folder in folders}  # some file systems do not tell A from a
    seen: set[tuple[str, ...]] = set()
    paths = []
    for parts, folder in zip(whole, folders, strict=True):
        name = PurePath(parts[-1])
        numbered = (f"{name.stem}-{number}" for number in itertools.count(2))
        candidates = itertools.chain([name.stem], [] if parts in seen else [name.name], numbered)
        path = next(path for each in candidates if str(path := folder / f"{each}.png").lower() not in taken)
        taken.add(str(path).lower())
        seen.add(parts)
        paths.append(path)
    return paths


def _parts(file: str) -> tuple[str, ...]:
    """Return the folders and the name of a file, without parts that would lead out of a folder."""
    path = PurePath(os.path.normpath(file))
    return tuple(part for part in path.parts if part not in (os.pardir, path.anchor)) or ("image",)
