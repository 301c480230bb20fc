"""Your own data sets: a folder under the data root, with one .npz per split or with images.

The first layout that is found is used:

    NAME/train.npz, NAME/test.npz     the array `images`, and `labels` if classes are known; optionally valid.npz
    NAME/train/**, NAME/test/**       images, in folders of classes or any other folders; optionally also a folder
                                      validation, valid or val, which is the test split if no folder is named test
    NAME/**                           images: about every tenth is in the test split, by a hash of its path
"""

import hashlib
import logging
from pathlib import Path
from typing import Any

from torch import Tensor

from mrvae_zoo.common.decoding import find_images, open_image
from mrvae_zoo.data.encoded_images import EncodedImages
from mrvae_zoo.data.npz import read_labels, read_npz
from mrvae_zoo.data.recipe import Split
from mrvae_zoo.errors import UnknownNameError, name_some, nearest

SPLITS: tuple[Split, ...] = ("train", "test")
HELD_OUT = (
    "test",
    "validation",
    "valid",
    "val",
)  # folders that are not trained on: the first that is there is the test split, the second the validation split
TEST_SHARE = 10  # one in so many images of an undivided folder

logger = logging.getLogger(__name__)


def load_own(root: Path, name: str, split: Split, registered: list[str]) -> Tensor | EncodedImages:
    """Load a split of the data set in the folder `name` of the data root: (N, C, H, W) uint8, or images to decode.

    `has_validation` tells whether there is a validation split.

    Raises:
        UnknownNameError: There is no such folder; the message suggests the nearest names among folders and
            `registered`.
        FileNotFoundError: One of the two .npz files is missing.
        ValueError: The folder holds no images, or only one to train on; or the .npz is not valid.
    """
    folder = root / name
    _check_name(root, name, registered)
    if holds_npz(folder):
        return read_npz(folder / f"{split}.npz")
    paths = split_folder(folder)[split]
    if split == "train":
        _tell_what_is_left_out(folder)
    return EncodedImages(str(folder), paths, open_image, [str(path.parent) for path in paths])


def own_labels(root: Path, name: str, split: Split) -> list[Any] | None:
    """Read the class of each image of an .npz, if it has labels."""
    return read_labels(root / name / f"{split}.npz")


def has_validation(root: Path, name: str, registered: list[str]) -> bool:
    """Whether the data set in the folder `name` has a validation split of its own; errors are those of `load_own`."""
    folder = root / name
    _check_name(root, name, registered)
    return (folder / "valid.npz").is_file() if holds_npz(folder) else "valid" in split_folder(folder)


def holds_npz(folder: Path) -> bool:
    """Whether the data set consists of .npz files."""
    return any((folder / f"{each}.npz").exists() for each in SPLITS)


def _check_name(root: Path, name: str, registered: list[str]) -> None:
    folder = root / name
    if meant := registered_like(name, registered):
        raise UnknownNameError(f"unknown data set {name!r}; did you mean {meant}?")
    if name in ("", "..") or Path(name).name != name or not folder.is_dir():
        folders = [path.name for path in root.iterdir() if path.is_dir()]
        raise UnknownNameError(
            f"unknown data set {name!r}; {nearest(name, [*registered, *folders])} (a set of your own is a folder in "
            f"{root} with train.npz and test.npz, with train/ and test/ full of images, or just full of images)"
        )


def split_folder(folder: Path) -> dict[Split, list[Path]]:
    """Return the images of a folder by split, sorted by path: "train", "test", and "valid" if it has its own folder.

    An image stays in its split when others are added or removed, as long as both splits have at least one image.

    Raises:
        ValueError: The folder holds no images, or only one to train on.
    """
    if parts := _parts(folder):
        splits = {split: find_images(part) for split, part in parts.items()}
        for split, part in parts.items():
            _check_count(part, len(splits[split]), 2 if split == "train" else 1)
        return splits
    images = find_images(folder)
    _check_count(folder, len(images), 2)
    numbers = {path: _number(path.relative_to(folder)) for path in images}
    held_out = {path for path in images if numbers[path] % TEST_SHARE == 0}
    if not 0 < len(held_out) < len(images):
        held_out = {min(images, key=numbers.__getitem__)}
    return {
        "train": [path for path in images if path not in held_out],
        "test": [path for path in images if path in held_out],
    }


def _parts(folder: Path) -> dict[Split, Path]:
    """Return the folder of each split; empty if the folder is undivided."""
    parts = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    held_out = [parts[name] for name in HELD_OUT if name in parts]
    if "train" not in parts or not held_out:
        return {}
    return dict(zip(("train", "test", "valid"), (parts["train"], *held_out), strict=False))


def _tell_what_is_left_out(folder: Path) -> None:
    """Log a warning if images lie beside the folders of the splits."""
    if parts := _parts(folder):
        left_out = [path for path in find_images(folder) if not any(path.is_relative_to(one) for one in parts.values())]
        if left_out:
            names = ", ".join(f"{part.name}/" for part in parts.values())
            logger.warning(
                "%s: %d images are in none of %s and are left out: %s",
                *(folder, len(left_out), names, name_some([str(path.relative_to(folder)) for path in left_out])),
            )


def registered_like(name: str, registered: list[str]) -> str | None:
    """Return the registered name that differs only in case and punctuation: the folder MNIST is where mnist is kept."""

    def bare(text: str) -> str:
        return text.lower().replace("_", "").replace("-", "")

    return next((one for one in registered if bare(one) == bare(name)), None)


def _check_count(folder: Path, count: int, fewest: int) -> None:
    if count < fewest:
        found = "one image only" if count else "no images in a format that Pillow reads"
        raise ValueError(f"{folder} holds {found}; expected at least {fewest}")


def _number(path: Path) -> int:
    """Return a number for the path of an image that is the same on every machine."""
    return int.from_bytes(hashlib.blake2b(path.as_posix().encode("utf-8", "surrogateescape"), digest_size=8).digest())
