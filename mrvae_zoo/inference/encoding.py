"""Encoding the images in files: a batch at a time, shared by several processes.

Letters: N images, C, H, W image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mrvae_zoo.common.decoding import find_images, open_image
from mrvae_zoo.common.images import Changes
from mrvae_zoo.inference.tiling import encode_tiled
from mrvae_zoo.models.posterior import Posterior
from mrvae_zoo.models.vae import FixedRateVAE

if TYPE_CHECKING:
    from accelerate import Accelerator
    from PIL import Image


BATCH = 64  # images that are held decoded


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What became of files.

    Attributes:
        posterior: of the images that could be read, in the order of the files: (N, Z) or (N, Z, h, w).
        files: these.
        skipped: the others.
        input_shape: (C, H, W) of each image, as encoded.
    """

    posterior: Posterior
    files: tuple[Path, ...]
    skipped: tuple[Path, ...]
    input_shape: tuple[int, int, int]


def find_files(paths: Sequence[Path]) -> tuple[list[Path], list[bool]]:
    """The images that `paths` name, with those of folders among them; and for each whether a folder brought it.

    Raises:
        ValueError: a folder holds no images.
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


def open_readable(files: Sequence[Path], may_skip: Sequence[bool]) -> "list[Path | Image.Image | None]":
    """What `model.preprocess` takes, for each file; None for one that may be skipped and cannot be read."""

    def opened(file: Path) -> "Image.Image | None":
        try:
            return open_image(file)
        except ValueError:
            return None

    return [opened(file) if skip else file for file, skip in zip(files, may_skip, strict=True)]


@torch.no_grad()
def encode_files(
    model: FixedRateVAE,
    files: Sequence[Path],
    *,
    may_skip: Sequence[bool],
    accelerator: "Accelerator | None" = None,
) -> Encoded:
    """Encode the images in `files`.

    Args:
        model: at one β.
        files: images, for a spatial model all of one size.
        may_skip: for each file whether it is left out where it cannot be read.
        accelerator: with several processes each encodes its share of the files, and all return the whole.

    Raises:
        ValueError: a file that may not be skipped cannot be read, none can be, or sizes differ that should not.
    """
    rank, processes = (0, 1) if accelerator is None else (accelerator.process_index, accelerator.num_processes)
    share = -(-len(files) // processes)
    mine = range(min(rank * share, len(files)), min((rank + 1) * share, len(files)))
    readable = torch.zeros(share, dtype=torch.bool, device="cpu")
    means: list[Tensor] = []
    log_vars: list[Tensor] = []
    shapes: set[tuple[int, ...]] = set()
    changes = Changes()
    for some in (mine[at : at + BATCH] for at in range(0, len(mine), BATCH)):
        found = open_readable([files[index] for index in some], [may_skip[index] for index in some])
        for index, image in zip(some, found, strict=True):
            readable[index - mine.start] = image is not None
        images = [image for image in found if image is not None]
        if not images:
            continue
        x = model.preprocess(images, changes)
        shapes.add(tuple(x.shape[1:]))
        _check_one(len(shapes))
        posterior = encode_tiled(model, x) if model.config.spatial else model.encode(x)
        means.append(posterior.mean)
        log_vars.append(posterior.log_var)
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
    empty = torch.empty(0, *model.latent_shape(size), dtype=model.dtype, device=model.device)
    mean, log_var = (torch.cat([empty, *parts]) for parts in (means, log_vars))
    if accelerator is not None and processes > 1:
        mean, log_var = (_gather(_spread(tensor, readable), accelerator) for tensor in (mean, log_var))
        readable = _gather(readable, accelerator)
        mean, log_var = mean[readable], log_var[readable]
    kept = readable[: len(files)].tolist()
    return Encoded(
        posterior=Posterior(mean, log_var),
        files=tuple(file for file, ok in zip(files, kept, strict=True) if ok),
        skipped=tuple(file for file, ok in zip(files, kept, strict=True) if not ok),
        input_shape=(int(shape[0]), *size),
    )


def _check_one(sizes: int) -> None:
    if sizes > 1:
        raise ValueError("images of one size only; encode those of each size by themselves")


def _spread(rows: Tensor, places: Tensor) -> Tensor:
    """The rows where `places` is true, zeros elsewhere, as all processes have to give tensors of one size."""
    spread = rows.new_zeros(len(places), *rows.shape[1:])
    spread[places.to(rows.device)] = rows
    return spread


def _gather(tensor: Tensor, accelerator: "Accelerator") -> Tensor:
    gathered: Tensor = accelerator.gather(tensor.to(accelerator.device)).cpu()
    return gathered
