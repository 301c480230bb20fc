"""What a model may be measured on: a tensor, a DataLoader or a split of a data set, read a chunk at a time.

Letters: N examples, B batch, C, H, W image.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.models.base import BaseVAE

Examples = Tensor | DataLoader[Any] | ImageData


def chunks(data: Examples, size: int, *, model: BaseVAE, first: int = 0, step: int = 1) -> Iterator[Tensor]:
    """All examples in order, (B, C, H, W) as `model` takes them, B = `size`; or chunks `first`, `first` + `step`, ...

    Args:
        data: a tensor (N, C, H, W) as the model takes it; a DataLoader of such batches, or of tuples that begin with
            them; or a split of a data set.
        size: how many examples make a chunk; the last one may be smaller.
        model: whose device and data range the chunks are to be of.
        first: the number of the first chunk to give.
        step: from one chunk to the next.

    Raises:
        ValueError: `data` is something else.
    """
    if isinstance(data, ImageData):
        yield from map(model.config.to_data_range, data.to(model.device).batches(size, first=first, step=step))
        return
    if isinstance(data, Tensor):
        parts: Iterable[Tensor] = data.split(size) if data.ndim > 0 else (data,)
    elif isinstance(data, DataLoader):
        parts = _cut(map(_images, data), size)
    else:
        raise ValueError(
            f"data is a {type(data).__name__}; pass a tensor (N, C, H, W), for example model.preprocess(images), a "
            "DataLoader, or a split of a data set (load_data)"
        )
    for x in itertools.islice(parts, first, None, step):
        if x.ndim != 4:
            raise ValueError(f"data has shape {tuple(x.shape)}; pass (N, C, H, W)")
        if len(x):
            yield x.to(model.device)


def count(data: Examples) -> int | None:
    """N, or None where only reading all of it would tell."""
    sized = isinstance(data, ImageData) or (isinstance(data, Tensor) and data.ndim > 0)
    return len(data) if sized else None


def describe(data: Examples, examples: int) -> dict[str, Any]:
    """What a curve says of the data that it was measured on."""
    return data.describe() if isinstance(data, ImageData) else {"examples": examples}


def _images(batch: Any) -> Tensor:
    """The images of one batch of a DataLoader."""
    images = batch[0] if isinstance(batch, list | tuple) and batch else batch
    if not isinstance(images, Tensor):
        raise ValueError(
            f"the DataLoader gave a {type(batch).__name__}; it should give tensors (B, C, H, W), or tuples that begin "
            "with one"
        )
    return images


def _cut(batches: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """The same examples, `size` at a time."""
    held: list[Tensor] = []
    for batch in batches:
        held.append(batch)
        while sum(map(len, held)) >= size:
            joined = torch.cat(held)
            yield joined[:size]
            held = [joined[size:]]
    if sum(map(len, held)):
        yield torch.cat(held)
