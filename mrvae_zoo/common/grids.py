"""Tensors of images -> one labelled grid of them, with Pillow alone.

Letters: N images in a row, C, H, W image.
"""

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from mrvae_zoo.common.files import atomic_path

if TYPE_CHECKING:
    from PIL import Image


MIN_TILE = 56  # pixels; smaller images are enlarged by a whole factor
GAP = 4
CHANNELS = (1, 3)  # grey and RGB
ROUNDING = 1e-3  # of half precision, beyond the ends of a range
MARGIN = 16
FONT_SIZE = 15
INK, PAPER, FAINT = (32, 32, 36), (255, 255, 255), (110, 110, 118)


def to_pil(images: Tensor, data_range: tuple[float, float] | None = (0.0, 1.0)) -> "list[Image.Image]":
    """Images as a model takes and gives them -> PIL images, one for each.

    Example:
        mrvae_zoo.to_pil(model.sample(4, beta=1.0))[0].save("digit.png")

    Args:
        images: (N, C, H, W) or (C, H, W), C 1 or 3, on any device, with gradients or without.
        data_range: of the values, `model.config.data_range`.

    Raises:
        ValueError: no such shape or number of channels, or values that are not in the range.
    """
    return [_to_pil(image) for image in _unit(images, data_range)]


def save_images(
    images: Tensor,
    path: str | os.PathLike[str],
    data_range: tuple[float, float] | None = (0.0, 1.0),
    *,
    columns: int = 8,
) -> None:
    """Write images side by side into one picture, in the format of its suffix; a file that is there is replaced.

    Example:
        mrvae_zoo.save_images(model.sample(16, beta=1.0), "samples.png")

    Args:
        images: see `to_pil`, as is the next.
        path: such as "samples.png".
        data_range: of the values.
        columns: images in a row.

    Raises:
        ValueError: see `to_pil`; or the suffix is of no format that Pillow writes.
        OSError: the file cannot be written.
    """
    if columns < 1:
        raise ValueError(f"columns={columns} should be at least 1")
    save_image(grid(_unit(images, data_range).split(columns)), Path(path))


def _unit(images: Tensor, data_range: tuple[float, float] | None) -> Tensor:
    """Images (N, C, H, W) in [0, 1]."""
    images = images.detach()
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4 or 0 in images.shape or images.shape[1] not in CHANNELS:
        raise ValueError(f"images of shape {tuple(images.shape)} cannot be drawn; pass (N, C, H, W) with C 1 or 3")
    if data_range is None:
        raise ValueError("data_range is None: without one there is no black and no white; say which values they are")
    low, high = data_range
    images = (images.float() - low) / (high - low)
    if not (images.min() >= -ROUNDING and images.max() <= 1 + ROUNDING):
        ends = (images.min().item() * (high - low) + low, images.max().item() * (high - low) + low)
        raise ValueError(
            f"images lie in [{ends[0]:.3g}, {ends[1]:.3g}], outside data_range={data_range}; "
            "pass data_range=model.config.data_range"
        )
    return images.clamp(0, 1)


def to_png(picture: "Image.Image") -> bytes:
    """A picture as the content of a PNG file."""
    file = BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def _to_pil(x: Tensor) -> "Image.Image":
    """One image (C, H, W) in [0, 1] -> a PIL image."""
    from PIL import Image

    if x.shape[0] not in CHANNELS:
        raise ValueError(f"an image of {x.shape[0]} channels cannot be drawn; 1 and 3 can")
    pixels = (x.detach().float().clamp(0, 1) * 255).round().byte().cpu()
    array = pixels.permute(1, 2, 0).numpy()
    return Image.fromarray(array[..., 0] if x.shape[0] == 1 else array)


def image_format(path: Path) -> str:
    """The format that the suffix of a file stands for, as Pillow calls it.

    Raises:
        ValueError: there is no suffix, or none of a format that Pillow writes.
        IsADirectoryError: it is a folder.
    """
    from PIL import Image

    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file")
    known = Image.registered_extensions().get(path.suffix.lower())
    if known is None or known not in Image.SAVE:
        raise ValueError(f"{path} should end in .png, .jpg, .webp or another format of images that Pillow writes")
    return known


def save_image(image: "Image.Image", path: Path) -> None:
    """Write an image whole or not at all, in the format of the suffix; errors as of `image_format`."""
    kind = image_format(path)
    with atomic_path(path) as temporary:
        image.save(temporary, format=kind)


def grid(rows: Sequence[Tensor], labels: Sequence[tuple[str, str]] = ()) -> "Image.Image":
    """One row of images under the other, each row with its label and a fainter second line at the left.

    Args:
        rows: each (N, C, H, W) in [0, 1].
        labels: one for each row, or none at all.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = rows[0].shape[-2:]
    scale = max(1, -(-MIN_TILE // min(height, width)))
    tile_width, tile_height = width * scale, height * scale
    font = ImageFont.load_default(FONT_SIZE)
    left = MARGIN
    if labels:
        left += int(max(font.getlength(line) for label in labels for line in label)) + MARGIN
    columns = max(len(row) for row in rows)
    size = (
        left + columns * (tile_width + GAP) - GAP + MARGIN,
        2 * MARGIN + len(rows) * (tile_height + GAP) - GAP,
    )
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, row in enumerate(rows):
        top = MARGIN + i * (tile_height + GAP)
        if labels:
            middle = top + tile_height // 2
            draw.text((MARGIN, middle), labels[i][0], fill=INK, font=font, anchor="lb" if labels[i][1] else "lm")
            draw.text((MARGIN, middle + 4), labels[i][1], fill=FAINT, font=font, anchor="lt")
        for j, image in enumerate(row):
            tile = _to_pil(image).resize((tile_width, tile_height), Image.Resampling.NEAREST)
            canvas.paste(tile, (left + j * (tile_width + GAP), top))
    return canvas
