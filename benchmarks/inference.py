"""Microseconds of `model(x, beta)` beside those of the folded network, for one image and for many.

    python benchmarks/inference.py [--batches 1 1024] [--turns 15] [--threads 1] [-o FILE]

The networks are an MLP 512-512 and a small ResNet for 28×28 with the default gating, in float32 and under
torch.inference_mode(): with one β for all images, with one β per image, and folded at that β. Eager and compiled; on a
GPU compiled with CUDA graphs (mode="reduce-overhead"), where β is a tensor on the device. All forms run in turn, and a
ratio is the median of those within a turn. Writes benchmarks/results/inference_DEVICE.json.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timing import in_turn, machine, quartiles
from torch import Tensor

import mrvae_zoo
from mrvae_zoo.common.devices import find_device
from mrvae_zoo.common.files import write_atomically

NETWORKS: dict[str, dict[str, Any]] = {
    "mrvae_mlp 512-512": {"architecture": "mrvae_mlp"},
    "mrvae_resnet 16-32-64": {"architecture": "mrvae_resnet", "widths": (16, 32, 64), "depth": 1},
}
BETA = 0.5


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 1024])
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--shortest", type=float, default=0.3, help="seconds of one timing")
    parser.add_argument("--eager-only", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = find_device("auto")
    results = []
    for name, options in NETWORKS.items():
        for mode in ("eager",) if given.eager_only else ("eager", "compiled"):
            for batch in given.batches:
                torch._dynamo.reset()
                seconds = in_turn(
                    forms(options, mode, batch, device), device, turns=given.turns, shortest=given.shortest
                )
                results.append({"network": name, "mode": mode, "batch": batch, **summary(seconds)})
                show(results[-1])
    document = {**machine(device), "turns": given.turns, "results": results}
    default = Path(__file__).parent / "results" / f"inference_{device.type}.json"
    write_atomically(given.output or default, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def forms(options: dict[str, Any], mode: str, batch: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """The calls to compare."""
    torch.manual_seed(0)
    model = mrvae_zoo.create_model(**options, input_shape=(1, 28, 28)).to(device).eval()
    plain = model.at(BETA)
    if mode == "compiled":
        for one in (model, plain):
            one.compile(mode="reduce-overhead" if device.type == "cuda" else "default")
    x = torch.rand(batch, 1, 28, 28, device=device)
    one_beta = torch.tensor(BETA, device=device)
    return {
        "folded": partial(call, plain, x),
        "one beta": partial(call, model, x, one_beta),
        "one beta per image": partial(call, model, x, one_beta.expand(batch).contiguous()),
    }


@torch.inference_mode()
def call(model: torch.nn.Module, x: Tensor, beta: Tensor | None = None) -> object:
    """Run the model once, with the mean of the posterior."""
    return model(x, beta, sample=False)


def summary(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Microseconds of each form, and its ratio to the folded one."""
    folded = seconds["folded"]
    return {
        "microseconds": {name: quartiles([1e6 * each for each in values], 1) for name, values in seconds.items()},
        "over_folded": {
            name: quartiles([ours / base for ours, base in zip(values, folded, strict=True)], 3)
            for name, values in seconds.items()
            if name != "folded"
        },
    }


def show(result: dict[str, Any]) -> None:
    """Print a line."""
    figures = ", ".join(f"{name} {row['median']:,.0f} µs" for name, row in result["microseconds"].items())
    ratios = ", ".join(f"{name} {row['median']:.3f}" for name, row in result["over_folded"].items())
    print(
        f"{result['network']}, {result['mode']}, batch {result['batch']}: {figures}; over folded: {ratios}", flush=True
    )


if __name__ == "__main__":
    main()
