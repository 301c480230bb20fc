"""What the commands share: arguments, tables, progress."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, TaskID

    from mrvae_zoo.models.curve import RDCurve
    from mrvae_zoo.training.run_folder import Progress


BATCH = 32  # images that a command holds at once
NARROW = 80  # columns of a terminal, below which there is no room for a bar beside the figures
BAR = 20  # columns


class DeviceOption(StrEnum):
    """The values of --device."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class BinarizeOption(StrEnum):
    """The values of --binarize."""

    none = "none"
    static = "static"


NAME_HELP = "The model: a name from `mrvae list`, the folder of a model, or hf-hub:ORG/NAME[@REVISION]."
Name = Annotated[str, typer.Argument(metavar="NAME", help=NAME_HELP)]
OptionalName = Annotated[str | None, typer.Argument(metavar="[NAME]", help=NAME_HELP)]
Trainable = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="What to train: a recipe file (.toml), a name from `mrvae list`, or any other model."
    ),
]
Images = Annotated[
    list[Path],
    typer.Argument(metavar="IMAGES...", help="Image files in any format that Pillow reads, or folders of them."),
]
ImageOutput = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE", help="The picture to write; its suffix is the format: .png, .jpg, .webp."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the recipe, such as training.epochs=3. May be repeated."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an output that exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="The seed of everything that is drawn.", min=0, max=2**31 - 1)
]
DataRoot = Annotated[
    Path, typer.Option("--data-root", metavar="DIR", help="The folder that holds the data sets, a folder each.")
]
Device = Annotated[
    DeviceOption,
    typer.Option("--device", help="Where to compute. auto is the GPU, if there is one."),
]


MeasuredOn = Annotated[
    str | None,
    typer.Option("--data", metavar="SET", help="The data set to measure on. Default: the one of the published curve."),
]
Binarize = Annotated[
    BinarizeOption | None,
    typer.Option("--binarize", help="How to binarize --data. static draws every pixel once, as 0 or 1."),
]
LookedAt = Annotated[
    float | None,
    typer.Option("--beta", metavar="B", help="The β to look at. Default: 1, or what the model has next to it."),
]


def batches(count: int) -> list[int]:
    """Return how many images to hold at once, batch by batch, up to `count` in total."""
    return [min(BATCH, count - at) for at in range(0, count, BATCH)]


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    typer.echo(json.dumps(value, indent=1))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Print a table on stdout, with the first columns aligned left and the others right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    for row in (header, *rows):
        cells = [
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())


def print_curve(curve: "RDCurve") -> None:
    """Print a curve as a table on stdout, with a column for each further figure that a point has."""
    columns = curve.columns()
    print_table(list(columns), list(zip(*columns.values(), strict=True)))


def say(message: str) -> None:
    """Print a line on stderr, above a progress bar if there is one."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


@contextmanager
def progress_bar(*columns: "ProgressColumn | str", keep: bool) -> Iterator[Callable[..., None]]:
    """Show a progress bar on stderr that appears with the first update; yields the function that updates it.

    With `keep` its last state stays, even if stderr is a file; without, it leaves no trace. A narrow terminal gets the
    figures without the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress

    console = Console(stderr=True)
    shown = columns if console.width < NARROW else (*columns[:1], BarColumn(BAR), *columns[1:])
    bar = Progress(*shown, console=console, transient=not keep, disable=not (keep or console.is_terminal))
    task: list[TaskID] = []

    def update(**fields: Any) -> None:
        if not task:
            bar.start()
            task.append(bar.add_task("", **fields))
        bar.update(task[0], **fields)

    try:
        yield update
    finally:
        if task:
            bar.stop()


@contextmanager
def training_bar(*, keep: bool = False) -> "Iterator[Callable[[Progress], None]]":
    """Show a progress bar for a training; yields the function that takes each line of its metrics.

    L is measured on the validation split if the recipe validates, and otherwise on some training images.
    """
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    figures = ("{task.fields[losses]}", "{task.fields[speed]:.3g}/s")
    columns = (MofNCompleteColumn(), *figures, TimeRemainingColumn(compact=True))
    shown, began = "", (0, 0.0)
    with progress_bar(*columns, keep=keep) as update:

        def report(at: "Progress") -> None:
            nonlocal shown, began
            looked = at.validation or at.losses
            if looked is not None:
                if not shown:
                    on = "the validation split" if at.validation else "some training images"
                    say(f"L in nats per image on {on}, at β = {', '.join(looked)}:")
                shown = "L " + " ".join(f"{loss:.4g}" for loss in looked.values())
            if not began[1]:
                began = (at.step, at.seconds)
            steps, seconds = at.step - began[0], at.seconds - began[1]
            speed = steps / seconds if steps and seconds else at.step / max(at.seconds, 0.01)
            update(completed=at.step, total=at.steps, losses=shown, speed=speed)

        yield report


@contextmanager
def measuring(what: str = "measuring the curve") -> Iterator[Callable[[float], None]]:
    """Show a progress bar for what is done; yields the function that takes the share done."""
    from rich.progress import TimeRemainingColumn

    columns = (what, "{task.percentage:>3.0f}%", TimeRemainingColumn(compact=True))
    with progress_bar(*columns, keep=False) as update:
        yield lambda share: update(completed=share, total=1.0)
