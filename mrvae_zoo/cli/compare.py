"""mrvae compare."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrvae_zoo.cli.common import (
    DataRoot,
    Force,
    Json,
    measuring,
    print_json,
    print_table,
    progress_bar,
    say,
)
from mrvae_zoo.common.environment import process_count

if TYPE_CHECKING:
    from mrvae_zoo.comparison.record import AtBudget, ComparisonRecord
    from mrvae_zoo.training.run_folder import Progress


class RegimeOption(StrEnum):
    """What --regime takes."""

    short = "short"
    converged = "converged"


def compare(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A name of the registry, local-dir:PATH, hf-hub:ORG/NAME or a .toml.")
    ],
    data_root: DataRoot,
    betas: Annotated[int, typer.Option("--betas", help="How many, log-spaced over the range.", min=2)] = 10,
    budget: Annotated[
        list[float] | None,
        typer.Option("--budget", help="Of the model, in dedicated runs of equal FLOPs; may be repeated; else 1."),
    ] = None,
    regime: Annotated[
        RegimeOption, typer.Option("--regime", help="converged also trains some dedicated runs for twice the epochs.")
    ] = RegimeOption.short,
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", metavar="GATING", help="Also compare with this gating, such as paper; may be repeated."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="How many, from the recipe's on.", min=1)] = 1,
    learning_rate: Annotated[
        list[float] | None,
        typer.Option("--learning-rate", help="Of the grid, repeated; else 1/2, 1 and 2 times the recipe's."),
    ] = None,
    draws: Annotated[int, typer.Option("--draws", help="Of z for a test image and beta.", min=1)] = 32,
    runs: Annotated[Path | None, typer.Option("--runs", help="Where it is trained; else runs/NAME.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for the JSON and the plot. Default: the current one.")
    ] = Path(),
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Such as training.epochs=2.")
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Compare a model with β-VAEs that are each trained for one β. The same command goes on where it was killed."""
    from mrvae_zoo.common.files import check_output, write_atomically
    from mrvae_zoo.comparison.compare import compare as run_comparison
    from mrvae_zoo.comparison.plan import Plan, with_validation
    from mrvae_zoo.comparison.plot import draw_comparison
    from mrvae_zoo.comparison.runs import Runs
    from mrvae_zoo.data.sets import load_data
    from mrvae_zoo.evaluation.plots import check_matplotlib
    from mrvae_zoo.hub.load import locate_recipe
    from mrvae_zoo.training.recipe import read_recipe

    if process_count() > 1:
        raise typer.BadParameter("compare runs in one process; start it without torchrun or accelerate launch.")
    called = _short_name(name)
    file = output / f"compare_{called}_{regime.value}.json"
    for path in (file, file.with_suffix(".png")):
        check_output(path, force=force)
    check_matplotlib()
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
        bar=_training_bar,
        measuring_bar=measuring,
    )
    try:
        record = run_comparison(plan, trainings, name=called, draws=draws)
    except KeyboardInterrupt:
        say("the same command goes on from here")
        raise
    write_atomically(file, record.to_json())
    write_atomically(file.with_suffix(".png"), draw_comparison(record))
    if json:
        print_json(record.to_plain())
    else:
        _print_record(record)
    say(f"wrote {file} and {file.with_suffix('.png').name}")


def _short_name(name: str) -> str:
    """What the result of a recipe is called: its name in the registry, or that of its file or folder."""
    from mrvae_zoo.checkpoints.sources import HUB
    from mrvae_zoo.common.layout import RECIPE

    last = name.rstrip("/").rpartition(":")[2]
    path = Path(last.partition("@")[0] if name.startswith(HUB) else last)
    if path.name == RECIPE:
        path = path.resolve().parent
    return path.name.removesuffix(".toml") or "model"


@contextmanager
def _training_bar() -> Iterator[Callable[["Progress"], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    fields = "rate {task.fields[rate]:.1f}  distortion {task.fields[distortion]:.1f} nats"
    columns = ("training", BarColumn(), MofNCompleteColumn(), fields, TimeRemainingColumn())
    with progress_bar(*columns, keep=False) as update:

        def report(at: "Progress") -> None:
            update(completed=at.step, total=at.steps, rate=at.rate, distortion=at.distortion)

        yield report


def _print_record(record: "ComparisonRecord") -> None:
    """A table with a line for each β, one with a line for each of several budgets, and one line with gaps and cost."""
    header = ["beta", "L dedicated", "L MR-VAE", "gap", "95% interval"]
    columns = [
        [f"{beta:g}" for beta in record.betas],
        [f"{loss:.2f}" for loss in record.dedicated.L],
        [f"{loss:.2f}" for loss in record.mrvae.L],
        [f"{gap:+.2%}" for gap in record.mrvae.gap],
        [f"{low:+.2%} to {high:+.2%}" for low, high in record.mrvae.gap_interval],
    ]
    other = "" if record.arms_budget == record.budget else f" (budget {record.arms_budget:g})"
    for name, arm in record.arms.items():
        header += [f"L {name}{other}", f"gap {name}{other}"]
        columns += [[f"{loss:.2f}" for loss in arm.L], [f"{gap:+.2%}" for gap in arm.gap]]
    print_table(header, list(zip(*columns, strict=True)))
    if record.budgets is not None:
        _print_budgets(record, record.budgets)
    worst = max(zip(record.mrvae.gap, record.betas, strict=True))
    ours, theirs = record.cost.mrvae, record.cost.dedicated
    which = "" if record.budgets is None else f"budget {record.budget:g}: "
    typer.echo(
        f"{which}mean gap {record.mrvae.mean_gap:+.2%}, worst {worst[0]:+.2%} at beta {worst[1]:g}; cost "
        f"{ours.flops / theirs.flops:.3f} of the FLOPs of the {len(record.betas)} dedicated trainings, "
        f"{ours.seconds:,.0f} seconds to their {theirs.seconds:,.0f}"
    )


def _print_budgets(record: "ComparisonRecord", budgets: "Sequence[AtBudget]") -> None:
    """The mean gap of each budget and the worst, and the worst on the validation split, which chose among them."""
    rows = []
    for each in budgets:
        worst, beta = max(zip(each.gap, record.betas, strict=True))
        row = (f"{each.budget:g}", f"{each.mean_gap:+.2%}", f"{worst:+.2%}", f"{beta:g}")
        rows.append((*row, f"{max(each.validation_gap):+.2%}"))
    print_table(("budget", "mean gap", "worst gap", "at beta", "worst validation gap"), rows)
