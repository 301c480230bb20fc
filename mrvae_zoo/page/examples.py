"""The images that a page begins with: one's own, those that come with the package, or some of a test split.

Letters: N images, C, H, W image.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrvae_zoo.common.decoding import find_images
from mrvae_zoo.common.grids import to_pil, to_png
from mrvae_zoo.common.images import Changes, to_tensor
from mrvae_zoo.data.data_set import DataFacts
from mrvae_zoo.data.recipe import Binarization
from mrvae_zoo.data.sets import BINARIZE_SEED, data_facts
from mrvae_zoo.evaluation.published import measured_split
from mrvae_zoo.inference.reconstruction import shown_part
from mrvae_zoo.models.vae import BaseVAE
from mrvae_zoo.page.sheets import evenly, read_sheet, test_title

DRAWABLE = (1, 3)  # channels
PIXELS = 1 << 20  # of the largest image that a page takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An image of a page.

    Attributes:
        x: The image, (C, H, W) in [0, 1].
        title: The name of the image.
        label: The name of its class, if it has one.
        attribution: Who made it and under which licence, if that is not the same for all images.
    """

    x: Tensor
    title: str
    label: str | None = None
    attribution: str | None = None

    def to_png(self) -> bytes:
        """Return the image as a PNG file."""
        return to_png(to_pil(self.x)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedOn:
    """The data that a model was trained on.

    Attributes:
        name: The name of the data set; None if it is not known.
        binarized: Whether every pixel is drawn, black or white.
    """

    name: str | None
    binarized: bool

    @property
    def facts(self) -> DataFacts | None:
        """What is known of the data set."""
        return None if self.name is None else data_facts(self.name)


def trained_on(model: BaseVAE) -> TrainedOn:
    """Return what a model says of its data: in its recipe, or else with its curve."""
    said: dict[str, Any] = {} if model.curve is None else model.curve.data
    if model.recipe is not None:
        said = tomllib.loads(model.recipe).get("data", said)
    name = said.get("name")
    return TrainedOn(name=name if isinstance(name, str) else None, binarized=said.get("binarize", "none") != "none")


def check_drawable(model: BaseVAE) -> None:
    """Raise a ValueError if the images of a model cannot be shown."""
    if model.input_shape[0] not in DRAWABLE:
        raise ValueError(f"this model takes images of {model.input_shape[0]} channels; a page shows those of 1 or 3")


def find_examples(model: BaseVAE, *, images: Path | None, data_root: Path | None) -> list[Example]:
    """Return up to a dozen images for the page of a model.

    Args:
        model: The model, which takes images of one or three channels.
        images: A folder of images to take instead of test images.
        data_root: The folder that holds the data sets, for test images that do not come with the package.

    Raises:
        ValueError: There is no way to get images, or an image cannot be used; the message says what to pass.
        FileNotFoundError: The folder or the data set is missing.
    """
    if images is not None:
        return own_examples(model, images)
    data = trained_on(model)
    sheet = None if data.name is None else read_sheet(data.name)
    if sheet is not None:
        x = to_tensor(sheet.images, model.input_shape, Changes())
        x = _drawn(x) if data.binarized else x
        return [
            Example(x=one, title=title, label=label, attribution=attribution)
            for one, title, label, attribution in zip(x, sheet.titles, sheet.labels, sheet.attributions, strict=True)
        ]
    if data_root is not None and data.name is not None:
        binarize: Binarization | None = "static" if data.binarized else None
        split = measured_split(model, data_root, data_name=data.name, binarize=binarize)
        indices = evenly(len(split))
        (read,) = split.read([torch.tensor(indices, device="cpu")])
        x = shown_part(model, split.prepare(read))
        return [Example(x=one, title=test_title(index)) for one, index in zip(x, indices, strict=True)]
    if data.name is None:
        raise ValueError("this model does not say what it was trained on; pass a folder of images (--images FOLDER)")
    raise ValueError(
        f"no test images of {data.name} come with mrvae_zoo; pass the folder that holds the data sets "
        "(--data-root DIR), or a folder of images (--images FOLDER)"
    )


def own_examples(model: BaseVAE, folder: Path) -> list[Example]:
    """Return a dozen images of a folder, as the model takes them; errors are those of `find_examples`."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of images")
    paths = find_images(folder)
    if not paths:
        raise ValueError(f"{folder} holds no images")
    examples = []
    for index in evenly(len(paths)):
        x = to_tensor(paths[index], model.input_shape)[0]
        if model.config.spatial:
            _check_size(paths[index], x, smallest=2 * model.stride)
        examples.append(Example(x=x, title=paths[index].stem))
    return examples


def _check_size(path: Path, x: Tensor, *, smallest: int) -> None:
    """Raise a ValueError if a page cannot take an image (C, H, W) of this size."""
    height, width = x.shape[1:]
    if min(height, width) < smallest or height * width > PIXELS:
        raise ValueError(
            f"{path} has {width}×{height} pixels; a page takes images of at least {smallest} each way and of up to "
            f"{PIXELS:,} in all"
        )


def _drawn(x: Tensor) -> Tensor:
    """Draw every pixel, black or white, as the data that a model was measured on are."""
    return torch.bernoulli(x, generator=torch.Generator().manual_seed(BINARIZE_SEED))
