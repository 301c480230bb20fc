"""What each part of the zoo's recipe is worth: the same training with one thing changed, beside dedicated β-VAEs.

    python benchmarks/ablations.py RECIPE --data-root DIR --record RESULT --runs DIR --epochs 8

RESULT is the JSON of a comparison (`mrvae compare RECIPE`); its dedicated β-VAEs and its learning rate are taken. Every
variant is trained at the budget, with each seed, and measured on the validation split, one draw of z an image. Writes
benchmarks/results/ablations.json, and the table between the markers in docs/results/ablations.md.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.comparison.plan import MRVAE, Plan
from mrvae_zoo.comparison.record import ComparisonRecord, read_record
from mrvae_zoo.comparison.runs import Runs
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.training.recipe import read_recipe

HERE = Path(__file__).parent
RESULT, TABLE = HERE / "results" / "ablations.json", HERE.parent / "docs/results/ablations.md"
BEGIN, END = "<!-- ablations: begin -->", "<!-- ablations: end -->"

VARIANTS: dict[str, tuple[str, ...]] = {
    "the default": (),
    "share at β_min constant, 25%": ("objective.beta_min_share=[0.25, 0.25]",),
    "no shares, β log-uniform": ("objective.beta_min_share=[0, 0]", "objective.beta_max_share=0.0"),
    "share from 100 to 10%": ("objective.beta_min_share=[1.0, 0.1]",),
    "from 95 to 30%": ("objective.beta_min_share=[0.95, 0.3]",),
    "from 95 to 0%": ("objective.beta_min_share=[0.95, 0.0]",),
    "from 80 to 5%": ("objective.beta_min_share=[0.8, 0.05]",),
    "from 60 to 0%": ("objective.beta_min_share=[0.6, 0.0]",),
    "from 95 to 10%, a cosine": ("objective.beta_min_fall=cosine",),
    "no share at β_max": ("objective.beta_max_share=0.0",),
    "a fifth of the others at β_max": ("objective.beta_max_share=0.2",),
    "more high β in between (`beta_skew = 0.7`)": ("objective.beta_skew=0.7",),
    "no weighting of β": ("objective.beta_weighting=0.0",),
    "weighted by β^-0.25": ("objective.beta_weighting=0.25",),
    "cosine schedule": ("training.schedule=cosine",),
    "Adam with β₂ = 0.999": ("training.adam_beta2=0.999",),
    "no average of weights (`ema = 0`)": ("training.ema=0.0",),
    'whole weights move (`gating_moves = "weights"`)': ("model.gating_moves=weights",),
    'gates polynomials of log β (`gating = "affine"`)': ("model.gating=affine",),
    'published gates (`gating = "paper"`)': ("model.gating=paper",),
    'published gates, open at initialisation (`gating = "paper_open"`)': ("model.gating=paper_open",),
    'log β as an input (`gating = "concat"`)': ("model.gating=concat",),
    "one shrinkage (`gating_degree = 1`)": ("model.gating_degree=1",),
    "five shrinkages": ("model.gating_degree=5",),
}


def main() -> None:
    """Train what is missing, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True, help="compare_NAME_REGIME.json of the comparison")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--epochs", type=int, required=True, help="of a dedicated run")
    parser.add_argument("--budget", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()

    record = read_record(options.record)
    dedicated = validation_losses(record)
    rows: dict[str, Any] = {}
    for label, overrides in VARIANTS.items():
        plan = make_plan(options, overrides)
        runs = make_runs(plan, options, options.runs / slug(label))
        gaps = []
        for seed in plan.seeds:
            losses = runs.validation(plan.arm(MRVAE, record.mrvae.learning_rate, seed))
            gaps.append(None if losses is None else [a / b - 1 for a, b in zip(losses, dedicated, strict=True)])
        finished = [each for each in gaps if each is not None]
        means = [statistics.fmean(at) for at in zip(*finished, strict=True)] if finished else None
        rows[label] = {"overrides": list(overrides), "gaps": gaps, "gap": means}
        print(f"{label:<50}", "diverged" if means is None else " ".join(f"{gap:+7.2%}" for gap in means), flush=True)
    result = {
        "recipe": options.recipe.name,
        "epochs": options.epochs,
        "budget": options.budget,
        "seeds": list(plan.seeds),
        "learning_rate": record.mrvae.learning_rate,
        "betas": list(plan.betas),
        "variants": rows,
    }
    write_atomically(RESULT, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    text = TABLE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    write_atomically(TABLE, f"{before}{BEGIN}\n\n{table(result)}\n{END}{after}")


def make_plan(options: argparse.Namespace, overrides: tuple[str, ...]) -> Plan:
    """The comparison of the recipe with these overrides."""
    recipe = read_recipe(options.recipe, (f"training.epochs={options.epochs}", *overrides))
    data = load_data(recipe.data, "train", options.data_root, recipe.model.input_shape)
    return Plan(
        recipe=recipe,
        beta_count=10,
        budgets=(options.budget,),
        regime="short",
        arms=(),
        seed_count=options.seeds,
        learning_rates=(),
        examples=len(data),
        shape=data.shape,
    )


def make_runs(plan: Plan, options: argparse.Namespace, folder: Path) -> Runs:
    """The trainings in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = plan.recipe
    shape = recipe.model.input_shape
    return Runs(folder=folder, data_root=options.data_root, data=recipe.data, shape=shape, total=options.seeds)


def validation_losses(record: ComparisonRecord) -> list[float]:
    """L on the validation split of the β-VAE of each β at its best learning rate, with the seed of the search."""
    tried = record.dedicated.learning_rates_tried
    figures = [(one.beta, one.validation) for one in tried if one.validation is not None]
    return [min(figure for at, figure in figures if at == beta) for beta in record.betas]


def slug(label: str) -> str:
    """A name for a folder."""
    return "".join(letter if letter.isalnum() else "-" for letter in label).strip("-")


def table(result: dict[str, Any]) -> str:
    """The rows as Markdown: the gap in % at every β, the mean and the worst."""
    betas = result["betas"]
    lines = [
        "| Gap in % at β = | " + " | ".join(f"{beta:.2g}" for beta in betas) + " | mean | worst |",
        "|---" * (len(betas) + 3) + "|",
    ]
    for label, row in result["variants"].items():
        gap = row["gap"]
        if gap is None:
            lines.append(f"| {label} | " + " | ".join("" for _ in betas) + " | diverged | |")
            continue
        values = [*gap, statistics.fmean(gap), max(gap)]
        lines.append(f"| {label} | " + " | ".join(f"{100 * value:+.1f}" for value in values) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(str(error))
