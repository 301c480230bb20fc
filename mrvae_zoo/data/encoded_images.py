"""Images that are still files, or rows of a table: decoded once into memory, or streamed if they are too many.

Letters: N examples, B batch, C, H, W image.
"""

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mrvae_zoo.common.images import Shape, to_bytes
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
    """

    name: str
    items: Sequence[Any]
    open: Callable[[Any], "Image.Image"]
    labels: Sequence[str | int] | None = None

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


class StreamedImages(Dataset[Tensor]):
    """Images that are too many to keep in memory: worker processes decode them whenever they are needed."""

    def __init__(
        self,
        encoded: EncodedImages,
        kept: Sequence[int],
        shape: tuple[int, int, int],
        device: torch.device = CPU,
    ) -> None:
        """Stream the images `kept` of `encoded`, all of which can be decoded to `shape` (C, H, W), to a device."""
        self.encoded, self.kept, self.shape, self.device = encoded, kept, shape, device

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> Tensor:
        return self.encoded.decode(self.kept[index], self.shape)

    def to(self, device: torch.device) -> "StreamedImages":
        """Return the same images for another device."""
        return StreamedImages(self.encoded, self.kept, self.shape, device)

    def read(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield uint8 images (B, C, H, W) on the device for each index tensor (B,), in order.

        Indices are taken some batches ahead of what has been yielded.

        Raises:
            ValueError: An image can no longer be read.
        """
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

    Every image is decoded once. Unreadable images are left out; one warning counts and names them.

    Args:
        encoded: The images, at least one.
        shape: The shape (C, H, W) to convert and resize to. If H and W are None, all images must have the same size.

    Raises:
        ValueError: No image can be read, or the sizes differ where they must not.
    """
    full = _full_shape(encoded, shape)
    size = len(encoded) * full[0] * full[1] * full[2]
    images = torch.empty((len(encoded), *full), dtype=torch.uint8, device="cpu") if size <= MEMORY_LIMIT else None

    def fault(index: int) -> str | None:
        try:
            image = encoded.decode(index, shape)
        except ValueError as error:
            return str(error)
        if tuple(image.shape) != full:
            raise ValueError(
                f"{encoded.label(index)} is {image.shape[2]}×{image.shape[1]} and others are {full[2]}×{full[1]}; "
                "say in the recipe what size all should get, such as data.size = [64, 64]"
            )
        if images is not None:
            images[index] = image
        return None

    with ThreadPoolExecutor(_workers()) as pool:
        faults = list(pool.map(fault, range(len(encoded))))
    kept = [index for index, message in enumerate(faults) if message is None]
    if not kept:
        raise ValueError(f"{encoded.name}: none of {len(faults)} images can be read; {faults[0]}")
    if len(kept) < len(faults):
        _warn(encoded, [index for index, message in enumerate(faults) if message is not None])
    if images is None:
        return StreamedImages(encoded, kept, full)
    return images if len(kept) == len(images) else images[kept]


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
