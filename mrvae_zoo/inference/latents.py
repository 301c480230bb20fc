"""Latents files: posteriors of images as safetensors, with everything that decoding them needs.

Letters: N images, Z latents of the model, K those that the file holds, h, w places of a spatial model.
"""

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

import safetensors
import safetensors.torch
from torch import Tensor

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.schema import from_mapping, to_plain

FORMAT = "mrvae_zoo.latents"
PLAIN, EXTENDED = "1", "2"  # versions of the format: one β and all latents; also one β per image, or some latents


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentsInfo:
    """The origin of latents.

    Attributes:
        source: The source of the model, as `exact` returns it.
        revision: The SHA-256 of the model's weights.
        beta: The β that the images were encoded at, or None if each has its own.
        input_shape: The shape (C, H, W) of an image, as decoded.
        files: The name of each image.
        latents: The latents that were kept, counted from 0, in the order of the columns; None if all were.
    """

    source: str
    revision: str
    beta: float | None
    input_shape: tuple[int, int, int]
    files: tuple[str, ...]
    latents: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.latents is not None and (
            len({*self.latents}) < max(1, len(self.latents)) or min(self.latents, default=0) < 0
        ):
            raise ValueError(f"latents={list(self.latents)} should name different latents, counted from 0")


class StoredLatents(NamedTuple):
    """What a latents file holds for decoding: the means, (N, K) or (N, K, h, w), each image's β, (N,), and the origin.

    The β are None if all images share that of the origin.
    """

    mean: Tensor
    betas: Tensor | None
    info: LatentsInfo

    def whole(self, latent_dim: int) -> Tensor:
        """Return all latents, (N, Z) or (N, Z, h, w). Those that the file leaves out are 0, the mean of the prior.

        Raises:
            ValueError: The latents of the file are not those of a model with so many.
        """
        named = range(latent_dim) if self.info.latents is None else self.info.latents
        if self.mean.shape[1] != len(named) or max(named, default=0) >= latent_dim:
            raise ValueError(f"the file holds {self.mean.shape[1]} latents; they do not fit a model with {latent_dim}")
        whole = self.mean.new_zeros(len(self.mean), latent_dim, *self.mean.shape[2:])
        whole[:, [*named]] = self.mean
        return whole


def save_latents(path: Path, mean: Tensor, log_var: Tensor, info: LatentsInfo, betas: Tensor | None = None) -> None:
    """Write mean and log_var, each (N, K) or (N, K, h, w), and the β of each image, (N,), if it has one; atomically."""
    described = {key: value for key, value in to_plain(info).items() if key != "latents" or value is not None}
    plain = betas is None and info.latents is None
    metadata = {"format": FORMAT, "format_version": PLAIN if plain else EXTENDED, "info": json.dumps(described)}
    tensors = {"mean": mean.contiguous(), "log_var": log_var.contiguous()}
    if betas is not None:
        tensors["beta"] = betas.contiguous()
    write_atomically(path, safetensors.torch.save(tensors, metadata=metadata))


def load_latents(path: Path) -> StoredLatents:
    """Read the means, the β and the origin of images from a file.

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
            betas = file.get_tensor("beta") if "beta" in file.keys() else None  # noqa: SIM118
    except safetensors.SafetensorError:
        raise ValueError(wrong) from None
    if metadata.get("format") != FORMAT:
        raise ValueError(wrong)
    if metadata.get("format_version") not in (PLAIN, EXTENDED):
        raise ValueError(f"{path} has format_version {metadata.get('format_version')}; upgrade mrvae_zoo to read it")
    try:
        info = from_mapping(LatentsInfo, json.loads(metadata["info"]), where=str(path))
    except (KeyError, json.JSONDecodeError):
        raise ValueError(wrong) from None
    if mean.ndim not in (2, 4) or len(mean) != len(info.files):
        raise ValueError(f"{path}: {len(info.files)} file names for latents of shape {tuple(mean.shape)}")
    if (betas is None) == (info.beta is None) or (betas is not None and betas.shape != mean.shape[:1]):
        raise ValueError(f"{path} should have one β for all images, or one for each of {len(mean)}")
    return StoredLatents(mean, betas, info)


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
