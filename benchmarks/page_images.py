"""The test images that pages show: a sheet of twelve for each data set, in mrvae_zoo/page/images/.

    python benchmarks/page_images.py --data-root data

A sheet is a PNG of 6 × 2 images beside each other, and a JSON file that says which images of the test split they are.
They are spread over the classes if these have names, and else over the split. Of a photograph it shows the middle,
128 × 128 pixels of 256 × 256.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from mrvae_zoo.common.grids import to_pil, to_png
from mrvae_zoo.data.augmentation import centre_crop
from mrvae_zoo.data.cid22 import load_photos
from mrvae_zoo.data.labels import load_labels
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.page.sheets import COLUMNS, COUNT, SHEETS, evenly

LABELLED = ("mnist", "fashion_mnist", "cifar10")  # the names of whose classes say something
SHAPES = {
    "mnist": (1, 28, 28),
    "binarized_mnist": (1, 28, 28),
    "omniglot": (1, 28, 28),
    "fashion_mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
    "sprites": (1, 32, 32),
    "emoji64": (3, 64, 64),
    "cid22": (3, 256, 256),  # half of 512
}
SIDE = 128  # pixels, the largest of a sheet


def spread(data: ImageData, root: Path) -> tuple[list[int], dict[str, list[str]]]:
    """Return the indices of twelve test images, and their classes if these have names."""
    if data.name not in LABELLED:
        return evenly(len(data)), {}
    labels = load_labels(data, root)
    places = [torch.nonzero(labels.values == number).flatten().tolist() for number in range(len(labels.names))]
    indices = [places[number % len(places)][number // len(places)] for number in range(COUNT)]
    return indices, {"labels": [labels.names[labels.values[index]] for index in indices]}


def photographers(root: Path, indices: list[int]) -> list[str]:
    """Return what the licence of the photographs asks for: their names, and what was done to them."""
    items = load_photos(root, "test").items
    return [f"{items[index].stem} of CID22-512 (CC BY-SA 4.0), the middle, at half its size" for index in indices]


def sheet(images: Tensor) -> bytes:
    """Return twelve images (N, C, H, W), uint8, as one PNG."""
    rows = [torch.cat(list(row), dim=-1) for row in images.split(COLUMNS)]
    return to_png(to_pil(torch.cat(rows, dim=-2).float() / 255)[0])


def make(name: str, root: Path) -> tuple[bytes, str]:
    """Return the sheet of a data set, and the JSON beside it."""
    data = load_data(name, "test", root, SHAPES[name])
    indices, labels = spread(data, root)
    (images,) = data.read([torch.tensor(indices)])
    images = centre_crop(images, SIDE) if max(images.shape[-2:]) > SIDE else images
    record = {"size": list(images.shape[-2:]), "indices": indices, **labels}
    if name == "cid22":
        record["attributions"] = photographers(root, indices)
    return sheet(images), json.dumps(record) + "\n"


def main() -> None:
    """Write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder that holds the data sets")
    root, total = parser.parse_args().data_root, 0
    SHEETS.mkdir(exist_ok=True)
    for name in SHAPES:
        picture, record = make(name, root)
        (SHEETS / f"{name}.png").write_bytes(picture)
        (SHEETS / f"{name}.json").write_text(record, encoding="utf-8")
        total += len(picture)
        print(f"{name}: {len(picture):,} bytes")
    print(f"{total:,} bytes in all")


if __name__ == "__main__":
    main()
