"""Images of any kind -> the tensor that a model takes.

Letters: B batch, C, H, W image.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mrvae_zoo.common.decoding import LAID_ON_WHITE, SIXTEEN_BITS, normalised, open_image

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


logger = logging.getLogger(__name__)

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"

COLOURS = (1, 3, 4)  # channels of images as they are usual
MAX_CHANNELS = 16  # the most channels of an image; a longer last axis is the width
NAMED = 3  # images that a message about many of them names

Shape = tuple[int, int | None, int | None]  # (C, H, W); an image keeps its own size where H and W are None


@dataclass
class Changes:
    """What images lost when they were converted for a model, to be reported once for all of them.

    Attributes:
        converted: The images by the form that they were converted to ("grey 28×28"), each with what it was before
            ("a.png (RGB 80×80)").
        laid_on_white: The names of transparent images.
    """

    converted: dict[str, list[str]] = field(default_factory=dict)
    laid_on_white: list[str] = field(default_factory=list)

    def tell(self) -> None:
        """Log the changes, one line per kind of change."""
        for form, images in self.converted.items():
            logger.warning("%s converted to %s", _count(images), form)
        if self.laid_on_white:
            logger.warning("%s laid on white, being transparent", _count(self.laid_on_white))


def to_tensor(images: Any, shape: Shape, changes: Changes | None = None) -> Tensor:
    """Convert images to (B, C, H, W) float32 in [0, 1], resized to `shape` (C, H, W); a change is logged.

    Args:
        images: One image or several: paths, PIL images, or arrays or tensors of shape (H, W), (H, W, C) or (C, H, W),
            uint8 or float in [0, 1]. A stack of such arrays also works: (N, H, W), (N, C, H, W) or (N, H, W, C).
        shape: The shape (C, H, W) to convert to; an image keeps its own size if H and W are None.
        changes: A record that collects the changes, for the caller to report. None logs them.

    Raises:
        ValueError: Something is not an image, its channels cannot be converted to C, or the sizes differ.
        FileNotFoundError: A path does not exist.
    """
    if hasattr(images, "ndim") and hasattr(images, "dtype"):
        images = _each(images, shape)
    elif not isinstance(images, Sequence) or isinstance(images, str):
        images = [images]
    images = [part for image in images for part in _each(image, shape)] if _has_arrays(images) else images
    if len(images) == 0:
        raise ValueError("no images given")
    tensors: list[Tensor] = []
    noted = Changes() if changes is None else changes
    for number, image in enumerate(images):
        before, name = _read(image, noted, f"image {number}")
        tensors.append(_fit(before, name, shape))
        if before.shape != tensors[-1].shape:
            form = _describe(tuple(tensors[-1].shape))
            noted.converted.setdefault(form, []).append(f"{name} ({_describe(tuple(before.shape))})")
    if changes is None:
        noted.tell()
    sizes = {tuple(tensor.shape) for tensor in tensors}
    if len(sizes) > 1:
        raise ValueError(f"images of one size only, not {' and '.join(sorted(map(_describe, sizes)))}; one at a time")
    return torch.stack(tensors)


def _has_arrays(images: Sequence[Any]) -> bool:
    return any(hasattr(image, "ndim") and hasattr(image, "dtype") for image in images)


def _each(image: Any, shape: Shape) -> list[Any]:
    """Split an image or a stack into arrays (H, W) or (H, W, C); anything that is not an array or tensor stays.

    The axis of the channels is found from the sizes that a model takes and from the usual numbers of colours.
    """
    import numpy as np

    if not (hasattr(image, "ndim") and hasattr(image, "dtype")):
        return [image]
    array = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    channels, size = shape[0], array.shape[1:]
    if array.ndim == 3:
        if size == shape[1:] and array.shape[0] != channels:
            return list(array)  # (N, H, W)
        if isinstance(image, Tensor) and array.shape[0] == channels:
            return [array.transpose(1, 2, 0)]  # (C, H, W), as is usual for tensors
        if array.shape[-1] in (channels, *COLOURS):
            return [array]  # (H, W, C)
        if array.shape[0] in (channels, *COLOURS):
            return [array.transpose(1, 2, 0)]  # (C, H, W)
        return list(array) if array.shape[-1] > MAX_CHANNELS else [array]
    if array.ndim == 4:
        last = array.shape[-1] == channels or (array.shape[-1] in COLOURS and array.shape[1] != channels)
        first = array.shape[1] == channels or (array.shape[1] in COLOURS and not last)
        return list(array.transpose(0, 2, 3, 1) if first and (isinstance(image, Tensor) or not last) else array)
    return [array]


def to_bytes(image: "Image.Image", shape: Shape, *, name: str) -> Tensor:
    """Convert one image of `open_image` to (C, H, W) uint8 as `to_tensor` does; `name` is for messages.

    Raises:
        ValueError: Its channels cannot be converted to C.
    """
    return (_fit(_from_pil(image), name, shape) * 255).round().byte()


def _read(image: Any, changes: Changes, name: str) -> tuple[Tensor, str]:
    """Return one image as (C', H', W') float32 in [0, 1], and its name in messages: its file, or else `name`."""
    import numpy as np
    from PIL import Image

    if isinstance(image, str | os.PathLike):
        image, name = open_image(Path(image)), str(image)
    elif isinstance(image, Image.Image):
        name = str(getattr(image, "filename", "") or name)
        image = normalised(image, name)
    if isinstance(image, Image.Image):
        if LAID_ON_WHITE in image.info:
            changes.laid_on_white.append(name)
        return _from_pil(image), name
    if isinstance(image, np.ndarray):
        return _from_array(image, name), name
    raise ValueError(f"{type(image).__name__} is not an image; pass a path, a PIL image or an array (H, W[, C])")


def _from_pil(image: "Image.Image") -> Tensor:
    """Convert an image of `normalised` to (C', H', W') float32 in [0, 1]."""
    import numpy as np

    array = np.asarray(image)
    white = {"F": 1, "I;16": SIXTEEN_BITS}.get(image.mode, 255)
    return _channels_first(array.astype(np.float32) / white)


def _from_array(array: "np.ndarray", name: str) -> Tensor:
    import numpy as np

    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(f"{name} of shape {array.shape} is not an image; pass (H, W) or (H, W, C)")
    if array.dtype == np.uint8:
        return _channels_first(array.astype(np.float32) / 255)
    if array.dtype == np.bool_:
        return _channels_first(array.astype(np.float32))
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} of {array.dtype} is not an image; pass uint8, or floats in [0, 1]")
    if not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"{name} of floats lies in [{array.min():g}, {array.max():g}]; pass values in [0, 1]")
    return _channels_first(array.astype(np.float32))


def _channels_first(array: "np.ndarray") -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.unsqueeze(0) if tensor.ndim == 2 else tensor.permute(2, 0, 1)


def _fit(image: Tensor, name: str, shape: Shape) -> Tensor:
    """Convert and resize an image: (C', H', W') -> (C, H, W)."""
    before = tuple(image.shape)
    channels, height, width = (have if want is None else want for want, have in zip(shape, before, strict=True))
    if image.shape[0] == 3 and channels == 1:
        image = (image * torch.tensor(LUMA, dtype=image.dtype, device=image.device).view(3, 1, 1)).sum(0, keepdim=True)
    elif image.shape[0] == 1 and channels == 3:
        image = image.expand(3, -1, -1)
    elif image.shape[0] != channels:
        raise ValueError(f"{name} has {image.shape[0]} channels; this model takes {channels}")
    if image.shape[1:] != (height, width):
        image = F.interpolate(image[None], size=(height, width), mode="bicubic", antialias=True)[0].clamp(0, 1)
    return image


def _count(images: Sequence[str]) -> str:
    """Return a phrase like "a.png (RGB 80×80) is" or "7 images, ..., are" that names the first few images."""
    if len(images) == 1:
        return f"{images[0]} is"
    more = f" and {len(images) - NAMED} more" if len(images) > NAMED else ""
    return f"{len(images)} images, {', '.join(images[:NAMED])}{more}, are"


def _describe(shape: tuple[int, ...]) -> str:
    kind = {1: "grey", 3: "RGB"}.get(shape[0], f"{shape[0]} channels")
    return f"{kind} {shape[2]}×{shape[1]}"
