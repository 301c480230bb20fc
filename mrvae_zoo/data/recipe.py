"""[data] of a recipe: which set, and how it is prepared."""

from dataclasses import dataclass
from typing import Literal

from mrvae_zoo.common.schema import check_at_least

Binarization = Literal["none", "static", "dynamic"]
Split = Literal["train", "valid", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecipe:
    """[data]: which set, and how it is prepared.

    Attributes:
        name: of the set, see `mrvae_zoo.data.sets`.
        binarize: "none"; "static", each pixel drawn once; "dynamic", drawn anew in every step of training and once for
            evaluation.
        limit: use only so many of the training images, chosen at random once, of each class its share.
        flip: in training, turn each image left to right with probability one half.
        size: (H, W) that images of other sizes are resized to for a model that takes any; else the model says it.
        held_out: so many of the training images, chosen alike, are not trained on: they are the validation split of a
            set without one of its own.
    """

    name: str
    binarize: Binarization = "none"
    limit: int | None = None
    flip: bool = False
    size: tuple[int, int] | None = None
    held_out: int = 0

    def __post_init__(self) -> None:
        check_at_least("limit", self.limit, 1)
        check_at_least("held_out", self.held_out, 0)
        for side in self.size or ():
            check_at_least("size", side, 1)
