"""Encoding image files: one batch at a time, shared by several processes.

Letters: N images, C, H, W image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mrvae_zoo.common.decoding import find_images, open_readable
from mrvae_zoo.common.images import Changes
from mrvae_zoo.inference.per_image import BetaForEach
from mrvae_zoo.inference.tiling import encode_tiled
from mrvae_zoo.models.posterior import Posterior
from mrvae_zoo.models.vae import BaseVAE

if TYPE_CHECKING:
    from accelerate import Accelerator


BATCH = 64  # images that are held decoded


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """The result of encoding files.

    Attributes:
        posterior: The posterior of the readable images, in the order of the files: (N, Z) or (N, Z, h, w).
        files: The paths of the encoded images.
        skipped: The paths of the unreadable files that were skipped.
        input_shape: The shape (C, H, W) of each image, as encoded.
        chosen: The β of each image, if each has its own, and what was found there.
    """

    posterior: Posterior
    files: tuple[Path, ...]
    skipped: tuple[Path, ...]
    input_shape: tuple[int, int, int]
    chosen: BetaForEach | None = None


def find_files(paths: Sequence[Path]) -> tuple[list[Path], list[bool]]:
    """Return the images that `paths` name, including those in folders; and for each, whether it came from a folder.

    Raises:
        ValueError: A folder holds no images.
    """
    files: list[Path] = []
    from_folder: list[bool] = []
    for path in paths:
        found = find_images(path) if path.is_dir() else [path]
        if not found:
            raise ValueError(f"{path} holds no images in a format that Pillow reads")
        files += found
        from_folder += [path.is_dir()] * len(found)
    return files, from_folder


@torch.no_grad()
def encode_files(
    model: BaseVAE,
    files: Sequence[Path],
    *,
    may_skip: Sequence[bool],
    choose: Callable[[Tensor], BetaForEach] | None = None,
    accelerator: "Accelerator | None" = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Encoded:
    """Encode the images in `files`.

    Args:
        model: A model at one β, or any with `choose`.
        files: The image files; for a spatial model, all of one size.
        may_skip: One flag per file: whether to skip it if it cannot be read.
        choose: A function that finds the β of each image of a batch (B, C, H, W).
        accelerator: The Accelerator of several processes. Each encodes its share, and all return the whole result.
        progress: A function that is called with the share of the images of this process that is done, in [0, 1].

    Raises:
        ValueError: A file that may not be skipped cannot be read, no file can be read, or the sizes differ.
    """
    rank, processes = (0, 1) if accelerator is None else (accelerator.process_index, accelerator.num_processes)
    share = -(-len(files) // processes)
    mine = range(min(rank * share, len(files)), min((rank + 1) * share, len(files)))
    readable = torch.zeros(share, dtype=torch.bool, device="cpu")
    rows: list[tuple[Tensor, ...]] = []  # mean and log-variance, and with `choose` what it found
    shapes: set[tuple[int, ...]] = set()
    changes = Changes()
    for some in (mine[at : at + BATCH] for at in range(0, len(mine), BATCH)):
        progress((some.start - mine.start) / len(mine))
        found = open_readable([files[index] for index in some], [may_skip[index] for index in some])
        for index, image in zip(some, found, strict=True):
            readable[index - mine.start] = image is not None
        images = [image for image in found if image is not None]
        if not images:
            continue
        x = model.preprocess(images, changes)
        shapes.add(tuple(x.shape[1:]))
        _check_one(len(shapes))
        chosen = None if choose is None else choose(x)
        beta = None if chosen is None else chosen.beta
        posterior = encode_tiled(model, x, beta) if model.config.spatial else model.encode(x, beta)
        rows.append((*posterior, *(chosen or ())))
    changes.tell()
    shape = torch.tensor(shapes.pop() if shapes else (0, 0, 0), device="cpu")
    if accelerator is not None and processes > 1:
        gathered = _gather(shape[None], accelerator)
        gathered = gathered[gathered[:, 0] > 0].unique(dim=0)
        _check_one(len(gathered))
        shape = gathered[0] if len(gathered) else shape
    if not shape[0]:
        raise ValueError(f"none of {len(files)} images can be read; the first is {files[0]}")
    size = (int(shape[1]), int(shape[2]))
    rows.append(_no_rows(model, size, chosen=choose is not None))  # of a process that has read no image
    columns = [torch.cat(parts) for parts in zip(*rows, strict=True)]
    if accelerator is not None and processes > 1:
        columns = [_gather(_spread(column, readable), accelerator) for column in columns]
        readable = _gather(readable, accelerator)
        columns = [column[readable] for column in columns]
    kept = readable[: len(files)].tolist()
    return Encoded(
        posterior=Posterior(*columns[:2]),
        files=tuple(file for file, ok in zip(files, kept, strict=True) if ok),
        skipped=tuple(file for file, ok in zip(files, kept, strict=True) if not ok),
        input_shape=(int(shape[0]), *size),
        chosen=BetaForEach(*columns[2:]) if choose is not None else None,
    )


def _no_rows(model: BaseVAE, size: tuple[int, int], *, chosen: bool) -> tuple[Tensor, ...]:
    """Return what zero images of this size (H, W) are encoded to."""
    latents = torch.empty(0, *model.latent_shape(size), dtype=model.dtype, device=model.device)
    nats = torch.empty(0, dtype=torch.promote_types(model.dtype, torch.float32), device=model.device)
    return (latents, latents, nats, nats, nats.bool()) if chosen else (latents, latents)


def _check_one(sizes: int) -> None:
    if sizes > 1:
        raise ValueError("images of one size only; encode those of each size by themselves")


def _spread(rows: Tensor, places: Tensor) -> Tensor:
    """Return the rows where `places` is true, zeros elsewhere: all processes must gather tensors of one size."""
    spread = rows.new_zeros(len(places), *rows.shape[1:])
    spread[places.to(rows.device)] = rows
    return spread


def _gather(tensor: Tensor, accelerator: "Accelerator") -> Tensor:
    gathered: Tensor = accelerator.gather(tensor.to(accelerator.device)).cpu()
    return gathered
