"""One multi-rate fine-tune of an AutoencoderKL beside fixed fine-tunes at three β, at equal steps and in equal seconds.

    python benchmarks/autoencoder_kl.py --runs DIR [--data-root DATA] [--base-steps 3000] [--steps 3000] [--seeds 0 1 2]

First an AutoencoderKL is trained at one β, as people have them, and saved as diffusers saves it. For every seed, one
multi-rate fine-tune of it takes --steps steps, and three fixed ones share as many: --steps / 3 each, and then once more
with as many steps as fit into a third of the seconds that the multi-rate one took. Data and network are those of
mrvae_autoencoder_kl.photos. A training that is there is not repeated, and an interrupted one goes on. Writes
benchmarks/results/autoencoder_kl.json; with --figures DIR, also the curves, and one photo at four β that diffusers
decoded.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import mrvae_zoo
from mrvae_zoo.checkpoints.folder import load_checkpoint
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.diffusers import autoencoder_at
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.training.recipe import Recipe, read_recipe
from mrvae_zoo.training.run_folder import is_finished

CHECKOUT = Path(__file__).parents[1]
NAME = "mrvae_autoencoder_kl.photos"
RESULT = CHECKOUT / "benchmarks/results/autoencoder_kl.json"
GUESSED = 0.1  # the β of the base: the KL weight that somebody guessed
FIXED = 3  # fine-tunes
POINTS = 7  # of the curve of the multi-rate one, the β of the fixed ones among them
DRAWS = 4  # of z per image
ON_THE_STRIP = 4  # β


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trainings share: the recipe, the folders of data and runs, the steps of one budget, and the device."""

    recipe: Recipe
    data_root: Path
    runs: Path
    steps: int
    device: str

    @property
    def betas(self) -> list[float]:
        """The β of the fixed fine-tunes."""
        return log_spaced(self.recipe.model.beta_range, FIXED)

    def train(self, name: str, *, steps: int, seed: int, beta: float | None = None, init: Path | None = None) -> Path:
        """Train at one β without gates, or at all β, unless that was done; returns the folder."""
        folder, recipe = self.runs / name, self.recipe
        model = recipe.model if beta is None else replace(recipe.model, gating="none")
        training = replace(recipe.training, epochs=10**6, max_steps=steps, seed=seed)
        objective = replace(recipe.objective, beta=beta)
        if not is_finished(folder):
            mrvae_zoo.train(
                replace(recipe, model=model, training=training, objective=objective, trained=None),
                self.data_root,
                folder,
                init=init,
                resume=folder.exists(),
                betas=log_spaced(recipe.model.beta_range, POINTS) if beta is None else None,
                draws=DRAWS,
                device=self.device,
            )
        return folder


def main() -> None:
    """Train what is missing, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="the folder of the trainings")
    parser.add_argument("--data-root", type=Path, default=CHECKOUT.parent / "shared" / "data", help="the data sets")
    parser.add_argument("--base-steps", type=int, default=3000, help="steps of the training of the base")
    parser.add_argument("--steps", type=int, default=3000, help="steps of the multi-rate fine-tune")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--recipe", type=Path, default=CHECKOUT / "registry" / NAME / "recipe.toml")
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--figures", type=Path, help="the folder to draw the curves and the photo into")
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    bench = Bench(read_recipe(options.recipe), options.data_root, options.runs, options.steps, options.device)
    base = save_base(bench, options.base_steps)
    seeds = [compare(bench, base, seed) for seed in options.seeds]
    result = {
        "base": {"beta": GUESSED, "steps": options.base_steps},
        "steps": options.steps,
        "betas": bench.betas,
        "gap": {kind: summary(seeds, kind, bench.betas) for kind in ("steps", "seconds")},
        "seeds": seeds,
    }
    write_atomically(options.result, json.dumps(result, indent=1) + "\n")
    for kind, rows in result["gap"].items():
        for beta, row in zip(bench.betas, rows, strict=True):
            print(f"equal {kind}, β = {beta:g}: L {row['mean']:+.2%} ({row['low']:+.2%} to {row['high']:+.2%})")
    if options.figures is not None:
        draw_curves(seeds[0], options.figures / "autoencoder_kl.png")
        draw_strip(bench, options.seeds[0], options.figures / "autoencoder_kl_photo.png")


def save_base(bench: Bench, steps: int) -> Path:
    """Train the base at one β; returns the folder of the stock AutoencoderKL."""
    run = bench.train("base", steps=steps, seed=100, beta=GUESSED)
    folder = bench.runs / "base_diffusers"
    if not (folder / "config.json").is_file():
        autoencoder_at(load_checkpoint(run), GUESSED).save_pretrained(folder)
    return folder


def compare(bench: Bench, base: Path, seed: int) -> dict[str, Any]:
    """Return the losses of one seed: of the multi-rate fine-tune, and of fixed ones at equal steps and seconds."""
    ours = bench.train(f"multi-{seed}", steps=bench.steps, seed=seed, init=base)
    curve = load_checkpoint(ours).require_curve()
    seconds = seconds_of(ours)
    rows = []
    for beta in bench.betas:
        share = bench.steps // FIXED
        first = bench.train(f"steps-{seed}-{beta:g}", steps=share, seed=seed, beta=beta, init=base)
        fitting = max(1, round(share * (seconds / FIXED) / seconds_of(first)))
        second = bench.train(f"seconds-{seed}-{beta:g}", steps=fitting, seed=seed, beta=beta, init=base)
        rows.append(
            {
                "beta": beta,
                "multi": curve.at(beta).loss,
                "steps": point_of(first),
                "seconds": point_of(second) | {"steps": fitting},
            }
        )
    points = [{"beta": point.beta, "rate": point.rate, "distortion": point.distortion} for point in curve.points]
    return {"seed": seed, "seconds": seconds, "curve": points, "fixed": rows}


def seconds_of(run: Path) -> float:
    """Return how long a training took, without its measurement."""
    trained = read_recipe(run / "recipe.toml").trained
    assert trained is not None
    return trained.seconds


def point_of(run: Path) -> dict[str, float]:
    """Return rate, distortion and L of a fixed fine-tune, and how long it took."""
    (point,) = load_checkpoint(run).require_curve().points
    return {"rate": point.rate, "distortion": point.distortion, "loss": point.loss, "took": seconds_of(run)}


def summary(seeds: Sequence[dict[str, Any]], kind: str, betas: Sequence[float]) -> list[dict[str, float]]:
    """Return the gap of the multi-rate fine-tune at each β, over the seeds; negative is better."""
    rows = []
    for number in range(len(betas)):
        found = [seed["fixed"][number] for seed in seeds]
        gaps = [row["multi"] / row[kind]["loss"] - 1 for row in found]
        rows.append({"mean": statistics.mean(gaps), "low": min(gaps), "high": max(gaps)})
    return rows


def draw_curves(seed: dict[str, Any], path: Path) -> None:
    """Draw the curve of the multi-rate fine-tune, and the points of the fixed ones."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    rates, distortions = ([point[name] for point in seed["curve"]] for name in ("rate", "distortion"))
    axes.plot(rates, distortions, "o-", label="one multi-rate fine-tune")
    for kind, marker in (("steps", "x"), ("seconds", "+")):
        fixed = [row[kind] for row in seed["fixed"]]
        axes.plot(
            [point["rate"] for point in fixed],
            [point["distortion"] for point in fixed],
            marker,
            label=f"three fixed ones, equal {kind}",
        )
    axes.set(xlabel="rate, nats per image", ylabel="distortion, nats per image", xscale="log", yscale="log")
    axes.legend()
    figure.savefig(path, dpi=150)


def draw_strip(bench: Bench, seed: int, path: Path) -> None:
    """Draw one photo, and its reconstructions by stock diffusers at four β."""
    model = load_checkpoint(bench.runs / f"multi-{seed}")
    data = mrvae_zoo.load_data(bench.recipe.data.name, "test", bench.data_root, model.input_shape)
    photo = model.config.to_data_range(data.prepare(data.images[:1]))[..., :256, :256]
    shown = [photo]
    for beta in log_spaced(model.beta_range, ON_THE_STRIP):
        stock = autoencoder_at(model, beta)
        with torch.no_grad():
            shown.append(stock.decode(stock.encode(photo).latent_dist.mode()).sample.clamp(-1, 1))
    mrvae_zoo.save_images(model.config.to_unit_range(torch.cat(shown)), path, columns=len(shown))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(str(error))
