"""Is the β that a sweep recommends the right one? One Multi-Rate VAE beside ten β-VAEs, each trained for one β.

    python benchmarks/sweep_against_dedicated.py --data-root DIR --runs DIR

On each data set, `mrvae_zoo.sweep` measures a linear probe, nearest neighbours and two ways to find outliers at ten β:
with one Multi-Rate VAE that has the compute of three β-VAE trainings, and with ten β-VAEs of the same network. Both
have the learning rates that the comparison of the set chose on validation data (compare_NAME_short.json), and are
measured on the same parts of the test split. The regret is how much the β-VAE at the recommended β falls short of the
best of the ten, in percentage points of accuracy or of the area under the ROC curve.

A training that is in the folder of a comparison (`mrvae compare --runs`) is taken from there. Results are kept in
benchmarks/results/sweep_against_dedicated.json after each model, and the same command continues. At the end it writes
the table and the plot of docs/results/sweep.md; --draw does only that.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from mrvae_zoo.checkpoints.folder import load_checkpoint
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.markdown import table
from mrvae_zoo.comparison.plan import MRVAE, Plan, with_validation
from mrvae_zoo.comparison.record import read_record
from mrvae_zoo.comparison.runs import Run, Runs
from mrvae_zoo.data.labels import load_labels
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.evaluation.plots import FAINT, INK, LINE, OTHER
from mrvae_zoo.evaluation.sweep import sweep
from mrvae_zoo.training.recipe import read_recipe

HERE = Path(__file__).parent
RESULT, PAGE = HERE / "results/sweep_against_dedicated.json", HERE.parent / "docs/results/sweep.md"
PLOT = PAGE.with_suffix(".png")
BEGIN, END = "<!-- sweep: begin -->", "<!-- sweep: end -->"

METRICS = {
    "linear_probe": "linear probe",
    "knn": "nearest neighbours",
    "anomaly": "outliers by L",
    "anomaly_mahalanobis": "outliers by latents",
}
BUDGET = 3.0  # of the Multi-Rate VAE, in trainings of a β-VAE
GOAL = 0.5  # points of regret


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A data set: the recipe and the comparison that learning rates come from, and the set of the outliers."""

    title: str
    recipe: str
    record: str
    outliers: str
    epochs: int
    seeds: int = 1


CASES = (
    Case(
        title="MNIST",
        recipe="mrvae_mlp.mnist",
        record="mrvae_mlp.binarized_mnist",
        outliers="fashion_mnist",
        epochs=8,
        seeds=3,
    ),
    Case(
        title="Fashion-MNIST",
        recipe="mrvae_resnet.fashion_mnist",
        record="mrvae_resnet.fashion_mnist",
        outliers="mnist",
        epochs=4,
    ),
    Case(
        title="CIFAR-10",
        recipe="mrvae_resnet.cifar10",
        record="mrvae_resnet.cifar10",
        outliers="emoji64",
        epochs=6,
    ),
)


def main() -> None:
    """Train and measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--runs", type=Path, help="a folder with a folder of trainings for each recipe")
    parser.add_argument("--draw", action="store_true", help="only the page, from the results there are")
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    if not options.draw:
        if options.data_root is None or options.runs is None:
            parser.error("--data-root and --runs are needed")
        for case in CASES:
            measure_case(case, options.data_root, options.runs / case.recipe, results)
    write_atomically(PLOT, draw(results))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    write_atomically(PAGE, f"{before}{BEGIN}\n\n{describe(results)}\n{END}{after}")


def measure_case(case: Case, root: Path, folder: Path, results: dict[str, Any]) -> None:
    """Train the models of a data set that are missing, and sweep over each that has not been swept over."""
    path = HERE / f"comparisons/{case.recipe}.toml"
    recipe = with_validation(read_recipe(path, (f"training.epochs={case.epochs}",)), root)
    train = load_data(recipe.data, "train", root, recipe.model.input_shape)
    plan = Plan(
        recipe=recipe,
        beta_count=10,
        budgets=(1.0, BUDGET),
        regime="short",
        arms=(),
        seed_count=case.seeds,
        learning_rates=(),
        examples=len(train),
        shape=train.shape,
    )
    record = read_record(HERE / f"results/compare_{case.record}_short.json")
    if record.betas != plan.betas:
        raise ValueError(f"the comparison of {case.record} is of other β; make it again (mrvae compare)")
    folder.mkdir(parents=True, exist_ok=True)
    total = case.seeds * (1 + len(plan.betas))
    runs = Runs(folder=folder, data_root=root, data=recipe.data, shape=recipe.model.input_shape, total=total)
    rates = dict(zip(record.betas, record.dedicated.learning_rate, strict=True))
    found = results.setdefault(case.title, {"betas": list(plan.betas), "seeds": []})
    one = plan.flops(plan.dedicated(plan.betas[0], 1e-3, 0))
    found["cost"] = plan.flops(plan.arm(MRVAE, 1e-3, 0, budget=BUDGET)) / (len(plan.betas) * one)
    for number, seed in enumerate(plan.seeds):
        if number == len(found["seeds"]):
            found["seeds"].append({"mrvae": None, "dedicated": {}})
        of_seed = found["seeds"][number]
        ours = plan.arm(MRVAE, record.mrvae.learning_rate, seed, budget=BUDGET)
        jobs: list[tuple[str | None, Run]] = [(None, ours)]
        jobs += [(f"{beta:g}", plan.dedicated(beta, rates[beta], seed)) for beta in plan.betas]
        for key, run in jobs:
            if (of_seed["mrvae"] if key is None else of_seed["dedicated"].get(key)) is not None:
                continue
            if runs.validation(run) is None:
                raise ValueError(f"{run.name} diverged")
            values = measure(runs.folder / run.name, recipe.data, case.outliers, root, seed)
            if key is None:
                of_seed["mrvae"] = values
            else:
                of_seed["dedicated"][key] = {metric: each["values"][0] for metric, each in values.items()}
            write_atomically(RESULT, json.dumps(results, indent=1) + "\n")


def measure(folder: Path, data: DataRecipe, outliers: str, root: Path, seed: int) -> dict[str, Any]:
    """Sweep over the β of a trained model: each metric in % at each β, and the β that it recommends and finds best."""
    model = load_checkpoint(folder)
    test = load_data(data, "test", root, model.input_shape)
    other = load_data(DataRecipe(name=outliers, binarize=data.binarize), "test", root, model.input_shape)
    betas = 10 if model.config.beta is None and model.config.gating != "none" else (model.curve.betas[0],)
    found = sweep(model, test, list(METRICS), betas=betas, labels=load_labels(test, root), outliers=other, seed=seed)
    return {
        name: {
            "values": [100 * point.value for point in found.points[name]],
            "recommended": found.recommended(name).beta,
            "best": found.best(name).beta,
        }
        for name in METRICS
    }


def complete(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the seeds of a data set of which every model has been measured."""
    count = len(found["betas"])
    return [one for one in found["seeds"] if one["mrvae"] is not None and len(one["dedicated"]) == count]


def outcome(of_seed: dict[str, Any], metric: str, betas: Sequence[float]) -> dict[str, float]:
    """What one seed says of a metric: rank correlation over β, and the regret of the β that are taken, in points."""
    from scipy.stats import spearmanr

    ours = of_seed["mrvae"][metric]
    theirs = [of_seed["dedicated"][f"{beta:g}"][metric] for beta in betas]

    def regret(beta: float) -> float:
        nearest = min(range(len(betas)), key=lambda i: abs(math.log(betas[i] / beta)))
        return max(theirs) - theirs[nearest]

    return {
        "correlation": float(spearmanr(ours["values"], theirs).statistic),
        "recommended": ours["recommended"],
        "regret": regret(ours["recommended"]),
        "regret_of_best": regret(ours["best"]),
        "dedicated_best": betas[theirs.index(max(theirs))],
        "dedicated_top": max(theirs),
        "dedicated_range": max(theirs) - min(theirs),
    }


def describe(results: dict[str, Any]) -> str:
    """The table of the page, and the sentence above it."""
    rows, good, count = [], 0, 0
    results = {title: found for title, found in results.items() if complete(found)}
    for title, found in results.items():
        for metric, words in METRICS.items():
            each = [outcome(one, metric, found["betas"]) for one in complete(found)]
            regret = statistics.fmean(one["regret"] for one in each)
            good, count = good + (regret <= GOAL), count + 1
            each_regret = "" if len(each) == 1 else f" ({', '.join(format(one['regret'], '.2f') for one in each)})"
            rows.append(
                (
                    title,
                    words,
                    ", ".join(f"{one['dedicated_best']:.3g}" for one in each),
                    f"{statistics.fmean(one['dedicated_top'] for one in each):.2f}",
                    f"{statistics.fmean(one['dedicated_range'] for one in each):.1f}",
                    ", ".join(f"{one['recommended']:.3g}" for one in each),
                    f"{regret:.2f}{each_regret}",
                    f"{statistics.fmean(one['regret_of_best'] for one in each):.2f}",
                    f"{statistics.fmean(one['correlation'] for one in each):+.2f}",
                )
            )
    head = (
        "Data",
        "Metric",
        "β of the best β-VAE",
        "its value, %",
        "best − worst, points",
        "recommended β",
        "regret, points",
        "regret of the best β",
        "rank correlation",
    )
    cost = max(found["cost"] for found in results.values())
    return (
        f"The regret is at most {GOAL} points in {good} of {count} cases. The Multi-Rate VAE took "
        f"{100 * cost:.0f}% of the FLOPs of the ten β-VAEs. "
        "Several values are those of several seeds; other figures are means over them, or of one seed.\n\n"
        + table(head, rows, "lllrrlrrr")
    )


def draw(results: dict[str, Any]) -> bytes:
    """Draw each metric over β: the Multi-Rate VAE as a line, the β-VAEs as points, the recommended β marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    results = {title: found for title, found in results.items() if complete(found)}
    figure = Figure(figsize=(9.0, 2.5 * len(results)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(results), len(METRICS), squeeze=False)
    for row, (title, found) in zip(grid, results.items(), strict=True):
        betas = found["betas"]
        for axes, (metric, words) in zip(row, METRICS.items(), strict=True):
            for number, one in enumerate(complete(found)):
                faint = 0.4 if number else 1.0
                names = ("_", "_", "_") if number else ("one Multi-Rate VAE", "ten β-VAEs", "recommended")
                ours = one["mrvae"][metric]
                theirs = [one["dedicated"][f"{beta:g}"][metric] for beta in betas]
                axes.plot(betas, ours["values"], color=LINE, linewidth=1.6, alpha=faint, label=names[0])
                axes.plot(betas, theirs, "o", color=OTHER, mfc="none", markersize=4.5, alpha=faint, label=names[1])
                dashes = (0, (4, 2))
                axes.axvline(ours["recommended"], color=INK, linewidth=0.8, linestyle=dashes, label=names[2])
            axes.set_xscale("log")
            axes.set_title(f"{title}: {words}", fontsize=8.5, color=INK)
            axes.grid(color=FAINT, alpha=0.2, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=7.5, colors=INK)
    for axes in grid[-1]:
        axes.set_xlabel("β", fontsize=8.5)
    for axes in grid[:, 0]:
        axes.set_ylabel("%", fontsize=8.5)
    grid[0, 0].legend(fontsize=7.5, frameon=False)
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(str(error))
