"""Images that are still files, or rows of a table: decoded once into memory, or streamed if they are too many.

What took time to decode is kept on disk for the next time (see `mrvae_zoo.data.decoded_cache`).

Letters: N examples, B batch, C, H, W image.
"""

import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mrvae_zoo.common.images import Shape, to_bytes
from mrvae_zoo.data.decoded_cache import CHUNK, Decoded, find, keep, key_of, stamps, took_long
from mrvae_zoo.errors import name_some

if TYPE_CHECKING:
    from PIL import Image


logger = logging.getLogger(__name__)

MEMORY_LIMIT = 4 << 30  # bytes of decoded images; a larger set is streamed
MAX_WORKERS = 8
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class EncodedImages:
    """Images that are not decoded yet.

    Attributes:
        name: The name of the whole set, for messages.
        items: The items that the images are opened from, one per image.
        open: The function that opens an item: item -> upright image. It raises a ValueError or an OSError if the item
            is damaged. It is pickled for worker processes.
        labels: The class of each image, if classes are known.
        version: A text that changes whenever the images do, for items that are not files.
    """

    name: str
    items: Sequence[Any]
    open: Callable[[Any], "Image.Image"]
    labels: Sequence[str | int] | None = None
    version: str | None = None

    def __len__(self) -> int:
        return len(self.items)

    def label(self, index: int) -> str:
        """Return the name of an image in messages."""
        item = self.items[index]
        return str(item) if isinstance(item, Path) else f"image {index} of {self.name}"

    def decode(self, index: int, shape: Shape) -> Tensor:
        """Return one image, converted and resized to (C, H, W) uint8.

        Raises:
            ValueError: The image cannot be read, or its channels cannot be converted to C.
        """
        try:
            return to_bytes(self.open(self.items[index]), shape, name=self.label(index))
        except OSError as error:
            raise ValueError(f"{self.label(index)} cannot be read: {error}") from None

    def key(self, shape: Shape) -> str | None:
        """Return the name that these images have in the cache, decoded to `shape`; None if changes would go unnoticed.

        A change of a file is noticed by its size or its time of change.
        """
        paths = [item for item in self.items if isinstance(item, Path)]
        if len(paths) == len(self):
            return key_of([shape, stamps(paths)], self.open)
        if self.version is None:
            return None
        return key_of([shape, self.name, self.version, [repr(item) for item in self.items]], self.open)


class StreamedImages(Dataset[Tensor]):
    """Images that are too many to keep in memory: worker processes decode them whenever they are needed."""

    def __init__(
        self,
        encoded: EncodedImages,
        kept: Sequence[int],
        shape: tuple[int, int, int],
        device: torch.device = CPU,
        decoded: np.ndarray | None = None,
    ) -> None:
        """Stream the images `kept` of `encoded`, all of which can be decoded to `shape` (C, H, W), to a device.

        If all of `encoded` are decoded already, in a file that is mapped into memory, they are read from there.
        """
        self.encoded, self.kept, self.shape, self.device, self.decoded = encoded, kept, shape, device, decoded

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> Tensor:
        if self.decoded is not None:
            return torch.from_numpy(np.array(self.decoded[self.kept[index]]))
        return self.encoded.decode(self.kept[index], self.shape)

    def to(self, device: torch.device) -> "StreamedImages":
        """Return the same images for another device."""
        return StreamedImages(self.encoded, self.kept, self.shape, device, self.decoded)

    def read(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield uint8 images (B, C, H, W) on the device for each index tensor (B,), in order.

        Indices are taken some batches ahead of what has been yielded.

        Raises:
            ValueError: An image can no longer be read.
        """
        if self.decoded is not None:
            for index in indices:
                images = torch.from_numpy(self.decoded[[self.kept[place] for place in index.tolist()]])
                yield images.to(self.device)
            return
        loader = DataLoader(
            self,
            batch_sampler=(index.tolist() for index in indices),
            num_workers=_workers(),
            collate_fn=torch.stack,
            worker_init_fn=_leave_interrupts_to_the_parent,
            generator=torch.Generator(),  # without one it draws from torch's own, and so changes what others draw
            pin_memory=self.device.type == "cuda",
        )
        try:
            for images in loader:
                yield images.to(self.device, non_blocking=True)
        except ValueError as error:  # its message is the traceback of the worker
            raise ValueError(str(error).splitlines()[-1].removeprefix("ValueError: ")) from None


def load_encoded(encoded: EncodedImages, shape: Shape) -> Tensor | StreamedImages:
    """Load all readable images: (N, C, H, W) uint8, or streamed if that would take more than MEMORY_LIMIT.

    Every image is decoded once, or not at all if the set is in the cache. Unreadable images are left out; one warning
    counts and names them.

    Args:
        encoded: The images, at least one.
        shape: The shape (C, H, W) to convert and resize to. If H and W are None, all images must have the same size.

    Raises:
        ValueError: No image can be read, or the sizes differ where they must not.
    """
    key = encoded.key(shape)
    wanted = (len(encoded), *shape)
    images, cached = None, find(key, wanted)
    if cached is not None and not _same_left_out(encoded, cached, shape):
        cached = None
    if cached is None:
        full, faults = _full_shape(encoded, shape), dict[int, str]()
        parts = _decode_all(encoded, shape, full, faults)
        if len(encoded) * math.prod(full) <= MEMORY_LIMIT:
            images = _fill((len(encoded), *full), parts, key, faults)
        else:
            keep(key, (len(encoded), *full), parts, faults, since=time.monotonic())
            cached = find(key, wanted)
        left_out = sorted(faults)
    else:
        left_out = cached.left_out
        _, *sides = cached.pixels.shape
        full = (sides[0], sides[1], sides[2])
        images = torch.from_numpy(np.array(cached.pixels)) if cached.pixels.nbytes <= MEMORY_LIMIT else None
    if left_out:
        _warn(encoded, left_out)
    kept = [*range(len(encoded))] if not left_out else sorted({*range(len(encoded))} - {*left_out})
    if images is None:
        return StreamedImages(encoded, kept, full, decoded=None if cached is None else cached.pixels)
    return images[kept] if left_out else images


def _decode_all(
    encoded: EncodedImages, shape: Shape, full: tuple[int, int, int], faults: dict[int, str]
) -> Iterator[Tensor]:
    """Yield all images in order, CHUNK at a time: uint8 (n, C, H, W). Unreadable ones are black, and go to `faults`."""

    def decode(index: int) -> Tensor | str:
        try:
            image = encoded.decode(index, shape)
        except ValueError as error:
            return str(error)
        if tuple(image.shape) != full:
            raise ValueError(
                f"{encoded.label(index)} is {image.shape[2]}×{image.shape[1]} and others are {full[2]}×{full[1]}; "
                "say in the recipe what size all should get, such as data.size = [64, 64]"
            )
        return image

    with ThreadPoolExecutor(_workers()) as pool:
        for start in range(0, len(encoded), CHUNK):
            places = range(start, min(start + CHUNK, len(encoded)))
            part = torch.zeros((len(places), *full), dtype=torch.uint8, device="cpu")
            for index, found in zip(places, pool.map(decode, places), strict=True):
                if isinstance(found, str):
                    faults[index] = found
                else:
                    part[index - start] = found
            if len(faults) == len(encoded):
                raise ValueError(f"{encoded.name}: none of {len(faults)} images can be read; {faults[0]}")
            yield part


def _fill(shape: tuple[int, ...], parts: Iterator[Tensor], key: str | None, faults: dict[int, str]) -> Tensor:
    """Return all parts as one tensor of `shape` (N, C, H, W), and keep them in the cache if they took long."""
    start, place = time.monotonic(), 0
    images = torch.empty(shape, dtype=torch.uint8, device="cpu")
    for part in parts:
        images[place : place + len(part)] = part
        place += len(part)
    if took_long(start):
        keep(key, shape, images.split(CHUNK), faults, since=start)
    return images


def _same_left_out(encoded: EncodedImages, cached: Decoded, shape: Shape) -> bool:
    """Whether no image that could not be read when the set was cached can be read now, as after a fault of a disk."""
    for index in cached.left_out:
        try:
            encoded.decode(index, shape)
        except ValueError:
            continue
        return False
    return True


def _full_shape(encoded: EncodedImages, shape: Shape) -> tuple[int, int, int]:
    """Return the shape for all images. If H and W are None, the size is that of the first readable image."""
    channels, height, width = shape
    if height is not None and width is not None:
        return channels, height, width
    message = ""
    for index in range(len(encoded)):
        try:
            _, height, width = encoded.decode(index, shape).shape
        except ValueError as error:
            message = message or str(error)
        else:
            return channels, height, width
    raise ValueError(f"{encoded.name}: none of {len(encoded)} images can be read; {message}")


def _warn(encoded: EncodedImages, faulty: list[int]) -> None:
    named = name_some([encoded.label(index) for index in faulty])
    text = "%s: %d of %d images cannot be read and are left out: %s"
    logger.warning(text, encoded.name, len(faulty), len(encoded), named)


def _workers() -> int:
    """Return the number of processors that this process may use, up to a limit."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_WORKERS, usable)


def _leave_interrupts_to_the_parent(_: int) -> None:
    """Ignore Ctrl-C, which reaches all processes of a terminal; only the parent should act on it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
