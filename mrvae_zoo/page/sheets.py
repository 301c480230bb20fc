"""Sheets of test images that come with the package: twelve of each data set that the registry has models of.

NAME.png holds them beside each other, and NAME.json says which images of the test split they are.
benchmarks/page_images.py makes both.

Letters: N images, C, H, W image.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mrvae_zoo.common.decoding import open_image
from mrvae_zoo.common.images import to_bytes

SHEETS = Path(__file__).parent / "images"
COUNT, COLUMNS = 12, 6  # images of a sheet, and of a row of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Some images of a test split.

    Attributes:
        images: The images, (N, C, H, W) uint8.
        titles: The name of each image.
        labels: The name of the class of each image, if the classes have names.
        attributions: Who made each image and how it was changed, if that is not the same for all.
    """

    images: Tensor
    titles: tuple[str, ...]
    labels: tuple[str | None, ...]
    attributions: tuple[str | None, ...]


def read_sheet(name: str) -> Sheet | None:
    """Return the sheet of a data set, or None if there is none."""
    path = SHEETS / f"{name}.png"
    if not path.is_file():
        return None
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    height, width = record["size"]
    picture = open_image(path)
    tiles = to_bytes(picture, (1 if picture.mode == "L" else 3, None, None), name=path.name)
    nothing = [None] * COUNT
    return Sheet(
        images=tiles.unfold(1, height, height).unfold(2, width, width).permute(1, 2, 0, 3, 4).flatten(0, 1),
        titles=tuple(map(test_title, record["indices"])),
        labels=tuple(record.get("labels", nothing)),
        attributions=tuple(record.get("attributions", nothing)),
    )


def evenly(count: int) -> list[int]:
    """Return the places of a dozen things that lie evenly among `count`, or of all if there are no more."""
    return [number * count // COUNT for number in range(COUNT)] if count > COUNT else [*range(count)]


def test_title(index: int) -> str:
    """Return the name of an image by its place in the test split."""
    return f"image {index} of the test split"
