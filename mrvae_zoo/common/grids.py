"""Tensors of images -> one labelled grid of them, with Pillow alone.

Letters: N images in a row, C, H, W image.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from mrvae_zoo.common.files import atomic_path

if TYPE_CHECKING:
    from PIL import Image


MIN_TILE = 56  # pixels; smaller images are enlarged by a whole factor
GAP = 4
MARGIN = 16
FONT_SIZE = 15
INK, PAPER, FAINT = (32, 32, 36), (255, 255, 255), (110, 110, 118)


def to_pil(x: Tensor) -> "Image.Image":
    """One image (C, H, W) in [0, 1], C 1 or 3 -> a PIL image.

    Raises:
        ValueError: the number of channels is neither.
    """
    from PIL import Image

    if x.shape[0] not in (1, 3):
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
            tile = to_pil(image).resize((tile_width, tile_height), Image.Resampling.NEAREST)
            canvas.paste(tile, (left + j * (tile_width + GAP), top))
    return canvas
