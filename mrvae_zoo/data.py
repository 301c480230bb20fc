"""Data sets: decoded once, kept as uint8, turned into a model's input a batch at a time.

Letters: N examples, B batch, C, H, W image.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mrvae_zoo.recipes import Binarization, DataRecipe
from mrvae_zoo.registry import Registry
from mrvae_zoo.sprites import load_sprites

Split = Literal["train", "test"]
BINARIZE_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """A split of a data set.

    Attributes:
        name: of the set.
        split: "train" or "test".
        images: (N, C, H, W) uint8.
        binarize: how the images were or are to be binarised, see `DataRecipe`.
    """

    name: str
    split: Split
    images: Tensor
    binarize: Binarization = "none"

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> "ImageData":
        """The same on another device."""
        return replace(self, images=self.images.to(device))

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The examples `index` (B,) as floats in [0, 1], (B, C, H, W); `generator` draws a dynamic binarisation."""
        x = self.images[index].float() / 255
        return torch.bernoulli(x, generator=generator) if self.binarize == "dynamic" else x

    def batches(self, size: int) -> Iterator[Tensor]:
        """All examples in order."""
        for index in torch.arange(len(self), device=self.images.device).split(size):
            yield self.batch(index)

    def describe(self) -> dict[str, Any]:
        """What a curve that was measured on this says of it."""
        described: dict[str, Any] = {"name": self.name, "split": self.split, "examples": len(self)}
        if self.binarize != "none":
            described |= {"binarize": self.binarize, "binarize_seed": BINARIZE_SEED}
        return described


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A data set by name: `load(root, split)` gives its images, (N, C, H, W) uint8."""

    name: str
    load: Callable[[Path, Split], Tensor]


def load_data(recipe: DataRecipe, split: Split, root: Path) -> ImageData:
    """A split as a recipe wants it: limited (training only), and binarised.

    Where the recipe binarises dynamically, the test split is binarised once, so that a curve can be measured again.

    Args:
        recipe: the [data] of a recipe.
        split: "train" or "test".
        root: the folder of data sets (`--data-root`).

    Raises:
        ValueError: an unknown set, or files that are not what they should be.
        FileNotFoundError: the set is not there; the message says what to put where.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; --data-root is the folder that holds the data sets")
    images = data_sets[recipe.name].load(root, split)
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.ndim != 4 or len(images) == 0:
        given = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"the data set {recipe.name} gave {given}; expected a uint8 tensor (N, C, H, W)")
    if split == "train" and recipe.limit is not None:
        images = images[: recipe.limit]
    data = ImageData(name=recipe.name, split=split, images=images, binarize=recipe.binarize)
    if recipe.binarize == "static" or (recipe.binarize == "dynamic" and split == "test"):
        generator = torch.Generator().manual_seed(BINARIZE_SEED)
        drawn = torch.cat([torch.bernoulli(x.float() / 255, generator=generator) for x in images.split(1000)])
        data = replace(data, images=drawn.byte() * 255, binarize="static")
    return data


def load_mnist(root: Path, split: Split) -> Tensor:
    """MNIST as torchvision keeps it, downloaded where it is not there yet: (60000 or 10000, 1, 28, 28)."""
    from torchvision.datasets import MNIST

    folder = root / "MNIST" / "raw"
    try:
        images: Tensor = MNIST(root, train=split == "train", download=not _complete_mnist(folder)).data
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"MNIST is not in {folder} and could not be downloaded ({str(error).splitlines()[0]}); "
            "put train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
            "t10k-labels-idx1-ubyte there"
        ) from None
    except ValueError as error:
        raise ValueError(f"MNIST in {folder} is damaged: {error}; remove the folder to download it again") from None
    return images.unsqueeze(1)


def load_binarized_mnist(root: Path, split: Split) -> Tensor:
    """MNIST binarised once (Larochelle's files): (50000 or 10000, 1, 28, 28)."""
    return 255 * read_npz(root / "BinarizedMNIST" / f"{split}.npz")


def read_npz(path: Path) -> Tensor:
    """The array `images` of a file, (N, H, W) or (N, C, H, W) uint8 -> (N, C, H, W)."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: an .npz with the key images, uint8 (N, H, W)")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            images = arrays["images"]
    except KeyError:
        raise ValueError(f"{path} has no array named images") from None
    except Exception as error:  # noqa: BLE001 (zipfile, zlib and numpy each have errors of their own for damage)
        raise ValueError(f"{path} cannot be read: {error}") from None
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) == 0:
        raise ValueError(f"{path}: images is {images.dtype} {images.shape}; expected uint8 (N, H, W) or (N, C, H, W)")
    tensor = torch.from_numpy(images)
    return tensor.unsqueeze(1) if tensor.ndim == 3 else tensor


def _complete_mnist(folder: Path) -> bool:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return all((folder / f"{name}-ubyte").is_file() for name in names)


data_sets: Registry[DataSet] = Registry(
    "data set",
    (
        DataSet(name="mnist", load=load_mnist),
        DataSet(name="binarized_mnist", load=load_binarized_mnist),
        DataSet(name="sprites", load=load_sprites),
    ),
    plugins=DataSet,
)
