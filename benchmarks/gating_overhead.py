"""What the gates cost: a gated model over the same network without gates, in time, memory and parameters.

    python benchmarks/gating_overhead.py [--repeats 101] [--cases mrvae_mlp ...] [--gatings affine shrinkage]
        [--batch-sizes 64 256] [-o FILE]

Two gatings are measured: "shrinkage", the default of `create_model`, and "affine", which has the same gates but no
moving weights at the latents.

The two are run in turn (A B, B A, ...), so that a change of the machine's speed falls on both; a figure is the median
of the ratios of all turns, with their quartiles. On the CPU and, where there is one, on a GPU; eager and compiled.
Prints a table with the goal beside each figure and writes benchmarks/results/gating_overhead.json.

The plain side is a FixedRateVAE, which computes nothing of β. "Peak memory" is that of a training step: parameters,
their gradients, the two moments of Adam, and on top of these what is allocated at the peak (on a GPU), or what the
forward pass keeps for the backward pass (on the CPU, where nothing counts the peak; each storage once). "Activations"
is the second part alone.
"""

import argparse
import functools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import mrvae_zoo
from mrvae_zoo.common.files import write_atomically

CASES: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "mrvae_mlp": ((1, 28, 28), {}),
    "mrvae_conv": ((1, 28, 28), {}),
    "mrvae_resnet": ((3, 32, 32), {}),
}
GATINGS = ("affine", "shrinkage")
GOALS = {
    ("forward, one β", "eager"): 1.05,
    ("forward, one β", "compiled"): 1.02,
    ("forward, folded", "eager"): 1.0,
    ("forward, folded", "compiled"): 1.0,
    ("forward, β an example", "eager"): 1.25,
    ("forward, β an example", "compiled"): 1.10,
    ("training step, β an example", "eager"): 1.25,
    ("training step, β an example", "compiled"): 1.10,
    ("peak memory of a training step", "compiled"): 1.15,
    ("parameters", ""): 1.05,
}
BETA = 0.5
SHORTEST = 0.005  # seconds that one timing takes at least: the clock and the loop are then nothing

Step = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One ratio, gated over plain."""

    case: str
    gating: str
    device: str
    batch: int | None
    mode: str
    what: str
    ratio: float
    quartiles: tuple[float, float] | None = None
    plain_ms: float | None = None

    @property
    def goal(self) -> float | None:
        """What the ratio should not exceed."""
        return GOALS.get((self.what, self.mode))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=101)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--gatings", nargs="+", default=list(GATINGS), choices=GATINGS)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[64, 256])
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results" / "gating_overhead.json")
    given = parser.parse_args()
    figures = []
    for case in given.cases:
        if case not in mrvae_zoo.list_architectures():
            print(f"{case} is not registered; skipped")
            continue
        for gating in given.gatings:
            figures.append(parameters(case, gating))
            show(figures[-1])
            for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
                for batch in given.batch_sizes:
                    for mode in ("eager", "compiled"):
                        for figure in measure(case, gating, device, batch, mode, given.repeats):
                            figures.append(figure)
                            show(figure)
    result = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "repeats": given.repeats,
        "figures": [asdict(figure) | {"goal": figure.goal} for figure in figures],
    }
    write_atomically(given.output, json.dumps(result, indent=1) + "\n")


def show(figure: Figure) -> None:
    """A row of the table."""
    spread = "" if figure.quartiles is None else "[{:.3f}, {:.3f}]".format(*figure.quartiles)
    plain = "" if figure.plain_ms is None else f"plain {figure.plain_ms:.2f} ms"
    goal = "" if figure.goal is None else f"goal {figure.goal:.2f}"
    batch = "" if figure.batch is None else f"{figure.batch:>4}"
    print(
        f"{figure.case:<13} {figure.gating:<9} {figure.device:<5} {batch:<5} {figure.mode:<9} {figure.what:<30} "
        f"{figure.ratio:.3f} {spread:<16} {goal:<10} {plain}",
        flush=True,
    )


def make(case: str, gating: str) -> mrvae_zoo.MultiRateVAE:
    """A model of the zoo's size, its gates away from the identity."""
    torch.manual_seed(0)
    shape, options = CASES[case]
    model = mrvae_zoo.create_model(case, input_shape=shape, gating=gating, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    return model


def parameters(case: str, gating: str) -> Figure:
    """How many more a gated model has."""
    gated, plain = (sum(p.numel() for p in make(case, one).parameters()) for one in (gating, "none"))
    ratio = round(gated / plain, 4)
    return Figure(case=case, gating=gating, device="", batch=None, mode="", what="parameters", ratio=ratio)


def measure(case: str, gating: str, device: str, batch: int, mode: str, repeats: int) -> list[Figure]:
    """Every ratio of one case with one gating at one batch size."""
    torch._dynamo.reset()  # graphs of this batch size alone, not the general ones that a second size would bring
    gated, plain = make(case, gating).to(device), make(case, "none").at(1.0).to(device)
    x = torch.rand(batch, *gated.input_shape, device=device)
    beta = mrvae_zoo.sample_beta(batch, gated.beta_range).to(device)

    def ready(function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function, fullgraph=True) if mode == "compiled" else function

    def figure(what: str, step: Step, reference: Step) -> Figure:
        ratios, plain_ms = in_turn(step, reference, device, repeats)
        low, middle, high = statistics.quantiles(ratios, n=4)
        return Figure(
            case=case,
            gating=gating,
            device=device,
            batch=batch,
            mode=mode,
            what=what,
            ratio=round(middle, 4),
            quartiles=(round(low, 4), round(high, 4)),
            plain_ms=round(plain_ms, 4),
        )

    figures = []
    with torch.inference_mode():
        forward, reference, folded = (ready(each.eval()) for each in (gated, plain, gated.at(BETA)))
        for what, step in {
            "forward, one β": lambda: forward(x, BETA),
            "forward, folded": lambda: folded(x),
            "forward, β an example": lambda: forward(x, beta),
        }.items():
            figures.append(figure(what, step, lambda: reference(x)))

    def loss(model: nn.Module, *given: Tensor) -> Tensor:
        out = model(x, *given)
        return (out.distortion + beta * out.rate).mean()

    losses = [ready(loss), ready(loss)]  # a compiler of its own for each
    steps = [
        training_step(gated.train(), lambda: losses[0](gated, beta)),
        training_step(plain.train(), lambda: losses[1](plain)),
    ]
    figures.append(figure("training step, β an example", *steps))
    activations = [
        memory(device, step, functools.partial(loss, model, *given), model)
        for step, loss, model, given in zip(steps, losses, (gated, plain), ((beta,), ()), strict=True)
    ]
    states = [4 * sum(p.numel() * p.element_size() for p in model.parameters()) for model in (gated, plain)]
    peaks = [a + b for a, b in zip(activations, states, strict=True)]
    for what, (ours, theirs) in {
        "activations of a training step": activations,
        "peak memory of a training step": peaks,
    }.items():
        ratio = round(ours / theirs, 4)
        figures.append(Figure(case=case, gating=gating, device=device, batch=batch, mode=mode, what=what, ratio=ratio))
    return figures


def training_step(model: nn.Module, loss: Callable[[], Tensor]) -> Step:
    """Forward, backward and Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step


def in_turn(step: Step, reference: Step, device: str, repeats: int) -> tuple[list[float], float]:
    """Step over reference, a ratio a turn; and the median milliseconds of the reference."""
    for each in (step, reference) * 3:  # compile, fill caches
        each()
    count = max(1, round(SHORTEST / seconds(reference, device, 1)))
    ratios, references = [], []
    for turn in range(repeats):
        if turn % 2:
            plain = seconds(reference, device, count)
            gated = seconds(step, device, count)
        else:
            gated = seconds(step, device, count)
            plain = seconds(reference, device, count)
        ratios.append(gated / plain)
        references.append(plain / count * 1e3)
    return ratios, statistics.median(references)


def seconds(step: Step, device: str, count: int) -> float:
    """How long `count` steps take."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(count):
        step()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: str) -> None:
    """Wait for the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()


def memory(device: str, step: Step, loss: Callable[[], Tensor], model: nn.Module) -> int:
    """The bytes of a training step beyond parameters, gradients and moments; see the top of the file."""
    if device == "cuda":
        step()
        model.zero_grad(set_to_none=True)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        gradients = sum(p.numel() * p.element_size() for p in model.parameters())
        return max(0, torch.cuda.max_memory_allocated() - before - gradients)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    sizes: dict[int, int] = {}
    alive = []  # a storage that is freed would lend its address to the next

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss()
    return sum(sizes.values())


if __name__ == "__main__":
    main()
