"""A recipe for a folder of one's own images, chosen by looking at some of them.

Letters: C, H, W image.
"""

import json
import math
import shlex
import statistics
import tomllib
from dataclasses import dataclass
from pathlib import Path

from mrvae_zoo.common.decoding import open_image
from mrvae_zoo.common.images import to_bytes
from mrvae_zoo.data.folders import registered_like, split_folder
from mrvae_zoo.data.sets import data_sets
from mrvae_zoo.training.recipe import TrainingRecipe, recipe_from_table

LOOKED_AT = 200  # images at most, spread over the folder
SIDES = (16, 32, 64)  # of the square that images of several or larger sizes become
SMALLEST_OWN_SIDE = 8  # images of one size keep it where no side is shorter than this or longer than the last of SIDES
GREY_LEVELS = 2  # of 255, by which channels may differ in an image that is grey
DARK, BRIGHT = 25, 230  # of 255, nearly black and nearly white
BINARY_SHARE = 0.85  # of such pixels, above which images are nearly binary
STEPS = 10_000  # of a training that is worth its while
EPOCHS = (10, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of a folder.

    Attributes:
        train: images in the training split.
        test: images in the test split.
        sizes: (H, W) of those looked at.
        shape: (C, H, W) to train at.
        binary: the share of their pixels that are nearly black or white.
    """

    train: int
    test: int
    sizes: tuple[tuple[int, int], ...]
    shape: tuple[int, int, int]
    binary: float

    @property
    def likelihood(self) -> str:
        """The one that suits the images."""
        return "bernoulli" if self.shape[0] == 1 and self.binary > BINARY_SHARE else "gaussian"

    @property
    def epochs(self) -> int:
        """About as many as STEPS take at the usual batch size, to two digits."""
        each = max(1, self.train // TrainingRecipe(epochs=1).batch_size)
        wanted = STEPS / each
        return max(EPOCHS[0], min(EPOCHS[1], int(float(f"{wanted:.1e}"))))

    def __str__(self) -> str:
        low, high = min(self.sizes, key=math.prod), max(self.sizes, key=math.prod)
        sizes = f"{low[1]}×{low[0]}" + (f" to {high[1]}×{high[0]}" if low != high else "")
        kind = "colour" if self.shape[0] == 3 else "grey, nearly binary" if self.likelihood == "bernoulli" else "grey"
        return f"{self.train} images to train on and {self.test} to test on, {kind}, {sizes}"


def look_at(folder: Path) -> Seen:
    """Look at the images of a folder: their number, and sizes, colours and greys of some.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there are no images in it, or only one, or none of those looked at can be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    splits = split_folder(folder)
    paths = [*splits["train"], *splits["test"]]
    step = math.ceil(len(paths) / LOOKED_AT)
    sizes, colours, binary, faults = [], [], [], []
    for path in paths[::step]:
        try:
            image = open_image(path)
        except (ValueError, OSError) as error:
            faults.append(str(error))
            continue
        sizes.append((image.height, image.width))
        small = to_bytes(image, (3, min(image.height, SIDES[-1]), min(image.width, SIDES[-1])), name=str(path))
        colours.append(bool((small.amax(0).int() - small.amin(0).int() > GREY_LEVELS).any()))
        binary.append(float(((small <= DARK) | (small >= BRIGHT)).float().mean()))
    if not sizes:
        raise ValueError(f"{folder}: none of {len(faults)} images can be read; {faults[0]}")
    return Seen(
        train=len(splits["train"]),
        test=len(splits["test"]),
        sizes=tuple(sizes),
        shape=(3 if any(colours) else 1, *_size(sizes)),
        binary=statistics.mean(binary),
    )


def write_recipe(folder: Path, file: str) -> str:
    """The text of a recipe for a folder of images, to be kept in a file of that name.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there are too few images in it, or its name cannot be that of a data set.
    """
    whole = folder if folder.name not in ("", "..") else folder.resolve()
    name = whole.name
    if taken := registered_like(name, list(data_sets)):
        raise ValueError(f"{folder}: data.name = {name!r} would mean the data set {taken}; rename the folder")
    if not (name and name.isprintable()):
        raise ValueError(f"{folder}: {name!r} cannot be the name of a data set; rename the folder")
    seen = look_at(folder)
    command = f"mrvae train {shlex.quote(file)} --data-root {shlex.quote(str(whole.parent))} -o RUN"
    text = "\n".join(
        (
            f"# {command}",
            "#",
            f"# {seen}.",
            "",
            'model.architecture = "mrvae_resnet"',
            f"model.input_shape = {list(seen.shape)}",
            f'model.likelihood = "{seen.likelihood}"',
            f"data.name = {json.dumps(name, ensure_ascii=False)}",
            f"training.epochs = {seen.epochs}",
            "",
        )
    )
    recipe_from_table(tomllib.loads(text), where=file)
    return text


def _size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    if len(set(sizes)) == 1 and all(SMALLEST_OWN_SIDE <= side <= SIDES[-1] for side in sizes[0]):
        return sizes[0]
    typical = statistics.median(min(size) for size in sizes)
    side = max((side for side in SIDES if side <= typical), default=SIDES[0])
    return side, side
