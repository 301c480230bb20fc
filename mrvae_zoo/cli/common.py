"""What commands share: arguments, tables, progress."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, TaskID

    from mrvae_zoo.models.curve import RDCurve


BATCH = 32  # images that a command holds at once

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A name of the registry, local-dir:PATH or hf-hub:ORG/NAME\\[@REVISION].")
]
Images = Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Images in any format that Pillow reads.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write.")]
ImageOutput = Annotated[
    Path, typer.Option("--output", "-o", help="The image to write, in the format of its suffix: .png, .jpg, .webp.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an output that exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Seed = Annotated[int, typer.Option("--seed", help="Of what is drawn.", min=0, max=2**31 - 1)]
DataRoot = Annotated[Path, typer.Option("--data-root", help="The folder that holds the data sets.")]


def batches(count: int) -> list[int]:
    """How many images to hold at once, until there were `count`."""
    return [min(BATCH, count - at) for at in range(0, count, BATCH)]


def print_json(value: Any) -> None:
    """A value as JSON on stdout."""
    typer.echo(json.dumps(value, indent=1))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout, the first column to the left, the others to the right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    for row in (header, *rows):
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]
        typer.echo("  ".join(cells).rstrip())


def print_curve(curve: "RDCurve") -> None:
    """A curve as a table on stdout, with a column for each further figure that one of its points has."""
    columns = {
        "beta": [f"{p.beta:g}" for p in curve.points],
        "rate": [f"{p.rate:.2f}" for p in curve.points],
        "distortion": [f"{p.distortion:.2f}" for p in curve.points],
        "loss": [f"{p.loss:.2f}" for p in curve.points],
    }
    styles = {
        "samples": "d",
        "active_units": "d",
        "psnr": ".2f",
        "total_correlation": ".2f",
        "mutual_information_gap": ".3f",
    }
    for name, style in styles.items():
        figures = [getattr(p, name) for p in curve.points]
        if any(figure is not None for figure in figures):
            name = {"samples": "draws"}.get(name, name)
            columns[name] = ["" if figure is None else format(figure, style) for figure in figures]
    print_table(list(columns), list(zip(*columns.values(), strict=True)))


def say(message: str) -> None:
    """A line on stderr."""
    typer.echo(message, err=True)


@contextmanager
def progress_bar(*columns: "ProgressColumn | str", keep: bool) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr that appears with the first update; yields the function that updates it.

    With `keep` its last state stays, also where stderr is a file; without, it leaves no trace.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=not keep, disable=not (keep or console.is_terminal))
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
def measuring() -> Iterator[Callable[[float], None]]:
    """A progress bar for a measurement; yields a function that takes the share done."""
    with progress_bar("measuring", "{task.percentage:>3.0f}%", keep=False) as update:
        yield lambda share: update(completed=share, total=1.0)
