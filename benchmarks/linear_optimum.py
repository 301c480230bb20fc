"""How close one linear MR-VAE comes to the closed-form optimum at every β, on the MNIST training images.

    python benchmarks/linear_optimum.py --data-root DIR

Trains `mrvae_linear` (Z = 32, Gaussian likelihood, σ² = 0.2) once for each kind of gating, takes L_β in closed form
over the 60,000 images, and writes benchmarks/results/linear_optimum.json and
docs/results/linear_optimum.png.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt

import mrvae_zoo
from mrvae_zoo.common.files import atomic_path, write_atomically
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.evaluation.linear_optimum import exact_loss, linear_maps, optimal_loss
from mrvae_zoo.gating.beta import log_spaced

LATENTS, SIGMA, POINTS = 32, math.sqrt(0.2), 10
RESULTS = Path(__file__).parent / "results"
PLOT = Path(__file__).parents[1] / "docs/results/linear_optimum.png"


def main() -> None:
    """Run the three trainings and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--gatings", nargs="+", default=["linear", "affine", "paper_open"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    data = load_data(DataRecipe(name="mnist"), "train", options.data_root, (1, 28, 28))
    flat = torch.cat([x.flatten(1).double() for x in data.batches(5000)])
    mean, covariance = flat.mean(0), torch.cov(flat.T, correction=0)
    eigenvalues = torch.linalg.eigvalsh(covariance)
    betas = log_spaced((0.01, 10.0), POINTS)
    optimum = [optimal_loss(eigenvalues, beta, sigma=SIGMA, latent_dim=LATENTS) for beta in betas]
    result: dict[str, Any] = {
        "data": data.describe(),
        "latent_dim": LATENTS,
        "sigma_squared": round(SIGMA**2, 6),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        **{key: getattr(options, key) for key in ("steps", "batch_size", "learning_rate", "seed")},
        "betas": betas,
        "optimum": optimum,
        "gatings": {},
    }
    for gating in options.gatings:
        start = time.perf_counter()
        model = fit(data, gating, options)
        at = torch.tensor(betas, dtype=torch.float64)
        with torch.no_grad():
            maps = linear_maps(model.double(), at)
            losses = exact_loss(maps, at, sigma=SIGMA, mean=mean, covariance=covariance).tolist()
        above = [loss / best - 1 for loss, best in zip(losses, optimum, strict=True)]
        result["gatings"][gating] = {
            "loss": losses,
            "above_optimum": above,
            "worst": max(above),
            "seconds": round(time.perf_counter() - start, 1),
        }
        print(f"{gating:<7} " + " ".join(f"{a:8.3%}" for a in above) + f"   worst {max(above):.3%}", flush=True)
    write_atomically(RESULTS / "linear_optimum.json", json.dumps(result, indent=1) + "\n")
    plot(result)


def fit(data: ImageData, gating: str, options: argparse.Namespace) -> mrvae_zoo.MultiRateVAE:
    """One training over all β."""
    torch.manual_seed(options.seed)
    model = mrvae_zoo.create_model(
        "mrvae_linear", input_shape=(1, 28, 28), latent_dim=LATENTS, likelihood="gaussian", sigma=SIGMA, gating=gating
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    for _ in range(options.steps):
        (images,) = data.read([torch.randint(len(data), (options.batch_size,))])
        x = data.prepare(images)
        beta = mrvae_zoo.sample_beta(len(x), model.beta_range)
        output = model(x, beta)
        loss = (output.distortion + beta * output.rate).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def plot(result: dict[str, Any]) -> None:
    """Loss over β beside the optimum, and how far above it each gating is."""
    mpl.use("Agg")
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(result["betas"], result["optimum"], color="black", linewidth=3, alpha=0.35, label="closed-form optimum")
    for (gating, run), marker in zip(result["gatings"].items(), "osD", strict=False):
        left.plot(result["betas"], run["loss"], marker, markersize=5, fillstyle="none", label=gating)
        right.plot(result["betas"], [100 * a for a in run["above_optimum"]], marker + "-", markersize=5, label=gating)
    left.set(xscale="log", xlabel="β", ylabel="L (nats per image)", title="One training, every β")
    right.set(xscale="log", yscale="log", xlabel="β", ylabel="above the optimum (%)", title="Distance to the optimum")
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    with atomic_path(PLOT) as path:
        figure.savefig(path, dpi=110, format="png")
    plt.close(figure)


if __name__ == "__main__":
    main()
