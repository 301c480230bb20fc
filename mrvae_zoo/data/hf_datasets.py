"""Data sets of the Hugging Face Hub, through its library `datasets`. No code of a repository is run.

Letters: N examples.
"""

import math
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrvae_zoo.common.decoding import decode_image, open_image
from mrvae_zoo.data.encoded_images import EncodedImages
from mrvae_zoo.data.folders import HELD_OUT
from mrvae_zoo.data.recipe import Split
from mrvae_zoo.data.selection import all_but, choose
from mrvae_zoo.errors import MissingExtraError

if TYPE_CHECKING:
    from PIL import Image


PREFIX = "datasets:"
TEST_SHARE = 10  # one in so many rows, chosen at random once, where a set has nothing but a training split


def load_from_hub(name: str, split: Split) -> EncodedImages:
    """Load a split of the data set "datasets:org/name" or "datasets:org/name:config": images to decode.

    The test split is the one named "test", or else the one for validation, or else a tenth of the rows of "train", with
    each class in proportion. `hub_has_validation` tells whether there is a validation split.

    Args:
        name: The name with its prefix. The path of a local folder may take the place of org/name.
        split: The split to load.

    Raises:
        MissingExtraError: `datasets` is not installed.
        FileNotFoundError: The data set cannot be loaded; the message gives the reason.
        ValueError: The data set has no training split, no column of images, or several.
    """
    splits = _load(name)
    rows = splits["train"]
    held_out = _held_out(splits)
    if split == "train" or held_out:
        rows = rows if split == "train" else splits[held_out[split]]
    if not held_out:
        test = choose(len(rows), math.ceil(len(rows) / TEST_SHARE), _labels(rows))
        rows = rows.select((test if split == "test" else all_but(len(rows), test)).tolist())
    if len(rows) < (2 if split == "train" else 1):
        raise ValueError(f"{name} has {len(rows)} rows in its {split} split; expected more")
    table = Table(rows, _image_column(rows.features, name))
    return EncodedImages(name, range(len(rows)), table.open, _labels(rows), version=rows._fingerprint)


def hub_has_validation(name: str) -> bool:
    """Whether the data set has a validation split besides the test split; errors are those of `load_from_hub`."""
    return "valid" in _held_out(_load(name))


def _load(name: str) -> Any:
    try:
        import datasets  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise MissingExtraError("datasets", "datasets") from None
    source, _, config = name.removeprefix(PREFIX).partition(":")
    try:
        splits = datasets.load_dataset(source, config or None)
    except Exception as error:  # noqa: BLE001 (the library, its file systems and the Hub each have errors of their own)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileNotFoundError(f"{name} cannot be loaded: {reason}") from None
    if "train" not in splits:
        raise ValueError(f"{name} has no split train, only {', '.join(splits)}")
    return splits


def _held_out(splits: Any) -> dict[str, str]:
    """Return the names of the test split and the validation split in this data set."""
    return dict(zip(("test", "valid"), (one for one in HELD_OUT if one in splits), strict=False))


def _labels(rows: Any) -> list[int] | None:
    """Return the class of each row, if there is exactly one column of classes."""
    import datasets

    columns = [column for column, kind in rows.features.items() if isinstance(kind, datasets.ClassLabel)]
    return [-1 if one is None else one for one in rows[columns[0]]] if len(columns) == 1 else None


class Table:
    """Rows of which one column holds images."""

    def __init__(self, rows: Any, column: str) -> None:
        """Wrap the rows of a `datasets.Dataset`; `column` is the name of the image column."""
        import datasets

        self.rows = rows.select_columns(column).cast_column(column, datasets.Image(decode=False))
        self.column = column

    def open(self, index: int) -> "Image.Image":
        """Return the image of a row, upright.

        Raises:
            ValueError: The image cannot be decoded.
        """
        cell, name = self.rows[index][self.column], f"row {index}"
        if cell is None:
            raise ValueError(f"{name} has no image")
        if cell["bytes"] is None:
            return open_image(Path(cell["path"]))
        return decode_image(BytesIO(cell["bytes"]), name)


def _image_column(features: Any, name: str) -> str:
    import datasets

    columns = [column for column, kind in features.items() if isinstance(kind, datasets.Image)]
    if len(columns) > 1 and "image" in columns:
        return "image"
    if len(columns) != 1:
        found = f"several columns of images ({', '.join(columns)}), none named image" if columns else "no such column"
        raise ValueError(f"{name} should have one column of images; it has {found}")
    return columns[0]
