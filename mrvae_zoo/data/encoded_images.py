"""Images that are still files, or rows of a table: decoded once into memory, or streamed where they are too many.

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
        name: of the whole, for messages.
        items: what each is opened from.
        open: an item -> its image, upright; a ValueError or an OSError where it is damaged. Workers get it pickled.
        labels: the class of each, where classes are known.
    """

    name: str
    items: Sequence[Any]
    open: Callable[[Any], "Image.Image"]
    labels: Sequence[str | int] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def label(self, index: int) -> str:
        """How messages call an image."""
        item = self.items[index]
        return str(item) if isinstance(item, Path) else f"image {index} of {self.name}"

    def decode(self, index: int, shape: Shape) -> Tensor:
        """One image, converted and resized to (C, H, W) uint8.

        Raises:
            ValueError: it cannot be read, or has channels that cannot become C.
        """
        try:
            return to_bytes(self.open(self.items[index]), shape, name=self.label(index))
        except OSError as error:
            raise ValueError(f"{self.label(index)} cannot be read: {error}") from None


class StreamedImages(Dataset[Tensor]):
    """Images too many to keep: decoded by worker processes whenever they are asked for."""

    def __init__(
        self,
        encoded: EncodedImages,
        kept: Sequence[int],
        shape: tuple[int, int, int],
        device: torch.device = CPU,
    ) -> None:
        """The images `kept` of `encoded`, which can all be decoded to `shape` (C, H, W), for a device."""
        self.encoded, self.kept, self.shape, self.device = encoded, kept, shape, device

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> Tensor:
        return self.encoded.decode(self.kept[index], self.shape)

    def to(self, device: torch.device) -> "StreamedImages":
        """The same for another device."""
        return StreamedImages(self.encoded, self.kept, self.shape, device)

    def read(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        """For each index tensor (B,), in order: uint8 (B, C, H, W) on the device.

        Indices are taken some batches ahead of what has been yielded.

        Raises:
            ValueError: an image cannot be read any more.
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
    """All images that can be read: (N, C, H, W) uint8, or streamed where that would take more than MEMORY_LIMIT.

    Every image is decoded once. Those that cannot be are left out; one warning counts and names them.

    Args:
        encoded: at least one.
        shape: (C, H, W) to convert and resize to; where H and W are None the images have to be of one size.

    Raises:
        ValueError: none can be read, or the sizes differ where they should not.
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
    """The shape that all images should get: where H and W are None, with the size of the first that can be read."""
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
    """As many as there are processors for this process, up to a limit."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_WORKERS, usable)


def _leave_interrupts_to_the_parent(_: int) -> None:
    """Ctrl-C goes to all processes of a terminal; only the parent should act on it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
