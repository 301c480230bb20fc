"""Data sets: read once, kept as uint8 or streamed, and turned into a model's input one batch at a time.

Letters: N examples, B batch, C, H, W image.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrvae_zoo.common.images import Shape
from mrvae_zoo.common.noise import Noise, Purpose
from mrvae_zoo.common.table import Table
from mrvae_zoo.data.augmentation import centre_crop, move_and_crop
from mrvae_zoo.data.cid22 import CID22
from mrvae_zoo.data.cifar10 import CIFAR10
from mrvae_zoo.data.data_set import DataFacts, DataSet
from mrvae_zoo.data.emoji import EMOJI64
from mrvae_zoo.data.encoded_images import EncodedImages, StreamedImages, load_encoded
from mrvae_zoo.data.folders import has_validation as own_has_validation
from mrvae_zoo.data.folders import load_own, own_labels
from mrvae_zoo.data.hf_datasets import PREFIX, hub_has_validation, load_from_hub
from mrvae_zoo.data.recipe import Binarization, DataRecipe, Split
from mrvae_zoo.data.selection import SELECTION_SEED, all_but, choose
from mrvae_zoo.data.sprites import SPRITES
from mrvae_zoo.data.torchvision_sets import BINARIZED_MNIST, CELEBA, FASHION_MNIST, KMNIST, MNIST, OMNIGLOT, SVHN
from mrvae_zoo.errors import UnknownNameError

BINARIZE_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """A split of a data set.

    Attributes:
        name: The name of the data set.
        split: The split: "train", "valid" or "test".
        images: The images, (N, C, H, W) uint8, or streamed.
        binarize: The binarisation of the images, already applied or still to be; see `DataRecipe`.
        flip: Whether to flip the images left to right at random.
        shift: The largest number of pixels to move the images by at random; see `DataRecipe`.
        crop: The side N of the squares to cut out of the images: at random with noise, else in the middle. None keeps
            them whole.
        size: The size (H, W) of the images, if the recipe names it.
        held_out: The number of training images that form the validation split; see `DataRecipe`.
        limit: The largest number of the other training images to use, if the recipe sets one.
        stratified: Whether the images were chosen with each class in proportion.
    """

    name: str
    split: Split
    images: Tensor | StreamedImages
    binarize: Binarization = "none"
    flip: bool = False
    shift: int = 0
    crop: int | None = None
    size: tuple[int, int] | None = None
    held_out: int = 0
    limit: int | None = None
    stratified: bool = False

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of an image as it is prepared."""
        channels, height, width = self.images.shape[-3:]
        return (channels, height, width) if self.crop is None else (channels, self.crop, self.crop)

    def to(self, device: torch.device) -> "ImageData":
        """Return the same data on another device."""
        return replace(self, images=self.images.to(device))

    def read(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the examples of each index tensor (B,), in order: uint8 (B, C, H, W) on the device.

        For a streamed set, indices are taken some batches ahead of what has been yielded.
        """
        if isinstance(self.images, StreamedImages):
            yield from self.images.read(indices)
            return
        for index in indices:
            yield self.images[index.to(self.images.device)]

    def prepare(self, images: Tensor, noise: Noise | None = None) -> Tensor:
        """Convert uint8 images (B, C, H, W), as read, to a model's input: float32 in [0, 1].

        `noise` draws how far images are moved, which square is cut out of them, which are flipped, and, from the pixels
        that are left, a dynamic binarisation. Without it none of this happens, and a square is that in the middle.
        """
        if noise is not None and (self.shift or self.crop is not None):
            images = move_and_crop(images, noise, shift=self.shift, crop=self.crop)
        elif self.crop is not None:
            images = centre_crop(images, self.crop)
        x = images.float() / 255
        if noise is not None and self.flip:
            x = torch.where(noise.uniform(Purpose.FLIP, 1, 1, 1) < 0.5, x.flip(-1), x)
        if noise is not None and self.binarize == "dynamic":
            x = (noise.coarse_uniform(Purpose.BINARIZE, *x.shape[1:]) < x).float()
        return x

    def batches(self, size: int, *, first: int = 0, step: int = 1) -> Iterator[Tensor]:
        """Yield all examples in order, `size` at a time, without noise; `first` and `step` select some batches."""
        # Indices on the CPU would make each batch wait for a GPU that holds the images; a streamed set needs them so.
        device = self.images.device if isinstance(self.images, Tensor) else torch.device("cpu")
        for images in self.read(torch.arange(len(self), device=device).split(size)[first::step]):
            yield self.prepare(images)

    def describe(self) -> dict[str, Any]:
        """Return what a curve records about the data that it was measured on."""
        described: dict[str, Any] = {"name": self.name, "split": self.split, "examples": len(self)}
        if self.binarize != "none":
            described |= {"binarize": self.binarize, "binarize_seed": BINARIZE_SEED}
        if self.size is not None:
            described["size"] = list(self.size)
        if self.crop is not None:
            described["crop"] = self.crop
        if self.held_out:
            described["held_out"] = self.held_out
        if self.limit is not None:
            described["limit"] = self.limit
        if self.held_out or self.limit is not None:
            described |= {"selection_seed": SELECTION_SEED, "stratified": self.stratified}
        return described


def load_data(recipe: DataRecipe | str, split: Split, root: str | Path, shape: Shape) -> ImageData:
    """Load a split of a data set as a recipe describes it: limited, moved, flipped (training only), and binarised.

    A name that is not registered is a folder under `root` (see `mrvae_zoo.data.folders`), or "datasets:org/name" for
    the Hugging Face Hub. The validation split is the data set's own, or else the training images that the recipe holds
    out. If the recipe binarises dynamically, data that are not trained on are binarised once, so that a curve can be
    measured again.

    Args:
        recipe: The [data] section of a recipe (`recipe.data`), or the name of a data set to use as it is.
        split: The split to load: "train", "valid" or "test".
        root: The folder that holds the data sets (`--data-root`).
        shape: The model's input_shape (C, H, W), which images are converted and resized to. (C, None, None) keeps their
            size, or resizes them to the recipe's. With `crop`, it is squares of the images that have this shape.

    Raises:
        ValueError: The data set is unknown, its files are not valid, or its images have another shape, or are too small
            for `crop` or `shift`. Or a validation split is asked for and `held_out` makes none, or the data set already
            has one of its own.
        FileNotFoundError: The data set is missing; the message says what to put where.
    """
    recipe = DataRecipe(name=recipe) if isinstance(recipe, str) else recipe
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; --data-root is the folder that holds the data sets")
    wanted = _wanted_shape(recipe, shape)
    own = _has_own_validation(recipe, split, root)
    source: Split = "train" if split == "valid" and not own else split
    loaded = find_set(recipe.name, source, root)
    if not isinstance(loaded, EncodedImages):
        loaded = _check(loaded, recipe.name, wanted)
    chosen = None
    if source == "train":
        _check_held_out(recipe, split, len(loaded))
    if source == "train" and (recipe.held_out or recipe.limit is not None):
        labels = _labels(recipe.name, loaded, root)
        chosen = choose_for(recipe, split, len(loaded), labels)
    if isinstance(loaded, EncodedImages):
        if chosen is not None:
            loaded = replace(loaded, items=[loaded.items[index] for index in chosen.tolist()], labels=None)
        images = load_encoded(loaded, wanted)
    else:
        images = loaded if chosen is None else loaded[chosen]
    crop = recipe.crop if split == "train" or shape[1] is not None else None
    _check_places(recipe.name, images.shape[-2:], crop, recipe.shift if split == "train" else 0)
    data = ImageData(name=recipe.name, split=split, images=images, size=recipe.size, crop=crop)
    if chosen is not None:
        limit = recipe.limit if split == "train" else None
        data = replace(data, held_out=recipe.held_out, limit=limit, stratified=labels is not None)
    if split == "train":
        data = replace(data, flip=recipe.flip, shift=recipe.shift)
    if recipe.binarize == "static" or (recipe.binarize == "dynamic" and split != "train"):
        return replace(data, images=draw_once(data), binarize="static")
    return replace(data, binarize=recipe.binarize)


def find_set(name: str, split: Split, root: Path) -> Tensor | EncodedImages:
    """Load a split of a data set as its files hold it: (N, C, H, W), or images to decode; errors as `load_data`."""
    if name.startswith(PREFIX):
        return load_from_hub(name, split)
    try:
        record = data_sets[name]
    except UnknownNameError:
        return load_own(root, name, split, list(data_sets))
    return record.load(root, split)


def has_validation(name: str, root: Path) -> bool:
    """Whether the data set has a validation split of its own; errors are those of `load_data`."""
    if name.startswith(PREFIX):
        return hub_has_validation(name)
    return data_sets[name].valid if name in data_sets else own_has_validation(root, name, list(data_sets))


def _has_own_validation(recipe: DataRecipe, split: Split, root: Path) -> bool:
    """Whether the data set has its own validation split, if it matters; a ValueError if images are held out as well."""
    own = (split == "valid" or recipe.held_out > 0) and has_validation(recipe.name, root)
    if own and recipe.held_out:
        raise ValueError(
            f"data.held_out={recipe.held_out} should be left out: {recipe.name} has a validation split of its own"
        )
    return own


def _check_held_out(recipe: DataRecipe, split: Split, count: int) -> None:
    """Raise a ValueError if the `count` training images cannot be divided as the recipe asks."""
    if recipe.held_out >= count:
        raise ValueError(
            f"data.held_out={recipe.held_out} should be below {count}, the training images of {recipe.name}"
        )
    if split == "valid" and recipe.held_out == 0:
        raise ValueError(
            f"{recipe.name} has no validation split of its own; say with data.held_out how many of its {count} "
            "training images should be one"
        )


def _labels(name: str, loaded: Tensor | EncodedImages, root: Path) -> Sequence[str | int] | None:
    """Return the class of each training image, if it is known."""
    if isinstance(loaded, EncodedImages):
        return loaded.labels
    if name in data_sets:
        read = data_sets[name].labels
        labels = None if read is None else read(root, "train")
    else:
        labels = own_labels(root, name, "train")
    return labels if labels is not None and len(labels) == len(loaded) else None


def choose_for(recipe: DataRecipe, split: Split, count: int, labels: Sequence[str | int] | None) -> Tensor:
    """Return the indices of the `count` training images that belong to the split, in rising order."""
    held_out = choose(count, recipe.held_out, labels)
    if split == "valid":
        return held_out
    kept = all_but(count, held_out)
    if recipe.limit is None or recipe.limit >= len(kept):
        return kept
    of_kept = None if labels is None else [labels[index] for index in kept.tolist()]
    return kept[choose(len(kept), recipe.limit, of_kept)]


def _wanted_shape(recipe: DataRecipe, shape: Shape) -> Shape:
    """Return the shape (C, H, W) to load images in; H and W are None where they keep their own size."""
    channels, height, width = shape
    if recipe.crop is not None:
        if height is not None and width is not None and (height, width) != (recipe.crop, recipe.crop):
            raise ValueError(f"data.crop={recipe.crop}, but this model takes {[height, width]}; leave it out")
        return channels, *(recipe.size or (None, None))
    if recipe.size is None:
        return shape
    if height is not None and width is not None and recipe.size != (height, width):
        raise ValueError(f"data.size = {list(recipe.size)}, but this model takes {[height, width]}; leave it out")
    return channels, *recipe.size


def _check(images: Any, name: str, wanted: Shape) -> Tensor:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.ndim != 4 or len(images) == 0:
        given = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"the data set {name} gave {given}; expected a uint8 tensor (N, C, H, W)")
    shape = tuple(images.shape[1:])
    if any(want not in (None, have) for want, have in zip(wanted, shape, strict=True)):
        raise ValueError(f"{name} has images {shape}; the model's input_shape is {list(wanted)}")
    return images


def _check_places(name: str, size: Sequence[int], crop: int | None, shift: int) -> None:
    """Raise a ValueError if images of this size (H, W) are too small to be cropped or moved so."""
    shorter, which = min(size), f"the shorter side of the images of {name}"
    if crop is not None and crop > shorter:
        raise ValueError(f"data.crop={crop} should be at most {shorter}, {which}")
    if shift >= shorter and shift > 0:
        raise ValueError(f"data.shift={shift} should be below {shorter}, {which}")


def draw_once(data: ImageData) -> Tensor:
    """Return the images with each pixel drawn once, 0 or 255."""
    if isinstance(data.images, StreamedImages):
        raise ValueError(
            f"the {data.split} split of {data.name} is too large to be kept in memory, and binarising it once needs "
            'that; leave it grey with data.binarize = "none", or take a smaller size'
        )
    generator = torch.Generator().manual_seed(BINARIZE_SEED)
    drawn = torch.cat([torch.bernoulli(x.float() / 255, generator=generator) for x in data.images.split(1000)])
    return drawn.byte() * 255


data_sets: Table[DataSet] = Table(
    "data set",
    (MNIST, FASHION_MNIST, KMNIST, BINARIZED_MNIST, OMNIGLOT, SVHN, CIFAR10, CELEBA, EMOJI64, CID22, SPRITES),
    plugins=DataSet,
)


def data_facts(name: str) -> DataFacts:
    """Return the facts about the data set of that name; if nothing is known, only its name.

    Raises:
        ValueError: A plug-in brings the data set and is broken; the message names the package.
    """
    facts = data_sets[name].facts if name in data_sets else None
    if facts is not None:
        return facts
    hub_id, _, _ = name.removeprefix(PREFIX).partition(":")
    on_hub = name.startswith(PREFIX) and re.fullmatch(r"[\w.-]+/[\w.-]+", hub_id, re.ASCII) is not None
    code = " ".join(name.replace("`", "'").split())
    return DataFacts(title=f"`{code}`", known=False, hub_id=hub_id if on_hub else None)
