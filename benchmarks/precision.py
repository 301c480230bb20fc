"""What bf16 costs in loss: the same training in float32 and in bf16, with the same noise, over seeds.

    python benchmarks/precision.py --data-root DIR [--seeds 3] [--epochs 6] [--device cpu] [-o FILE]

Trains an MLP and a small ResNet on MNIST, binarised anew in every step, with each precision that the device has, and
measures L = D + β·R of the averaged weights on held-out images at five β. Trainings of the same seed see the same
images, β and noise, so that the difference is that of the arithmetic; the spread over seeds stands beside it. The loss
of each epoch is kept too. Prints a table and writes benchmarks/results/precision_DEVICE.json.
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mrvae_zoo.common.devices import find_device
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.training.recipe import Recipe, recipe_from_table
from mrvae_zoo.training.run_folder import Progress
from mrvae_zoo.training.train import train

NETWORKS: dict[str, dict[str, Any]] = {
    "mrvae_mlp 512-512": {"architecture": "mrvae_mlp", "widths": [512, 512]},
    "mrvae_resnet 16-32-64": {"architecture": "mrvae_resnet", "widths": [16, 32, 64], "depth": 1},
}
PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "tf32", "bf16")}
BETAS = 5
HELD_OUT = 5000


def main() -> None:
    """Train, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--limit", type=int, help="training images")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = find_device(given.device).type
    results = []
    for name, model in NETWORKS.items():
        runs = {
            precision: [curve(recipe(model, precision, seed, given), given) for seed in range(given.seeds)]
            for precision in PRECISIONS[device]
        }
        results.append(summary(name, runs))
        show(results[-1])
    document = {"torch": torch.__version__, "device": device, "epochs": given.epochs, "results": results}
    default = Path(__file__).parent / "results" / f"precision_{device}.json"
    write_atomically(given.output or default, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def recipe(model: dict[str, Any], precision: str, seed: int, given: argparse.Namespace) -> Recipe:
    """The training of one network, precision and seed."""
    table = {
        "model": {"input_shape": [1, 28, 28], **model},
        "data": {"name": "mnist", "binarize": "dynamic", "held_out": HELD_OUT},
        "training": {
            "epochs": given.epochs,
            "learning_rate": 2e-3,
            "warmup_steps": 200,
            "clip_norm": 150.0,
            "log_every": 50,
        },
        "objective": {},
    }
    one = recipe_from_table(table, where="benchmark")
    training = replace(one.training, precision=precision, seed=seed)
    return replace(one, training=training, data=replace(one.data, limit=given.limit))


def curve(one: Recipe, given: argparse.Namespace) -> dict[str, Any]:
    """Train and return L at each β, and the mean loss of each epoch."""
    lines: list[Progress] = []
    betas = log_spaced(one.model.beta_range, BETAS)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        options: dict[str, Any] = {"split": "valid", "betas": betas, "device": given.device, "report": lines.append}
        model = train(one, given.data_root, run, **options)
    losses = [[line.loss for line in lines if line.epoch == epoch] for epoch in range(one.training.epochs)]
    return {
        "betas": betas,
        "valid": [round(point.loss, 4) for point in model.curve.points],
        "epochs": [round(statistics.fmean(each), 4) for each in losses],
    }


def summary(name: str, runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The runs of a network, and how much each precision changes L, in percent: of each seed, and in the mean."""
    first = runs["fp32"]
    changes = {
        precision: [
            [round(100 * (ours / theirs - 1), 3) for ours, theirs in zip(run["valid"], base["valid"], strict=True)]
            for run, base in zip(others, first, strict=True)
        ]
        for precision, others in runs.items()
        if precision != "fp32"
    }
    spread = [
        round(100 * statistics.stdev(values) / statistics.fmean(values), 3) if len(values) > 1 else None
        for values in zip(*(run["valid"] for run in first), strict=True)
    ]
    return {"network": name, "runs": runs, "changes_percent": changes, "spread_of_fp32_percent": spread}


def show(result: dict[str, Any]) -> None:
    """Print the changes of one network."""
    betas = result["runs"]["fp32"][0]["betas"]
    print(f"{result['network']}\n  {'beta':<30}" + "".join(f"{beta:>9.3g}" for beta in betas))
    for precision, seeds in result["changes_percent"].items():
        means = [statistics.fmean(values) for values in zip(*seeds, strict=True)]
        print(f"  {f'{precision} over fp32, mean, %':<30}" + "".join(f"{mean:>+9.3f}" for mean in means))
    spread = result["spread_of_fp32_percent"]
    if None not in spread:
        print(f"  {'standard deviation of fp32, %':<30}" + "".join(f"{value:>9.3f}" for value in spread), flush=True)


if __name__ == "__main__":
    main()
