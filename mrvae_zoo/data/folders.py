"""Data sets of one's own: a folder under the data root, with an .npz a split or with images.

The layouts, the first that is there:

    NAME/train.npz, NAME/test.npz     the array `images`; labels are ignored
    NAME/train/**, NAME/test/**       images, in folders as one likes; for test also validation, valid or val
    NAME/**                           images: about every tenth is the test split, by a hash of its path
"""

import hashlib
from pathlib import Path

from torch import Tensor

from mrvae_zoo.common.decoding import find_images, open_image
from mrvae_zoo.data.encoded_images import EncodedImages
from mrvae_zoo.data.npz import read_npz
from mrvae_zoo.data.recipe import Split
from mrvae_zoo.errors import UnknownNameError, nearest

SPLITS: tuple[Split, ...] = ("train", "test")
HELD_OUT = (
    "test",
    "validation",
    "valid",
    "val",
)  # folders that are not trained on; the first that is there is the test
TEST_SHARE = 10  # one in so many images of an undivided folder


def load_own(root: Path, name: str, split: Split, registered: list[str]) -> Tensor | EncodedImages:
    """A split of the set in the folder `name` of the data root: (N, C, H, W) uint8, or images to decode.

    Raises:
        UnknownNameError: there is no such folder; with the nearest names among these and those `registered`.
        FileNotFoundError: one of the two .npz is missing.
        ValueError: there are no images in it, or only one to train on; or the .npz is not what it should be.
    """
    folder = root / name
    if meant := registered_like(name, registered):
        raise UnknownNameError(f"unknown data set {name!r}; did you mean {meant}?")
    if name in ("", "..") or Path(name).name != name or not folder.is_dir():
        folders = [path.name for path in root.iterdir() if path.is_dir()]
        raise UnknownNameError(
            f"unknown data set {name!r}; {nearest(name, [*registered, *folders])} (a set of your own is a folder in "
            f"{root} with train.npz and test.npz, with train/ and test/ full of images, or just full of images)"
        )
    if any((folder / f"{each}.npz").exists() for each in SPLITS):
        return read_npz(folder / f"{split}.npz")
    return EncodedImages(str(folder), split_folder(folder)[split], open_image)


def split_folder(folder: Path) -> dict[Split, list[Path]]:
    """The images of a folder, sorted by path, in the two splits.

    An image stays in its split when others are added or removed, so long as both splits have one.

    Raises:
        ValueError: there are no images, or only one to train on.
    """
    parts = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    held_out_folder = next((parts[name] for name in HELD_OUT if name in parts), None)
    if "train" in parts and held_out_folder is not None:
        train, test = find_images(parts["train"]), find_images(held_out_folder)
        _check_count(parts["train"], len(train), 2)
        _check_count(held_out_folder, len(test), 1)
        return {"train": train, "test": test}
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


def registered_like(name: str, registered: list[str]) -> str | None:
    """The registered name that differs in case and punctuation only: the folder MNIST is where mnist is kept."""

    def bare(text: str) -> str:
        return text.lower().replace("_", "").replace("-", "")

    return next((one for one in registered if bare(one) == bare(name)), None)


def _check_count(folder: Path, count: int, fewest: int) -> None:
    if count < fewest:
        found = "one image only" if count else "no images in a format that Pillow reads"
        raise ValueError(f"{folder} holds {found}; expected at least {fewest}")


def _number(path: Path) -> int:
    """A number of the path of an image that is the same on every machine."""
    return int.from_bytes(hashlib.blake2b(path.as_posix().encode("utf-8", "surrogateescape"), digest_size=8).digest())
