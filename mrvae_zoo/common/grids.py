"""Tensors of images -> one labelled grid of them, with Pillow alone.

Letters: N images in a row, C, H, W image.
"""

import importlib.util
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from mrvae_zoo.common.files import atomic_path

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont


MIN_TILE = 56  # pixels; smaller images are enlarged by a whole factor
GAP = 4
CHANNELS = (1, 3)  # grey and RGB
ROUNDING = 1e-3  # how far half precision may round beyond the ends of a range
MARGIN = 16
FONT_SIZE = 22  # pixels: legible when a phone shows a picture of 800 at less than half its width
INK, PAPER, FAINT = (32, 32, 36), (255, 255, 255), (110, 110, 118)


def to_pil(images: Tensor, data_range: tuple[float, float] | None = (0.0, 1.0)) -> "list[Image.Image]":
    """Convert images, as a model takes and returns them, to a list of PIL images.

    Example:
        mrvae_zoo.to_pil(model.sample(4, beta=1.0))[0].save("digit.png")

    Args:
        images: The images, (N, C, H, W) or (C, H, W), with 1 or 3 channels, on any device, with or without gradients.
        data_range: The range of the values, `model.config.data_range`.

    Raises:
        ValueError: The shape or the number of channels is wrong, or values lie outside the range.
    """
    return [_to_pil(image) for image in _unit(images, data_range)]


def save_images(
    images: Tensor,
    path: str | os.PathLike[str],
    data_range: tuple[float, float] | None = (0.0, 1.0),
    *,
    columns: int = 8,
) -> None:
    """Write images side by side into one picture file, in the format of its suffix. An existing file is replaced.

    Example:
        mrvae_zoo.save_images(model.sample(16, beta=1.0), "samples.png")

    Args:
        images: The images; see `to_pil`.
        path: The path of the file, for example "samples.png".
        data_range: The range of the values; see `to_pil`.
        columns: The number of images per row.

    Raises:
        ValueError: The images are wrong (see `to_pil`), or Pillow writes no format with this suffix.
        OSError: The file cannot be written.
    """
    if columns < 1:
        raise ValueError(f"columns={columns} should be at least 1")
    save_image(grid(_unit(images, data_range).split(columns)), Path(path))


def _unit(images: Tensor, data_range: tuple[float, float] | None) -> Tensor:
    """Return images (N, C, H, W) in [0, 1]."""
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
    """Return a picture as the content of a PNG file."""
    file = BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def _to_pil(x: Tensor) -> "Image.Image":
    """Convert one image (C, H, W) in [0, 1] to a PIL image."""
    from PIL import Image

    if x.shape[0] not in CHANNELS:
        raise ValueError(f"an image of {x.shape[0]} channels cannot be drawn; 1 and 3 can")
    pixels = (x.detach().float().clamp(0, 1) * 255).round().byte().cpu()
    array = pixels.permute(1, 2, 0).numpy()
    return Image.fromarray(array[..., 0] if x.shape[0] == 1 else array)


def image_format(path: Path) -> str:
    """Return the format that the suffix of a file stands for, as Pillow calls it.

    Raises:
        ValueError: There is no suffix, or Pillow writes no format with it.
        IsADirectoryError: The path is a folder.
    """
    from PIL import Image

    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file")
    known = Image.registered_extensions().get(path.suffix.lower())
    if known is None or known not in Image.SAVE:
        raise ValueError(f"{path} should end in .png, .jpg, .webp or another format of images that Pillow writes")
    return known


def save_image(image: "Image.Image", path: Path) -> None:
    """Write an image entirely or not at all, in the format of the suffix; errors are those of `image_format`."""
    kind = image_format(path)
    with atomic_path(path) as temporary:
        image.save(temporary, format=kind)


def grid(rows: Sequence[Tensor], labels: Sequence[tuple[str, str]] = ()) -> "Image.Image":
    """Draw rows of images below each other, each row with a label and a fainter second line on the left.

    Args:
        rows: The rows of images, each (N, C, H, W) in [0, 1].
        labels: The labels, one per row, or none at all.
    """
    from PIL import Image, ImageDraw

    height, width = rows[0].shape[-2:]
    scale = max(1, -(-MIN_TILE // min(height, width)))
    tile_width, tile_height = width * scale, height * scale
    font, labels = with_font(labels)
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


def with_font(
    labels: Sequence[tuple[str, str]],
) -> "tuple[FreeTypeFont | ImageFont, Sequence[tuple[str, str]]]":
    """Return the font of labels, and the labels as it can write them. Pillow's own font has no β; matplotlib's has."""
    from PIL import ImageFont

    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin is not None:
        path = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(path, FONT_SIZE), labels
    spelled = [(first.replace("β", "beta"), second.replace("β", "beta")) for first, second in labels]
    return ImageFont.load_default(FONT_SIZE), spelled
