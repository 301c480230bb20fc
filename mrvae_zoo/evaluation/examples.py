"""The data that a model can be measured on: a tensor, a DataLoader, a folder or a split of a data set, read in chunks.

Letters: N examples, B batch, C, H, W image.
"""

import itertools
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mrvae_zoo.common.decoding import find_images, open_readable
from mrvae_zoo.common.images import Changes
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.errors import name_some
from mrvae_zoo.evaluation.transfers import upload
from mrvae_zoo.models.vae import BaseVAE

Examples = Tensor | DataLoader[Any] | ImageData | str | os.PathLike[str]

logger = logging.getLogger(__name__)


def chunks(data: Examples, size: int, *, model: BaseVAE, first: int = 0, step: int = 1) -> Iterator[Tensor]:
    """Yield all examples in order, in chunks (B, C, H, W) of B = `size`, as `model` takes them.

    Args:
        data: The examples: a tensor (N, C, H, W) as the model takes it; a DataLoader of such batches, or of tuples that
            begin with them; a folder of images; or a split of a data set.
        size: The number of examples per chunk; the last chunk may be smaller.
        model: The model whose device and data range the chunks get.
        first: The number of the first chunk to yield.
        step: The step between chunks: only `first`, `first` + `step`, ... are yielded.

    Raises:
        ValueError: `data` is something else.
    """
    if isinstance(data, ImageData):
        yield from map(model.config.to_data_range, data.to(model.device).batches(size, first=first, step=step))
        return
    if isinstance(data, str | os.PathLike):
        yield from _of_folder(Path(data), size, model, first, step)
        return
    if isinstance(data, Tensor):
        parts: Iterable[Tensor] = data.split(size) if data.ndim > 0 else (data,)
    elif isinstance(data, DataLoader):
        parts = _cut(map(_images, data), size)
    else:
        raise ValueError(
            f"data is a {type(data).__name__}; pass a tensor (N, C, H, W), for example model.preprocess(images), a "
            "DataLoader, a folder of images, or a split of a data set (load_data)"
        )
    for x in itertools.islice(parts, first, None, step):
        if x.ndim != 4:
            raise ValueError(f"data has shape {tuple(x.shape)}; pass (N, C, H, W)")
        if len(x):
            yield upload(x, model.device)


def count(data: Examples) -> int | None:
    """Return N, or None if only reading all data would tell. A folder's count includes files that cannot be read."""
    if isinstance(data, str | os.PathLike):
        return len(_files(Path(data)))
    sized = isinstance(data, ImageData) or (isinstance(data, Tensor) and data.ndim > 0)
    return len(data) if sized else None


def describe(data: Examples, examples: int) -> dict[str, Any]:
    """Return what a curve records about the data that it was measured on."""
    return data.describe() if isinstance(data, ImageData) else {"examples": examples}


def _files(folder: Path) -> list[Path]:
    """Return the paths of the images in a folder; raise an error if there are none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    paths = find_images(folder)
    if not paths:
        raise ValueError(f"{folder} holds no images in a format that Pillow reads")
    return paths


def _of_folder(folder: Path, size: int, model: BaseVAE, first: int, step: int) -> Iterator[Tensor]:
    """Yield the images of a folder as the model takes them. Unreadable ones are left out and named in a warning."""
    paths = _files(folder)
    changes = Changes()
    unreadable: list[Path] = []
    for at in range(first * size, len(paths), step * size):
        some = paths[at : at + size]
        found = open_readable(some, [True] * len(some))
        unreadable += [path for path, image in zip(some, found, strict=True) if image is None]
        images = [image for image in found if image is not None]
        if images:
            yield model.preprocess(images, changes)
    changes.tell()
    if unreadable:
        logger.warning("%d images cannot be read and are left out: %s", len(unreadable), name_some(unreadable))


def _images(batch: Any) -> Tensor:
    """Return the images of one batch of a DataLoader."""
    images = batch[0] if isinstance(batch, list | tuple) and batch else batch
    if not isinstance(images, Tensor):
        raise ValueError(
            f"the DataLoader gave a {type(batch).__name__}; it should give tensors (B, C, H, W), or tuples that begin "
            "with one"
        )
    return images


def _cut(batches: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """Regroup the examples into chunks of `size`."""
    held: list[Tensor] = []
    for batch in batches:
        held.append(batch)
        while sum(map(len, held)) >= size:
            joined = torch.cat(held)
            yield joined[:size]
            held = [joined[size:]]
    if sum(map(len, held)):
        yield torch.cat(held)
