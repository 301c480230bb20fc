"""The section [data] of a recipe: the data set, and how it is prepared."""

from dataclasses import dataclass
from typing import Literal

from mrvae_zoo.common.schema import check_at_least

Binarization = Literal["none", "static", "dynamic"]
Split = Literal["train", "valid", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecipe:
    """[data]: the data set, and how it is prepared.

    Attributes:
        name: The name of the data set (see `mrvae_zoo.data.sets`), of a folder under the data root, or
            "datasets:org/name" for the Hugging Face Hub.
        binarize: The binarisation of the pixels. "none" leaves them as they are. "static" draws each pixel once as 0 or
            1. "dynamic" draws it again in every training step, and once for evaluation.
        limit: The largest number of training images to use. They are chosen at random once, with each class in
            proportion.
        flip: Whether to flip each training image left to right with probability one half.
        shift: The largest number of pixels to move each training image by, up or down and left or right. The distances
            are drawn again in every training step. Pixels at the edges are repeated to fill the gap, like the replicate
            padding of torch.
        crop: The side N of the square of N × N pixels that every training step cuts out of each image, at a place that
            is drawn again each time. The images are then not resized to the model's size. A model of a fixed size has
            to take N × N; what it is measured on is the square in the middle of each image. A model of any size is
            measured on whole images.
        size: The size (H, W) that images are resized to, for a model that takes any size, or before `crop`. Otherwise
            the model sets the size.
        held_out: The number of training images to hold out as the validation split, for a data set without one of its
            own. They are chosen like those of `limit` and are not trained on.
    """

    name: str
    binarize: Binarization = "none"
    limit: int | None = None
    flip: bool = False
    shift: int = 0
    crop: int | None = None
    size: tuple[int, int] | None = None
    held_out: int = 0

    def __post_init__(self) -> None:
        check_at_least("limit", self.limit, 1)
        check_at_least("held_out", self.held_out, 0)
        check_at_least("shift", self.shift, 0)
        check_at_least("crop", self.crop, 1)
        for side in self.size or ():
            check_at_least("size", side, 1)
