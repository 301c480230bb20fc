"""Training images at other places: moved by some pixels, and squares cut out of them, drawn anew in every step.

Pixels are copied, never mixed. Places are computed on the device of the images and nothing of them is read, so that a
step may be compiled or captured.

Letters: b examples of one process, C, H, W image, N side of a square.
"""

import torch
from torch import Tensor

from mrvae_zoo.common.noise import Noise, Purpose


def move_and_crop(images: Tensor, noise: Noise, *, shift: int = 0, crop: int | None = None) -> Tensor:
    """Move each image by up to `shift` pixels down or up and right or left, then cut out a square of it.

    Where an image was moved away from an edge, the pixels of that edge are repeated (torch's replicate padding).

    Args:
        images: The images, (b, C, H, W) of any dtype.
        noise: The draws of the step, one place for each image.
        shift: The largest number of pixels to move by, below H and W. All 2·shift + 1 distances are equally likely.
        crop: The side N of the square, at most H and W; all places are equally likely. None keeps whole images.

    Returns:
        The images, (b, C, H, W) or (b, C, N, N), of the same dtype.
    """
    height, width = images.shape[-2:]
    to_height, to_width = (height, width) if crop is None else (crop, crop)
    down, right, top, left = noise.words(Purpose.PLACE, 4).unbind(1)
    rows = _from(top, down, height, to_height, shift)
    columns = _from(left, right, width, to_width, shift)
    places = (rows.unsqueeze(2) * width + columns.unsqueeze(1)).flatten(1)  # (b, pixels)
    index = places.unsqueeze(1).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, index).unflatten(2, (to_height, to_width))


def centre_crop(images: Tensor, crop: int) -> Tensor:
    """Return the square in the middle of images (..., H, W): (..., N, N); a pixel too many is left out at the end."""
    top, left = ((side - crop) // 2 for side in images.shape[-2:])
    return images[..., top : top + crop, left : left + crop]


def _from(start: Tensor, moved: Tensor, size: int, wanted: int, shift: int) -> Tensor:
    """Return the rows, or columns, that the `wanted` ones of the result are taken from: (b, wanted)."""
    first = _below(size - wanted + 1, start) + shift - _below(2 * shift + 1, moved)
    return (first.unsqueeze(1) + torch.arange(wanted, device=first.device)).clamp(0, size - 1)


def _below(limit: int, words: Tensor) -> Tensor:
    """Return words of 32 bits as integers from 0 to `limit` - 1."""
    return words * limit >> 32
