"""Image files -> decoded images of a few modes, whatever their format; any failure is a ValueError.

A decoded image has mode L or RGB (8 bits), I;16, or F (in [0, 1]). It is upright and has no transparency.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL import Image


logger = logging.getLogger(__name__)

SIXTEEN_BITS = 65535
LAID_ON_WHITE = "laid on white"  # a mark on an image that was transparent


def open_image(path: Path) -> "Image.Image":
    """Decode the image in a file, turned upright by its EXIF orientation, in mode L, RGB, I;16 or F (in [0, 1]).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not an image that Pillow reads, or is damaged; the message names it.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    image = decode_image(path, str(path))
    setattr(image, "filename", str(path))  # noqa: B010 (a name for messages; Pillow's own files have one too)
    return image


def open_readable(files: Sequence[Path], may_skip: Sequence[bool]) -> "list[Path | Image.Image | None]":
    """Return what `model.preprocess` takes for each file; None for a file that cannot be read and may be skipped."""

    def opened(file: Path) -> "Image.Image | None":
        try:
            return open_image(file)
        except ValueError:
            return None

    return [opened(file) if skip else file for file, skip in zip(files, may_skip, strict=True)]


def decode_image(file: "Path | BinaryIO", name: str) -> "Image.Image":
    """Decode an image like `open_image`, from an existing or an open file; `name` is for messages.

    Raises:
        ValueError: The file is not an image that Pillow reads, or is damaged.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        opened = Image.open(file)
    except UnidentifiedImageError:
        raise ValueError(f"{name} is not an image in a format that Pillow reads") from None
    except Image.DecompressionBombError:
        raise ValueError(f"{name} has too many pixels; scale it down first") from None
    except Exception as error:
        raise _unreadable(name, error) from error
    with opened:
        return normalised(opened, name)


def normalised(image: "Image.Image", name: str) -> "Image.Image":
    """Return an opened image with its pixels, upright, in mode L, RGB, I;16 or F (in [0, 1]).

    Raises:
        ValueError: The image cannot be decoded, whatever error its decoder raises; or it holds values that are not
            brightnesses.
    """
    try:
        _scale_transparency(image)
        image.load()
        image = _upright(image)
    except Exception as error:
        raise _unreadable(name, error) from error
    if image.mode == "F":
        _check_brightness(image, name)
        return image
    if image.mode.startswith("I"):
        return _sixteen_bits(image, name)
    try:
        return _opaque(image)
    except Exception as error:
        raise ValueError(f"{name} cannot be converted to RGB: {error}") from error


def _unreadable(name: str, error: Exception) -> ValueError:
    """Convert the error of a decoder."""
    if isinstance(error, IsADirectoryError | PermissionError):
        return ValueError(f"{name} cannot be read: {error.strerror}")
    if isinstance(error, MemoryError):
        return ValueError(f"{name} needs more memory than there is")
    if isinstance(error, NotImplementedError):
        return ValueError(f"{name} cannot be decoded: {error}")
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(f"{name} is damaged: {reason}")


def _upright(image: "Image.Image") -> "Image.Image":
    """Turn an image upright by its EXIF orientation; an unreadable tag changes nothing.

    Pillow's own `exif_transpose` fails if any other tag is malformed.
    """
    from PIL import ExifTags, Image

    turn = Image.Transpose
    turns = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception as error:  # noqa: BLE001 (as of a decoder)
        logger.info("its EXIF tags cannot be read, so that it is taken as it lies: %s", error)
        orientation = None
    turned = image.transpose(turns[orientation]) if orientation in turns else image.copy()
    turned.info = {key: value for key, value in image.info.items() if key == "transparency"}
    return turned


def _scale_transparency(image: "Image.Image") -> None:
    """Scale the transparent colour of a PNG to the 8 bits that its pixels are decoded to."""
    key, tiles = image.info.get("transparency"), getattr(image, "tile", ())
    raw_mode = tiles[0][3] if tiles else None
    if key is None or image.format != "PNG" or not isinstance(raw_mode, str):
        return
    if raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)
    elif raw_mode in ("1", "L;2", "L;4"):
        image.info["transparency"] = key * {"1": 255, "L;2": 85, "L;4": 17}[raw_mode]


def _opaque(image: "Image.Image") -> "Image.Image":
    """Convert an image of 8 bits to L or RGB, laid on white where it is transparent."""
    from PIL import Image

    if image.mode == "1":
        info, image = image.info, image.convert("L")
        image.info = info
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        grey = image.mode in ("L", "LA", "La")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("L" if grey else "RGB")
        image.info = {LAID_ON_WHITE: True}
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _sixteen_bits(image: "Image.Image", name: str) -> "Image.Image":
    """Convert an image of integers to I;16. In a container of 32 bits, values up to 255 count as 8 bits."""
    import numpy as np
    from PIL import Image

    array = np.asarray(image)
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > SIXTEEN_BITS:
        raise ValueError(f"{name} holds integers in [{low}, {high}]; expected 8 or 16 bits")
    scale = 257 if image.mode == "I" and high <= 255 else 1
    values = (array.astype(np.int32) * scale).astype(np.uint16)
    if "transparency" in image.info:
        values[array == image.info["transparency"]] = SIXTEEN_BITS
    return Image.fromarray(values)


def _check_brightness(image: "Image.Image", name: str) -> None:
    import numpy as np

    array = np.asarray(image)
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"{name} holds floats in [{low:g}, {high:g}]; expected values in [0, 1]")


def find_images(folder: Path) -> list[Path]:
    """Find the image files in a folder and its sub-folders by the suffix of their names, sorted.

    Hidden files and folders are left out. Links to folders are followed, each folder once.
    """
    from PIL import Image

    readable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(place, name) for name in files if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in readable and path.is_file()]
    return sorted(found)
