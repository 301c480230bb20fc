"""mrvae train."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import DataRoot, Force, Output, print_curve, progress_bar, say
from mrvae_zoo.common.environment import is_main_process


class SplitOption(StrEnum):
    """What --split takes."""

    test = "test"
    valid = "valid"


def train(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A name of the registry, local-dir:PATH, hf-hub:ORG/NAME or a .toml.")
    ],
    data_root: DataRoot,
    output: Output,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Such as training.epochs=2.")
    ] = None,
    init: Annotated[str | None, typer.Option("--init", metavar="SOURCE", help="Start from these weights.")] = None,
    split: Annotated[
        SplitOption, typer.Option("--split", help="What the curve is measured on; the other one is not read for it.")
    ] = SplitOption.test,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest state in RUN.")] = False,
    track: Annotated[
        list[str] | None, typer.Option("--track", metavar="TRACKER", help="tensorboard or wandb; may be repeated.")
    ] = None,
    force: Force = False,
) -> None:
    """Train a model as its recipe says, and measure its curve."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    from mrvae_zoo.checkpoints.registry import list_models
    from mrvae_zoo.checkpoints.sources import LOCAL
    from mrvae_zoo.common.layout import RECIPE
    from mrvae_zoo.hub.load import exact, locate_checkpoint, locate_recipe
    from mrvae_zoo.training.recipe import read_recipe
    from mrvae_zoo.training.run_folder import Progress, check_run, is_finished
    from mrvae_zoo.training.train import train as run_training

    if resume and force:
        raise typer.BadParameter("give --resume or --force, and not both.")
    check_run(output, force=force, resume=resume)
    finished = resume and is_finished(output)
    if Path(name).is_dir() and not (Path(name) / RECIPE).is_file() and name not in list_models():
        raise ValueError(
            f"{name} is a folder; write a recipe for its images first: mrvae init-recipe {shlex.quote(name)}"
        )
    path = Path(name) if name.endswith(".toml") else locate_recipe(name)
    recipe = read_recipe(path, overrides or ())
    start = init if init is None or init.startswith(LOCAL) else exact(init)  # with its commit, where it has one
    fields = "rate {task.fields[rate]:.1f}  distortion {task.fields[distortion]:.1f} nats{task.fields[validation]}"
    with progress_bar(
        "training", BarColumn(), MofNCompleteColumn(), fields, TimeRemainingColumn(), keep=True
    ) as update:
        validation = ""

        def report(at: Progress) -> None:
            nonlocal validation
            if at.validation is not None:
                validation = "  validation " + " ".join(f"{loss:.1f}" for loss in at.validation.values())
            update(completed=at.step, total=at.steps, rate=at.rate, distortion=at.distortion, validation=validation)

        model = run_training(
            recipe,
            data_root,
            output,
            init=None if start is None else locate_checkpoint(start),
            init_name=start,
            resume=resume,
            force=force,
            trackers=track or (),
            split=split.value,
            report=report,
        )
    assert model.curve is not None
    if is_main_process():
        print_curve(model.curve)
        if not finished:
            say(f"wrote {output}")
