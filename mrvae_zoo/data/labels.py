"""The class of each image of a split, in the order of its images: from the data set, from folders, or from a CSV.

Letters: N examples.
"""

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mrvae_zoo.data.encoded_images import EncodedImages
from mrvae_zoo.data.folders import holds_npz, own_labels
from mrvae_zoo.data.hf_datasets import PREFIX
from mrvae_zoo.data.recipe import DataRecipe, Split
from mrvae_zoo.data.sets import ImageData, choose_for, data_sets, find_set, has_validation
from mrvae_zoo.errors import name_some, nearest, short


@dataclass(frozen=True, slots=True)
class Labels:
    """The classes of the images of a split.

    Attributes:
        values: The number of the class of each image, (N,) int64, in the order of the images.
        names: The name of each class.
    """

    values: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def number(self, name: str) -> int:
        """Return the number of a class.

        Raises:
            ValueError: There is no such class; the message suggests the nearest ones.
        """
        if name not in self.names:
            raise ValueError(f"there is no class {name!r}; {nearest(name, self.names)}")
        return self.names.index(name)


def load_labels(data: ImageData, root: str | Path, *, file: str | Path | None = None) -> Labels:
    """Load the class of each image of a split: what the data set says, the names of sub-folders, or a CSV file.

    The labels are in the order of the images, also where a recipe limits them, holds some of them out, or some files
    could not be read. Emoji are labelled by their style, and Omniglot by its characters.

    Example:
        data = mrvae_zoo.load_data("mnist", "test", "data", model.input_shape)
        labels = mrvae_zoo.load_labels(data, "data")

    Args:
        data: The split, as `load_data` gives it.
        root: The folder that holds the data sets (`--data-root`).
        file: A CSV file with two columns: the name of an image file, or the number of a row from 0 on; and the label. A
            first line of headings is skipped. None takes the labels of the data set.

    Raises:
        ValueError: The data set has no labels, or only one class; or the CSV does not fit the images.
        FileNotFoundError: The data set or the CSV is missing.
    """
    root, source = Path(root), _source(data, Path(root))
    own, encoded = _own_labels(data.name, source, root)
    everything = own
    if file is not None:
        everything = _read_csv(Path(file), data, encoded, root, source)
    if everything is None:
        raise ValueError(
            f"{data.name} has no labels; give them in a CSV file (--labels), or name a data set that has (--data)"
        )
    chosen = _chosen(data, source, len(everything), own)
    labels = everything if chosen is None else [everything[i] for i in chosen]
    if len(labels) != len(data) and encoded is not None:
        places = range(len(encoded)) if chosen is None else chosen
        readable = _readable(encoded, places, data.images.shape[-3:])
        labels = [label for label, kept in zip(labels, readable, strict=True) if kept]
    if len(labels) != len(data):
        raise ValueError(f"{data.name} has {len(labels)} labels for {len(data)} images; each image needs one")
    classes = data_sets[data.name].classes if file is None and data.name in data_sets else None
    return to_labels(labels, classes, of=data.name)


def to_labels(
    labels: Sequence[Any] | Tensor | np.ndarray, classes: Sequence[str] | None = None, *, of: str = "data"
) -> Labels:
    """Number the classes of labels (N,), integers or texts.

    Args:
        labels: The label of each image, (N,).
        classes: The names of the classes whose numbers the labels are, if they have names.
        of: The name of the data set, for messages.

    Raises:
        ValueError: All labels are the same, or there are none.
    """
    plain = labels.tolist() if isinstance(labels, Tensor | np.ndarray) else list(labels)
    values, numbers = np.unique(np.asarray(plain), return_inverse=True)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"all images of {of} have the same label; expected at least two classes")
    names = [value if classes is None else classes[value] for value in values.tolist()]
    return Labels(torch.from_numpy(numbers.astype(np.int64)), tuple(map(str, names)))


def _source(data: ImageData, root: Path) -> Split:
    """Return the split whose files the images came from."""
    return "train" if data.split == "valid" and not has_validation(data.name, root) else data.split


def _own_labels(name: str, split: Split, root: Path) -> tuple[Sequence[Any] | None, EncodedImages | None]:
    """Return the labels of all images in the files of a split, if they are known, and the files of a folder."""
    if name in data_sets and data_sets[name].labels is not None:
        read = data_sets[name].labels
        assert read is not None
        return read(root, split), None
    if name not in data_sets and not name.startswith(PREFIX) and holds_npz(root / name):
        return own_labels(root, name, split), None
    found = find_set(name, split, root)
    if not isinstance(found, EncodedImages):
        return None, None
    if found.labels is None or name.startswith(PREFIX):
        return found.labels, found
    folders = [str(label) for label in found.labels]
    if len({*folders}) < 2:
        return None, found
    above = os.path.commonpath(folders)
    return [os.path.relpath(folder, above) for folder in folders], found


def _chosen(data: ImageData, source: Split, count: int, labels: Sequence[Any] | None) -> list[int] | None:
    """Return the images that `load_data` chose among all of the training split; None if it took them all."""
    if source != "train" or not (data.held_out or data.limit is not None):
        return None
    recipe = DataRecipe(name=data.name, held_out=data.held_out, limit=data.limit)
    return choose_for(recipe, data.split, count, labels if data.stratified else None).tolist()


def _readable(encoded: EncodedImages, places: Iterable[int], shape: Sequence[int]) -> list[bool]:
    """Tell which images can be read, as `load_data` leaves out the others."""
    channels, height, width = shape

    def can_be_read(index: int) -> bool:
        try:
            encoded.decode(index, (channels, height, width))
        except ValueError:
            return False
        return True

    return [can_be_read(index) for index in places]


def _read_csv(path: Path, data: ImageData, encoded: EncodedImages | None, root: Path, source: Split) -> list[str]:
    """Return the label of every image in the files of a split."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; --labels is a CSV with a file name or a row number, and a label"
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as CSV: {error}") from None
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise ValueError(f"{path}, line {number}: {short(row)} should be two columns, an image and its label")
    count = len(encoded or find_set(data.name, source, root))
    places = _places(encoded, count)
    if rows and rows[0][0] not in places:
        rows = rows[1:]  # of headings
    given: dict[int, str] = {}
    for key, label in rows:
        if key not in places:
            expected = "the name of an image file" if encoded else f"a row from 0 to {count - 1}"
            raise ValueError(f"{path}: {short(key)} is not in {data.name}; expected {expected}")
        given[places[key]] = label
    missing = [index for index in range(count) if index not in given]
    if missing:
        names = [encoded.label(i) if encoded else i for i in missing]
        raise ValueError(f"{path} has no label for {len(missing)} of {count} images: {name_some(names)}")
    return [given[index] for index in range(count)]


def _places(encoded: EncodedImages | None, count: int) -> dict[str, int]:
    """Return what a CSV may call each image: its number, its path, and every end of the path that no other one has."""
    places = {str(index): index for index in range(count)}
    if encoded is None:
        return places
    ends: dict[str, set[int]] = {}
    for index, item in enumerate(encoded.items):
        if isinstance(item, Path):
            for parts in (item.parts[start:] for start in range(len(item.parts))):
                ends.setdefault("/".join(parts), set()).add(index)
            ends.setdefault(str(item), set()).add(index)
    return places | {end: min(which) for end, which in ends.items() if len(which) == 1}
