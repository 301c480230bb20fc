"""How well single latents stand for single factors: one Multi-Rate β-TCVAE beside three β-TCVAEs trained alike.

    python benchmarks/sprites.py --runs DIR

Trains a β-TCVAE for each of three β, with the recipe of mrvae_conv.sprites_tc without gates, and measures the mutual
information gap (Chen et al., 2018) and the disentanglement score of DCI (Eastwood and Williams, 2018) over the sprites,
with them and with the model of the registry, at five β. A training that is there is not repeated. Writes
benchmarks/results/sprites.json, and beside_mrvae_conv.sprites_tc.md beside it, which the card of the model shows.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import mrvae_zoo
from mrvae_zoo.checkpoints.folder import load_checkpoint
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.markdown import table
from mrvae_zoo.models.vae import BaseVAE
from mrvae_zoo.training.recipe import read_recipe
from mrvae_zoo.training.run_folder import is_finished

CHECKOUT = Path(__file__).parents[1]
NAME = "mrvae_conv.sprites_tc"
RESULT = CHECKOUT / "benchmarks/results/sprites.json"
BESIDE = CHECKOUT / f"benchmarks/results/beside_{NAME}.md"
BETAS = (2.0, 6.0, 15.0)  # of the β-TCVAEs
METRICS = ("mig", "dci")
WORDS = {"mig": "mutual information gap", "dci": "DCI disentanglement"}


def main() -> None:
    """Train what is missing, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="the folder of the trainings")
    options = parser.parse_args()
    recipe = replace(read_recipe(CHECKOUT / "registry" / NAME / "recipe.toml"), trained=None)
    alone: list[dict[str, float]] = []
    for beta in BETAS:
        folder = options.runs / f"beta{beta:g}"
        one = replace(
            recipe,
            model=replace(recipe.model, gating="none"),
            objective=replace(recipe.objective, beta=beta),
        )
        if not is_finished(folder):
            mrvae_zoo.train(one, options.runs, folder, resume=folder.exists())
        alone += measure(load_checkpoint(folder), (beta,))
    model = mrvae_zoo.load_pretrained(NAME)
    result = {
        "epochs": recipe.training.epochs,
        "seed": recipe.training.seed,
        "mrvae": measure(model, model.curve.betas[::3]),
        "dedicated": alone,
    }
    write_atomically(RESULT, json.dumps(result, indent=1) + "\n")
    write_atomically(BESIDE, beside(result))


def measure(model: BaseVAE, betas: tuple[float, ...]) -> list[dict[str, float]]:
    """Return L and the metrics at each β, over the test split of the sprites."""
    data = mrvae_zoo.load_data("sprites", "test", ".", model.input_shape)
    found = mrvae_zoo.sweep(model, data, list(METRICS), betas=betas)
    rows = []
    for number, beta in enumerate(betas):
        row = {"beta": beta, "L": model.curve.at(beta).loss}
        rows.append(row | {name: found.points[name][number].value for name in METRICS})
    return rows


def beside(result: dict[str, Any]) -> str:
    """Return what the card says: the best of either side, and each β-TCVAE beside the model at its β."""
    ours, theirs = result["mrvae"], result["dedicated"]
    lines = []
    for name in METRICS:
        best = max(ours, key=lambda row: row[name])
        other = max(theirs, key=lambda row: row[name])
        lines.append(
            f"The best {WORDS[name]} of this model is {best[name]:.3f}, at β = {best['beta']:.3g}. "
            f"That of the three is {other[name]:.3f}, at β = {other['beta']:g}."
        )
    rows = [(f"{row['beta']:g}", f"{row['L']:.2f}", f"{row['mig']:.3f}", f"{row['dci']:.3f}") for row in theirs]
    return (
        f"Three β-TCVAEs of the same network without gates were trained for one β each, with the same recipe "
        f"({result['epochs']} epochs, one seed each). {' '.join(lines)} "
        f"The model was looked at at {len(ours)} β, and so had more to choose from.\n\n"
        + table(("β of a β-TCVAE", "L", "mutual information gap", "DCI disentanglement"), rows, "rrrr")
        + "\n"
    )


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(str(error))
