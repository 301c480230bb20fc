"""Images a second in training: this package's step in each setting, with and without gates, and other loops.

    python benchmarks/training_step.py [--data-root DIR] [--networks mlp resnet] [--turns 11] [--threads 1] [-o FILE]

For each network, all of these train on MNIST (random images where it is not there), binarised in every step but in the
loops of others, and run in turn; a figure is the median over the turns, with its quartiles:

- gated: the step of `mrvae train` with the default gating, once in each setting: eager or compiled, float32 or bf16,
  channels last; on a GPU also captured as one CUDA graph, which is what `mrvae train` does there;
- plain: the same step in the settings that are the fastest for the gated one, of the network without gates;
- loop: a loop as one writes it by hand, around the network without gates and around the gated one: a DataLoader over
  torchvision's data set with ToTensor, backward, torch.optim.Adam. No average of the weights, no clipping, no log;
- pythae: one epoch of pythae's trainer around the network without gates, where pythae is installed;
- stack: several β-VAEs without gates as one network (model-images a second).

Also counts the kernels of a step on a GPU, and the share of its peak that the arithmetic reaches. Prints a table and
writes benchmarks/results/training_step_DEVICE.json. A profile of the fastest step, by operation, is part of it.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from other_loops import PYTHAE_BATCHES, loop, pythae
from timing import in_turn, machine, quartiles, ratio, synchronize
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.processes import make_accelerator
from mrvae_zoo.comparison.flops import training_flops
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.models.factory import build_model
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.captured import Captured
from mrvae_zoo.training.recipe import Recipe, recipe_from_table
from mrvae_zoo.training.settings import Settings, arithmetic
from mrvae_zoo.training.step import Step

NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"architecture": "mrvae_mlp", "widths": [512, 512]},
    "resnet": {"architecture": "mrvae_resnet", "widths": [16, 32, 64], "depth": 1},
    "default resnet": {"architecture": "mrvae_resnet"},
    "paper resnet": {
        "architecture": "mrvae_resnet",
        "widths": [64, 128, 128],
        "depth": 2,
        "block": "basic",
        "layout": "published",
        "activation": "relu",
    },
}
PEAK = {"NVIDIA H100": 989e12, "NVIDIA H200": 989e12}  # bf16 FLOP/s of the data sheet, without sparsity
SHAPE = (1, 28, 28)
STACKED = 32
PROFILED = 10  # steps
OPERATIONS = 12  # of a profile


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS], default=["mlp", "resnet"])
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--shortest", type=float, default=0.5, help="seconds of one timing")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--eager-only", action="store_true", help="compile nothing")
    parser.add_argument("--stacked", type=int, default=STACKED)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = make_accelerator().device
    results = []
    for name in given.networks:
        results.append(measure(name, given, device))
        show(results[-1])
    document = {**machine(device), "batch_size": given.batch_size, "turns": given.turns, "results": results}
    default = Path(__file__).parent / "results" / f"training_step_{device.type}.json"
    write_atomically(given.output or default, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def measure(name: str, given: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """The figures of one network."""
    torch._dynamo.reset()  # graphs of this network alone
    data, batch = images(given.data_root), given.batch_size
    choices = {label: one for label, one in settings(name, device).items() if not (given.eager_only and one.compile)}
    recipes = {kind: recipe(name, kind, batch) for kind in ("shrinkage", "none")}
    gated = {f"gated, {label}": step([recipes["shrinkage"]], data, one) for label, one in choices.items()}
    with arithmetic(Settings(precision="tf32")):  # on a GPU; a setting with fp32 has it there too
        chosen = fastest(gated, device, given.shortest).removeprefix("gated, ")
        best = choices[chosen]
        others = {
            f"plain, {chosen}": step([recipes["none"]], data, best),
            "loop, plain": loop(recipes["none"], data, batch, device),
            "loop, gated": loop(recipes["shrinkage"], data, batch, device),
            f"stack of {given.stacked}, {chosen}": step(members(recipes["none"], given.stacked), data, best),
        }
        others |= pythae(recipes["none"], data, batch, device)
        seconds = in_turn(gated | others, device, turns=given.turns, shortest=given.shortest)
        profiled = {label: operations((gated | others)[label], device) for label in (f"gated, {chosen}",)}
        kernels = {label: count_kernels(call) for label, call in gated.items()} if device.type == "cuda" else None
    images_of = {label: images_in(label, batch, given.stacked) for label in seconds}
    flops = training_flops(recipes["none"].model, SHAPE, torch.ones(2))
    rows = {
        label: {"images_per_second": quartiles([images_of[label] / each for each in values], 1)}
        for label, values in seconds.items()
    }
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else ""
    peak = next((value for name_of, value in PEAK.items() if gpu.startswith(name_of)), None)
    for row in rows.values() if peak is not None else ():
        row["share_of_bf16_peak"] = round(row["images_per_second"]["median"] * flops / peak, 4)
    ours = seconds[f"gated, {chosen}"]
    ratios = {
        f"gated, {chosen} / {label}": scaled(ours, values, images_of[label] / batch)
        for label, values in seconds.items()
    }
    return {
        "network": name,
        "best": chosen,
        "flops_per_image": flops,
        "rows": rows,
        "images_per_second_of_the_best_over": ratios,
        "kernels": kernels,
        "profile": profiled,
    }


def scaled(ours: list[float], theirs: list[float], images: float) -> dict[str, float]:
    """The ratio of images a second, for a contestant that sees `images` times as many in a call."""
    return ratio(ours, [value / images for value in theirs])


def images_in(label: str, batch: int, stacked: int) -> int:
    """How many images one call of a contestant trains on."""
    if label.startswith("stack"):
        return batch * stacked
    return PYTHAE_BATCHES * batch if label.startswith("pythae") else batch


def settings(name: str, device: torch.device) -> dict[str, Settings]:
    """Every way to compute the step of a network on a device that is worth a look."""
    choices = {
        "eager, fp32": Settings(),
        "eager, bf16": Settings(precision="bf16"),
        "compiled, fp32": Settings(compile=True),
        "compiled, bf16": Settings(precision="bf16", compile=True),
    }
    if "resnet" in name:
        choices["eager, bf16, channels last"] = Settings(precision="bf16", channels_last=True)
        choices["compiled, bf16, channels last"] = Settings(precision="bf16", channels_last=True, compile=True)
    if device.type != "cuda":
        return choices
    graphs = {f"one graph, {label}": replace(one, capture=True) for label, one in choices.items() if "bf16" in label}
    return {"eager, fp32": choices["eager, fp32"], **graphs}


def recipe(name: str, gating: str, batch: int) -> Recipe:
    """Of the training; its rate is so low that nothing diverges in however many turns."""
    beta = {"beta": 1.0} if gating == "none" else {}
    table = {
        "model": {"input_shape": [*SHAPE], "gating": gating, **NETWORKS[name]},
        "data": {"name": "mnist", "binarize": "dynamic"},
        "training": {
            "epochs": 10_000,
            "max_steps": 100_000,
            "batch_size": batch,
            "learning_rate": 1e-5,
            "clip_norm": 150.0,
        },
        "objective": beta,
    }
    return recipe_from_table(table, where="benchmark")


def members(one: Recipe, count: int) -> list[Recipe]:
    """The trainings of several β-VAEs."""
    betas = [0.01 * 1000 ** (i / max(1, count - 1)) for i in range(count)]
    return [replace(one, objective=replace(one.objective, beta=min(10.0, beta))) for beta in betas]


def images(root: Path | None) -> ImageData:
    """MNIST, or random images."""
    if root is not None:
        return load_data(recipe("mlp", "none", 128).data, "train", root, SHAPE)
    drawn = torch.randint(256, (60_000, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageData(name="random", split="train", images=drawn, binarize="dynamic")


def step(recipes: list[Recipe], data: ImageData, one: Settings) -> Callable[[], None]:
    """The step of this package, of one model or of several side by side."""
    torch.manual_seed(0)
    accelerator = make_accelerator()
    models = [build_model(each.model) for each in recipes]
    assert all(isinstance(model, MultiRateVAE) for model in models)
    made = Step(models, recipes, data.to(accelerator.device), accelerator, one)  # type: ignore[arg-type]
    made.start_epoch(0)
    return Captured(made) if one.capture else made


def fastest(contestants: dict[str, Callable[[], None]], device: torch.device, shortest: float) -> str:
    """The name of the fastest, in the median of five turns."""
    seconds = in_turn(contestants, device, turns=5, shortest=shortest / 2)
    return min(seconds, key=lambda name: quartiles(seconds[name], 9)["median"])


def operations(call: Callable[[], object], device: torch.device) -> list[dict[str, Any]]:
    """Where the time of a step goes: the operations that take most, in microseconds a step and calls a step."""
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiled:
        for _ in range(PROFILED):
            call()
        synchronize(device)
    name = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    events = sorted(profiled.key_averages(), key=lambda event: -getattr(event, name))
    return [
        {
            "operation": event.key[:80],
            "microseconds": round(getattr(event, name) / PROFILED, 1),
            "calls": round(event.count / PROFILED, 1),
        }
        for event in events[:OPERATIONS]
    ]


def count_kernels(call: Callable[[], object]) -> float:
    """How many kernels the GPU runs in a step."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(PROFILED):
            call()
        torch.cuda.synchronize()
    events = [event for event in profiled.events() if event.device_type == DeviceType.CUDA]
    return sum(not event.is_user_annotation for event in events) / PROFILED


def show(result: dict[str, Any]) -> None:
    """Print the figures of one network."""
    print(f"{result['network']}: images a second, and the fastest gated step ({result['best']}) over it")
    for label, row in result["rows"].items():
        speed, over = row["images_per_second"], result["images_per_second_of_the_best_over"]
        times = over[f"gated, {result['best']} / {label}"]["median"]
        kernels = (result["kernels"] or {}).get(label)
        note = "" if kernels is None else f"{kernels:8.0f} kernels"
        print(f"  {label:<44}{speed['median']:>12,.0f}{times:>8.2f}{note}", flush=True)


if __name__ == "__main__":
    main()
