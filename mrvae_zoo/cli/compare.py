"""The command `mrvae compare`."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    print_json,
    print_table,
    say,
    training_bar,
)
from mrvae_zoo.common.environment import process_count

if TYPE_CHECKING:
    from mrvae_zoo.comparison.record import AtBudget, ComparisonRecord


class RegimeOption(StrEnum):
    """The values of --regime."""

    short = "short"
    long = "long"
    converged = "converged"


def compare(
    name: Trainable,
    data_root: DataRoot,
    betas: Annotated[
        int, typer.Option("--betas", metavar="N", help="The number of β, log-spaced over the range.", min=2)
    ] = 10,
    budget: Annotated[
        list[float] | None,
        typer.Option(
            "--budget",
            metavar="X",
            help="The compute of the Multi-Rate VAE, as a multiple of one β-VAE run. May be repeated. Default: 1.",
        ),
    ] = None,
    regime: Annotated[
        RegimeOption,
        typer.Option(
            "--regime",
            help="The regime: long keeps the best weights of every training on validation data. converged also checks "
            "that twice the epochs change no β-VAE by 0.5%.",
        ),
    ] = RegimeOption.short,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            metavar="GATING",
            help="Also train this gating, such as paper, with draws of β tuned for it. May be repeated.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", help="The number of seeds, from the seed of the recipe on.", min=1)
    ] = 1,
    learning_rate: Annotated[
        list[float] | None,
        typer.Option(
            "--learning-rate",
            metavar="RATE",
            help="A learning rate to try first. May be repeated. Default: five around that of the recipe.",
        ),
    ] = None,
    tune_at: Annotated[
        int | None,
        typer.Option(
            "--tune-at",
            metavar="N",
            help="Choose the learning rate of the β-VAEs at N of the β, and interpolate between. Default: at each.",
            min=2,
        ),
    ] = None,
    draws: Annotated[int, typer.Option("--draws", metavar="N", help="Draws of z per test image and β.", min=1)] = 32,
    runs: Annotated[
        Path | None, typer.Option("--runs", metavar="DIR", help="The folder to train in. Default: runs/NAME.")
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The folder for the JSON file and the plot. Default: the current one."
        ),
    ] = Path(),
    processes: Annotated[
        int,
        typer.Option(
            "--processes",
            metavar="N",
            help="The number of processes that train at once, one thread each on a CPU.",
            min=1,
        ),
    ] = 1,
    overrides: Overrides = None,
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Train a Multi-Rate VAE and one β-VAE for each of several β, and say how far apart they are at equal compute.

    This takes many trainings. After an interruption the same command continues where it stopped.
    """
    from mrvae_zoo.common.devices import find_device
    from mrvae_zoo.common.files import check_output, write_atomically
    from mrvae_zoo.comparison.compare import compare as run_comparison
    from mrvae_zoo.comparison.interval import check_scipy
    from mrvae_zoo.comparison.plan import Plan, with_validation
    from mrvae_zoo.comparison.plot import draw_comparison
    from mrvae_zoo.comparison.runs import Runs
    from mrvae_zoo.data.sets import load_data
    from mrvae_zoo.evaluation.plots import check_matplotlib
    from mrvae_zoo.hub.load import locate_recipe
    from mrvae_zoo.training.recipe import read_recipe

    if process_count() > 1:
        raise typer.BadParameter("start compare without torchrun or accelerate launch; see --processes.")
    called = _short_name(name)
    file = output / f"compare_{called}_{regime.value}.json"
    for path in (file, file.with_suffix(".png")):
        check_output(path, force=force)
    check_matplotlib()
    if seeds > 1:
        check_scipy()
    find_device(device.value)
    recipe = read_recipe(Path(name) if name.endswith(".toml") else locate_recipe(name), overrides or ())
    recipe = with_validation(recipe, data_root)
    train_data = load_data(recipe.data, "train", data_root, recipe.model.input_shape)
    plan = Plan(
        recipe=recipe,
        beta_count=betas,
        budgets=tuple(sorted({*(budget or (1.0,))})),
        regime=regime.value,
        arms=tuple(arm or ()),
        seed_count=seeds,
        learning_rates=tuple(learning_rate or ()),
        examples=len(train_data),
        shape=train_data.shape,
        tune_at=tune_at,
        device=device.value,
    )
    folder = Path("runs") / called if runs is None else runs
    if runs is not None:
        check_output(runs, force=True)
    folder.mkdir(parents=True, exist_ok=True)
    trainings = Runs(
        folder=folder,
        data_root=data_root,
        data=recipe.data,
        shape=recipe.model.input_shape,
        total=plan.total,
        device=device.value,
        processes=processes,
        bar=training_bar,
        measuring_bar=measuring,
    )
    try:
        record = run_comparison(plan, trainings, name=called, draws=draws)
    except KeyboardInterrupt:
        say("the same command continues from here")
        raise
    write_atomically(file, record.to_json())
    write_atomically(file.with_suffix(".png"), draw_comparison(record))
    if json:
        print_json(record.to_plain())
    else:
        _print_record(record)
    say(f"wrote {file} and {file.with_suffix('.png').name}")


def _short_name(name: str) -> str:
    """Return the name of the result of a recipe: its name in the registry, or that of its file or folder."""
    from mrvae_zoo.checkpoints.sources import HUB
    from mrvae_zoo.common.layout import RECIPE

    last = name.rstrip("/").rpartition(":")[2]
    path = Path(last.partition("@")[0] if name.startswith(HUB) else last)
    if path.name == RECIPE:
        path = path.resolve().parent
    return path.name.removesuffix(".toml") or "model"


def _print_record(record: "ComparisonRecord") -> None:
    """Print a table with one line per β, a table with one line per budget if there are several, and a summary."""
    intervals = record.mrvae.gap_interval
    header = ["beta", "L dedicated", "L MR-VAE", "gap", "95% interval"]
    columns = [
        [f"{beta:g}" for beta in record.betas],
        [f"{loss:.2f}" for loss in record.dedicated.L],
        [f"{loss:.2f}" for loss in record.mrvae.L],
        [f"{gap:+.2%}" for gap in record.mrvae.gap],
        ["one training each"] * len(record.betas)
        if intervals is None
        else [f"{low:+.2%} to {high:+.2%}" for low, high in intervals],
    ]
    other = "" if record.arms_budget == record.budget else f" (budget {record.arms_budget:g})"
    for name, arm in record.arms.items():
        header += [f"L {name}{other}", f"gap {name}{other}"]
        columns += [[f"{loss:.2f}" for loss in arm.L], [f"{gap:+.2%}" for gap in arm.gap]]
    print_table(header, list(zip(*columns, strict=True)))
    if record.budgets is not None:
        _print_budgets(record, record.budgets)
    worst = max(zip(record.mrvae.gap, record.betas, strict=True))
    which = "" if record.budgets is None else f"budget {record.budget:g}: "
    typer.echo(f"{which}mean gap {record.mrvae.mean_gap:+.2%}, worst {worst[0]:+.2%} at beta {worst[1]:g}")
    if record.doubling is not None and record.mrvae_doubling is not None:
        gains = ", ".join(f"{each.improvement:+.2%} at beta {each.beta:g}" for each in record.doubling)
        twice = record.mrvae_doubling
        typer.echo(
            f"{record.reached}: twice the epochs improve the β-VAEs by {gains}, and the Multi-Rate VAE by "
            f"{twice.mean:+.2%} on average and {twice.worst:+.2%} at most"
        )
    _print_cost(record)


def _print_cost(record: "ComparisonRecord") -> None:
    """Print a line on the cost of both sides."""
    cost, number = record.cost, len(record.betas)
    ours, theirs = cost.mrvae, cost.dedicated
    text = (
        f"cost {ours.flops / theirs.flops:.3f} of the FLOPs of the {number} dedicated trainings, "
        f"{ours.seconds:,.0f} seconds to their {theirs.seconds:,.0f} on {cost.device}"
    )
    if ours.step is not None and theirs.step is not None and None not in (ours.step.operations, theirs.step.operations):
        text += f"; {ours.step.operations:,.0f} operations per step to {theirs.step.operations:,.0f}"
    typer.echo(text)


def _print_budgets(record: "ComparisonRecord", budgets: "Sequence[AtBudget]") -> None:
    """Print the mean and worst gap of each budget, and the worst on the validation split, which chose among them."""
    rows = []
    for each in budgets:
        worst, beta = max(zip(each.gap, record.betas, strict=True))
        row = (f"{each.budget:g}", f"{each.mean_gap:+.2%}", f"{worst:+.2%}", f"{beta:g}")
        rows.append((*row, f"{max(each.validation_gap):+.2%}"))
    print_table(("budget", "mean gap", "worst gap", "at beta", "worst validation gap"), rows)
