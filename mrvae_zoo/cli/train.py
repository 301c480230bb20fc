"""The command `mrvae train`."""

import shlex
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import (
    DataRoot,
    Device,
    DeviceOption,
    Force,
    Json,
    Overrides,
    Trainable,
    measuring,
    print_curve,
    print_json,
    print_table,
    say,
    training_bar,
)
from mrvae_zoo.common.environment import is_main_process

DIFFUSERS = "diffusers:"


class SplitOption(StrEnum):
    """The values of --split."""

    test = "test"
    valid = "valid"


def train(
    name: Trainable,
    data_root: DataRoot,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="RUN", help="The folder to write the states, metrics and model into."),
    ],
    overrides: Overrides = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="NAME",
            help="Start from the weights of this model, or of an AutoencoderKL: diffusers:FOLDER_OR_REPOSITORY.",
        ),
    ] = None,
    split: Annotated[
        SplitOption, typer.Option("--split", help="The split to measure the curve on at the end.")
    ] = SplitOption.test,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds",
            metavar="N",
            help="Train with N seeds, from the recipe's on; several are written to RUN/seed-0, RUN/seed-1 and so on.",
            min=1,
        ),
    ] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training in RUN.")] = False,
    track: Annotated[
        list[str] | None,
        typer.Option("--track", metavar="TRACKER", help="Log to tensorboard or wandb. May be repeated."),
    ] = None,
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Train a model as its recipe says, and measure its rate-distortion curve.

    RUN then holds the model, its recipe, curve.png and reconstructions.png, and every command takes RUN as a NAME.
    """
    from mrvae_zoo.checkpoints.registry import list_models
    from mrvae_zoo.common.layout import RECIPE
    from mrvae_zoo.hub.load import locate_recipe
    from mrvae_zoo.training.recipe import read_recipe
    from mrvae_zoo.training.run_folder import check_run, is_finished
    from mrvae_zoo.training.seeds import spread, train_seeds
    from mrvae_zoo.training.side_by_side import Options, train_alone
    from mrvae_zoo.training.stacks import Job

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
    start, folder = (None, None) if init is None else _start(init)
    with training_bar(keep=True) as report:
        options = Options(
            data_root=data_root,
            init=folder,
            init_name=start,
            resume=resume,
            force=force,
            trackers=track or (),
            split=split.value,
            device=device.value,
            pictures=True,
            report=report,
            measuring=measuring,
        )
        if seeds > 1:
            rows = spread([*train_seeds(recipe, output, seeds, options).values()])
        else:
            curve = train_alone(Job(recipe=recipe, run=output), options).require_curve()
    if not is_main_process():
        return
    if seeds > 1:
        if json:
            print_json([asdict(row) for row in rows])
        else:
            header = ("beta", "L, mean", "deviation", *(f"seed {recipe.training.seed + n}" for n in range(seeds)))
            figures = ([row.mean, row.deviation, *row.losses] for row in rows)
            cells = [[f"{figure:.2f}" for figure in each] for each in figures]
            print_table(header, [(f"{row.beta:g}", *each) for row, each in zip(rows, cells, strict=True)])
    elif json:
        print_json(curve.to_plain())
    else:
        print_curve(curve)
    if not finished:
        say(f"wrote {output}")
    run = output / f"seed-{recipe.training.seed}" if seeds > 1 else output
    at = shlex.quote(str(run))
    say(f"use it with: mrvae reconstruct {at} IMAGES -o grid.png, or mrvae_zoo.load_pretrained({str(run)!r})")


def _start(init: str) -> tuple[str, Path]:
    """Return the source of the initial weights in the form that is recorded, and its folder, downloaded if need be."""
    if init.startswith(DIFFUSERS):
        from mrvae_zoo.diffusers.stock import autoencoder_class, exact_name, locate

        autoencoder_class()  # whose absence is an error before anything is downloaded
        name = init.removeprefix(DIFFUSERS)
        folder = locate(name)
        return f"{DIFFUSERS}{exact_name(name, folder)}", folder
    from mrvae_zoo.checkpoints.sources import LOCAL
    from mrvae_zoo.hub.load import as_source, exact, locate_checkpoint

    source = as_source(init)
    source = source if source.startswith(LOCAL) else exact(source)  # with its commit, where it has one
    return source, locate_checkpoint(source)
