"""Data sets of the Hugging Face Hub, through its library `datasets`; no code of a repository is run.

Letters: N examples.
"""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrvae_zoo.common.decoding import decode_image, open_image
from mrvae_zoo.data.encoded_images import EncodedImages
from mrvae_zoo.data.recipe import Split
from mrvae_zoo.errors import MissingExtraError

if TYPE_CHECKING:
    from PIL import Image


PREFIX = "datasets:"
TEST_SPLITS = ("test", "validation", "valid", "val")
TEST_SHARE = 10  # one in so many rows, where a set has nothing but a training split


def load_from_hub(name: str, split: Split) -> EncodedImages:
    """A split of the data set "datasets:org/name" or "datasets:org/name:config": images to decode.

    Its test split is that named "test", or else the one for validation, or else every tenth row of "train".

    Args:
        name: with the prefix; what stands for org/name may also be the path of a local folder.
        split: "train" or "test".

    Raises:
        MissingExtraError: `datasets` is not installed.
        FileNotFoundError: the set cannot be loaded; with the reason.
        ValueError: it has no training split, no column of images, or several.
    """
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
    rows = splits["train"]
    held_out = next((one for one in TEST_SPLITS if one in splits), None)
    if held_out is None:
        test = range(0, len(rows), TEST_SHARE)
        rows = rows.select(test if split == "test" else sorted({*range(len(rows))} - {*test}))
    elif split == "test":
        rows = splits[held_out]
    if len(rows) < (2 if split == "train" else 1):
        raise ValueError(f"{name} has {len(rows)} rows in its {split} split; expected more")
    table = Table(rows, _image_column(rows.features, name))
    return EncodedImages(name, range(len(rows)), table.open)


class Table:
    """Rows of which one column holds images."""

    def __init__(self, rows: Any, column: str) -> None:
        """The rows of a `datasets.Dataset`, and the name of the column."""
        import datasets

        self.rows = rows.select_columns(column).cast_column(column, datasets.Image(decode=False))
        self.column = column

    def open(self, index: int) -> "Image.Image":
        """The image of a row, upright.

        Raises:
            ValueError: it cannot be decoded.
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
