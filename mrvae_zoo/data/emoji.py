"""emoji64: coloured emoji of 64×64 pixels, in the styles whose licences ask for no more than attribution.

Letters: N examples.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrvae_zoo.data.data_set import DataFacts, DataSet
from mrvae_zoo.data.npz import read_labels, read_npz
from mrvae_zoo.data.recipe import Split

STYLES = ("twemoji", "noto", "fluent")


def load_emoji(root: Path, split: Split) -> Tensor:
    """Load the pictures of the three styles, (9545 or 1119, 3, 64, 64), from Emoji64/{train,test}.npz.

    The file holds uint8 `images` and the `style` of each. Pictures of other styles are left out.
    """
    images = read_npz(_file(root, split))
    return images[_kept(root, split, len(images))]


def read_emoji_styles(root: Path, split: Split) -> list[Any]:
    """Read the style of each picture."""
    return [style for style in _styles(root, split) if style in STYLES]


def read_emoji_names(root: Path, split: Split) -> list[Any] | None:
    """Read what each picture shows, as the set that it is from names it; None if the file does not tell."""
    names = read_labels(_file(root, split), "name")
    return None if names is None else [names[i] for i in _kept(root, split, len(names)).tolist()]


def _kept(root: Path, split: Split, count: int) -> Tensor:
    """Return the indices of the pictures of the three styles, among `count`."""
    styles = _styles(root, split)
    if len(styles) != count:
        raise ValueError(f"{_file(root, split)}: style has {len(styles)} entries for {count} images")
    return torch.tensor([i for i, style in enumerate(styles) if style in STYLES])


def _styles(root: Path, split: Split) -> list[Any]:
    styles = read_labels(_file(root, split), "style")
    if styles is None:
        raise ValueError(f"{_file(root, split)} has no array named style, one text per image")
    return styles


def _file(root: Path, split: Split) -> Path:
    return root / "Emoji64" / f"{split}.npz"


EMOJI64 = DataSet(
    name="emoji64",
    load=load_emoji,
    labels=read_emoji_styles,
    facts=DataFacts(
        title="emoji at 64×64: Twemoji (Twitter), Noto Emoji (Google) and Fluent Emoji (Microsoft)",
        licence="Twemoji CC BY 4.0, Noto Emoji Apache-2.0, Fluent Emoji MIT",
    ),
)
