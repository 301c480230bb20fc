"""Writing a recipe for a folder of images, chosen by looking at them.

Letters: C, H, W image.
"""

import json
import math
import shlex
import statistics
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mrvae_zoo.common.decoding import open_image
from mrvae_zoo.common.devices import find_device
from mrvae_zoo.common.images import to_bytes
from mrvae_zoo.data.folders import holds_npz, load_own, registered_like, split_folder
from mrvae_zoo.data.recipe import Split
from mrvae_zoo.data.sets import data_sets
from mrvae_zoo.errors import name_some
from mrvae_zoo.models.factory import build_model
from mrvae_zoo.training.batches import count_steps
from mrvae_zoo.training.provenance import format_seconds
from mrvae_zoo.training.recipe import Recipe, TrainingRecipe, recipe_from_table
from mrvae_zoo.training.schedule import make_optimizer

if TYPE_CHECKING:
    from PIL import Image


LOOKED_AT = 1000  # images at most, spread over the folder
SIDES = (16, 32, 64)  # side of the square that mixed or larger images are resized to
SMALLEST_OWN_SIDE = 8  # images of one size keep it where no side is shorter than this or longer than the last of SIDES
GREY_LEVELS = 2  # of 255: how far channels may differ in a grey image
DARK, BRIGHT = 25, 230  # of 255: nearly black and nearly white
BINARY_SHARE = 0.85  # share of such pixels above which images count as nearly binary
STEPS = 10_000  # steps of a worthwhile training
EPOCHS = (10, 1000)
FEWEST_TO_VALIDATE = 20  # training images; with fewer, none is held out
VALID_SHARE = 10  # one in so many training images is held out for validation
LOOKS, PATIENCE = 50, 8  # validations in the whole training, and how many may fail to improve
TIMED_BATCH = 16  # images of a step that is timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was found in a folder.

    Attributes:
        counts: The number of images in each split, with "valid" if the folder has a validation split.
        sizes: The size (H, W) of each image that was looked at.
        unreadable: The names of the images that were looked at and cannot be read.
        shape: The shape (C, H, W) to train at.
        binary: The share of pixels that are nearly black or white.
    """

    counts: dict[Split, int]
    sizes: tuple[tuple[int, int], ...]
    unreadable: tuple[str, ...]
    shape: tuple[int, int, int]
    binary: float

    @property
    def likelihood(self) -> str:
        """The likelihood that suits the images."""
        return "bernoulli" if self.shape[0] == 1 and self.binary > BINARY_SHARE else "gaussian"

    @property
    def held_out(self) -> int:
        """The number of training images to validate on: 0 if the folder has a validation split, or few images."""
        enough = "valid" not in self.counts and self.counts["train"] >= FEWEST_TO_VALIDATE
        return self.counts["train"] // VALID_SHARE if enough else 0

    @property
    def epochs(self) -> int:
        """The number of epochs that takes about STEPS steps at the usual batch size, to two digits."""
        left = self.counts["train"] - self.held_out
        each = max(1, left // TrainingRecipe(epochs=1).batch_size)
        wanted = STEPS / each
        return max(EPOCHS[0], min(EPOCHS[1], int(float(f"{wanted:.1e}"))))

    @property
    def steps(self) -> int:
        """The number of steps in these epochs."""
        return count_steps(TrainingRecipe(epochs=self.epochs), self.counts["train"] - self.held_out)

    @property
    def validates(self) -> bool:
        """Whether there are images to validate on."""
        return self.held_out > 0 or "valid" in self.counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A recipe for a folder.

    Attributes:
        text: The text of the recipe file.
        command: The command that trains the recipe.
        reasons: The choices and their reasons, one line per choice.
        seen: What was found in the folder.
        seconds: The approximate longest training time on this machine, in seconds.
    """

    text: str
    command: str
    reasons: dict[str, str]
    seen: Seen
    seconds: float


def look_at(folder: Path) -> Seen:
    """Look at the images of a folder, or of its .npz files: their number, and the sizes and colours of many of them.

    Raises:
        FileNotFoundError: There is no such folder, or one of the two .npz files is missing.
        ValueError: The folder holds no images or only one, or none of those looked at can be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    return _look_at_arrays(folder) if holds_npz(folder) else _look_at_files(folder)


def _look_at_files(folder: Path) -> Seen:
    splits = split_folder(folder)
    paths = [path for part in splits.values() for path in part]
    sizes, colours, binary, unreadable, fault = [], [], [], [], ""
    for path in paths[:: math.ceil(len(paths) / LOOKED_AT)]:
        try:
            image = open_image(path)
        except (ValueError, OSError) as error:
            fault = fault or str(error)
            unreadable.append(str(path.relative_to(folder)))
            continue
        sizes.append((image.height, image.width))
        small = _small(image, str(path))
        colours.append(bool((small.amax(0).int() - small.amin(0).int() > GREY_LEVELS).any()))
        binary.append(_binary_share(small))
    if not sizes:
        raise ValueError(f"{folder}: none of {len(unreadable)} images can be read; {fault}")
    return Seen(
        counts={split: len(part) for split, part in splits.items()},
        sizes=tuple(sizes),
        unreadable=tuple(unreadable),
        shape=(3 if any(colours) else 1, *_size(sizes)),
        binary=statistics.mean(binary),
    )


def _look_at_arrays(folder: Path) -> Seen:
    whole = folder.resolve()
    splits: dict[Split, Tensor] = {}
    names: tuple[Split, ...] = ("train", "test", "valid")
    for split in names:
        if split != "valid" or (folder / "valid.npz").is_file():
            loaded = load_own(whole.parent, whole.name, split, list(data_sets))
            assert isinstance(loaded, Tensor)  # of an .npz
            splits[split] = loaded
    images = splits["train"]
    channels, height, width = images.shape[1:]
    some = images[:: math.ceil(len(images) / LOOKED_AT)]
    return Seen(
        counts={split: len(part) for split, part in splits.items()},
        sizes=((height, width),),
        unreadable=(),
        shape=(channels, height, width),
        binary=_binary_share(some),
    )


def _small(image: "Image.Image", name: str) -> Tensor:
    """Return an image in colour, no larger than the largest size to train at."""
    return to_bytes(image, (3, min(image.height, SIDES[-1]), min(image.width, SIDES[-1])), name=name)


def _binary_share(images: Tensor) -> float:
    return float(((images <= DARK) | (images >= BRIGHT)).float().mean())


def write_recipe(folder: Path, file: str) -> Written:
    """Write a recipe for a folder of images; `file` is the name that it will be saved under.

    Raises:
        FileNotFoundError: A folder or file is missing; see `look_at`.
        ValueError: The folder holds too few images, or its name cannot be that of a data set.
    """
    whole = folder if folder.name not in ("", "..") else folder.resolve()
    name = whole.name
    if taken := registered_like(name, list(data_sets)):
        raise ValueError(f"{folder}: data.name = {name!r} would mean the data set {taken}; rename the folder")
    if not (name and name.isprintable()):
        raise ValueError(f"{folder}: {name!r} cannot be the name of a data set; rename the folder")
    seen = look_at(folder)
    keys: dict[str, object] = {
        "model.architecture": "mrvae_resnet",
        "model.input_shape": list(seen.shape),
        "model.likelihood": seen.likelihood,
        "data.name": name,
        "training.epochs": seen.epochs,
    }
    if seen.held_out:
        keys["data.held_out"] = seen.held_out
    if seen.validates:
        keys |= {"training.validate_every": max(1, seen.steps // LOOKS), "training.patience": PATIENCE}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]
    recipe = recipe_from_table(tomllib.loads("\n".join(lines)), where=file)
    seconds = seen.steps * seconds_of_step(recipe)
    command = f"mrvae train {shlex.quote(file)} --data-root {shlex.quote(str(whole.parent))} -o RUN"
    reasons = dict(_reasons(seen, seconds))
    comment = [f"# {command}", "#", *(f"# {choice}: {why}" for choice, why in reasons.items())]
    text = "\n".join((*comment, "", *lines, ""))
    return Written(text=text, command=command, reasons=reasons, seen=seen, seconds=seconds)


def _reasons(seen: Seen, seconds: float) -> Iterator[tuple[str, str]]:
    """Yield each choice and its reason."""
    counts, channels = seen.counts, seen.shape[0]
    looked_at = len(seen.sizes) + len(seen.unreadable)
    if seen.unreadable:
        of = "" if looked_at >= sum(counts.values()) else f" of the {looked_at:,} looked at"
        yield "left out", f"{len(seen.unreadable)}{of} cannot be read: {name_some(seen.unreadable)}"
    valid = counts.get("valid", seen.held_out)
    held = f", {valid:,} to validate on" if valid else ", none to validate on (fewer than 20 images)"
    yield "images", f"{counts['train'] - seen.held_out:,} to train on{held}, {counts['test']:,} to test on"
    low, high = min(seen.sizes, key=math.prod), max(seen.sizes, key=math.prod)
    sizes = f"{low[1]}×{low[0]}" + (f" to {high[1]}×{high[0]}" if low != high else "")
    same = {seen.shape[1:]} == {*seen.sizes}
    why = "" if same else "; they are resized to this, because larger ones take longer to train"
    yield f"input_shape {list(seen.shape)}", f"the images are {sizes}, {'in colour' if channels == 3 else 'grey'}{why}"
    shades = "nearly black or white" if seen.likelihood == "bernoulli" else "of many shades"
    yield f"likelihood {seen.likelihood}", f"the pixels are {shades}"
    stops = f", or fewer: it stops after {PATIENCE} validations without a lower loss, and keeps the best weights"
    yield f"epochs {seen.epochs}", f"{seen.steps:,} steps{stops if seen.validates else ''}"
    machine = find_device("auto").type
    yield "time", f"at most about {format_seconds(seconds)} on this machine ({machine}), and then the curve"


def seconds_of_step(recipe: Recipe) -> float:
    """Estimate the duration of a training step on this machine by trying two small steps."""
    device = find_device("auto")
    with torch.random.fork_rng():
        model = build_model(recipe.model).to(device).train()
        optimizer = make_optimizer(model.parameters(), recipe.training)
        x = torch.rand(TIMED_BATCH, *_sides(recipe), device=device)
        low, high = recipe.model.beta_range
        beta = torch.full((TIMED_BATCH,), math.sqrt(low * high), device=device)
        seconds = []
        for _ in range(3):  # the first one warms up
            began = time.perf_counter()
            out = model(recipe.model.to_data_range(x), beta)
            (out.distortion + beta * out.rate).mean().backward()
            optimizer.step()
            next(model.parameters()).sum().item()  # a GPU works on after the call
            seconds.append(time.perf_counter() - began)
    return min(seconds[1:]) * recipe.training.batch_size / TIMED_BATCH


def _sides(recipe: Recipe) -> tuple[int, ...]:
    return tuple(side for side in recipe.model.input_shape if side is not None)


def _size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    if len(set(sizes)) == 1 and all(SMALLEST_OWN_SIDE <= side <= SIDES[-1] for side in sizes[0]):
        return sizes[0]
    typical = statistics.median(min(size) for size in sizes)
    side = max((side for side in SIDES if side <= typical), default=SIDES[0])
    return side, side
