"""Examples a second in training: the loop of the package against the same network without gates, and a plain loop.

    python benchmarks/training_throughput.py [--data-root DIR] [--turns 31] [--workers 0 2] [--threads 1] [-o FILE]

Trains `mrvae_resnet` at its default sizes, in float32, on the GPU where there is one:

- gated: as `mrvae train` does (images, noise, network, optimiser, average of the weights), eager and compiled;
- ungated: the same with gating = "none";
- plain: encoder and decoder of the ungated network in a loop as one writes it by hand: a DataLoader over torchvision's
  data set with ToTensor, once for each number of worker processes, one β, backward, torch.optim.Adam. It draws no
  binarisation, averages no weights, follows no schedule and looks for no fault;
- plain gated: the same loop around the gated network, with a β for each example.

All run in turn (A B C ..., ... C B A), so that a change of the machine's speed falls on all; a figure is the median
over the turns, with its quartiles, and a ratio that of the ratios within a turn. The first steps of every turn are not
timed: by then the workers' queues, which filled up in the pause, are as they are in a long training. The package's loop
is compared with the plain one whose number of workers is the fastest. It binarises MNIST dynamically. Without
--data-root, or where a set is not there, the images are random, which changes no speed.

On a CPU every ratio stands there twice: of the time that passed, and of the CPU time of the process that trains, which
for one thread on a machine that does nothing else is the same, and on another is steadier. It counts neither what the
workers compute nor the wait for them, so it favours a plain loop that has some.

"Waits" is the part of a step in which the device has nothing to do: on a GPU 1 − the time that its kernels take
(torch.profiler) over that of the step; on a CPU, which is never idle, the part that fetching and preparing the images
takes. Prints a table and writes benchmarks/results/training_throughput_DEVICE.json.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torchvision.transforms import ToTensor

import mrvae_zoo
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.processes import make_accelerator
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.factory import build_model, config_from_options
from mrvae_zoo.training.loop import Loop, orders
from mrvae_zoo.training.recipe import Recipe, TrainingRecipe

CASES: dict[tuple[int, int, int], tuple[DataRecipe, type[torchvision.datasets.VisionDataset]]] = {
    (1, 28, 28): (DataRecipe(name="mnist", binarize="dynamic"), torchvision.datasets.MNIST),
    (3, 32, 32): (DataRecipe(name="cifar10"), torchvision.datasets.CIFAR10),
}
GATINGS = {"gated": "affine", "ungated": "none"}
PLAIN = {"plain": "none", "plain gated": "affine"}
MODES = ("eager", "compiled")
GOALS = {"cpu": 1.0, "cuda": 5.0}  # gated over plain, at least
BETA = 1.0
RATE = 1e-5  # of learning: nothing diverges in however many turns
UNTIMED = 6  # steps; two workers keep four batches
SHORTEST = 0.5  # seconds that one timing takes at least
FEWEST = 5  # steps of one timing
PROFILED = 20  # steps
EPOCHS = 1_000_000  # no training ends before the benchmark does


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A training that goes on step by step.

    Attributes:
        kind: "gated", "ungated", "plain" or "plain gated".
        mode: "eager" or "compiled"; for the plain loop also how many workers fetch.
        step: trains on one batch.
        fetching: seconds that fetching and preparing took, one number a part; the step adds to it.
    """

    kind: str
    mode: str
    step: Callable[[], None]
    fetching: list[float]
    seconds: list[float] = field(default_factory=list)  # a step, one number a turn
    cpu_seconds: list[float] = field(default_factory=list)  # of this process, likewise
    waits: list[float] = field(default_factory=list)  # part of a step, one number a turn

    @property
    def name(self) -> str:
        """Of the rows of the table."""
        return f"{self.kind}, {self.mode}"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--turns", type=int, default=31)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = make_accelerator().device
    results = []
    for shape in CASES:
        data = images(shape, given.data_root)
        contestants = [
            *(loop(shape, data, given.batch_size, gating, mode) for gating in GATINGS for mode in MODES),
            *(
                plain(shape, data, given.batch_size, kind, workers, device)
                for kind in PLAIN
                for workers in given.workers
            ),
        ]
        in_turn(contestants, device, given.turns)
        result = {"input_shape": shape, "data": data.name} | summary(contestants, given.batch_size, device)
        results.append(result)
        show(result)
    document = {
        "torch": torch.__version__,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if device.type == "cuda" else None,
        "batch_size": given.batch_size,
        "turns": given.turns,
        "results": results,
    }
    default = Path(__file__).parent / "results" / f"training_throughput_{device.type}.json"
    write_atomically(given.output or default, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def images(shape: tuple[int, int, int], root: Path | None) -> ImageData:
    """The training images of a case, or random ones."""
    recipe, _ = CASES[shape]
    if root is not None:
        try:
            return load_data(recipe, "train", root, shape)
        except FileNotFoundError as error:
            print(f"random images in place of {recipe.name}: {error}")
    drawn = torch.randint(256, (50_000, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageData(name="random", split="train", images=drawn, binarize=recipe.binarize)


def config(shape: tuple[int, int, int], gating: str) -> ModelConfig:
    """Of the network, at its default sizes."""
    options = {"architecture": "mrvae_resnet", "input_shape": shape, "gating": gating}
    return config_from_options(options, where="benchmark")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedImages(ImageData):
    """Images that note how long they took to prepare."""

    fetching: list[float]

    def prepare(self, *given: Any) -> Tensor:
        """See `ImageData`."""
        start = time.perf_counter()
        x = ImageData.prepare(self, *given)
        self.fetching.append(time.perf_counter() - start)
        return x


def loop(shape: tuple[int, int, int], data: ImageData, batch: int, kind: str, mode: str) -> Contestant:
    """The loop of the package."""
    torch.manual_seed(0)
    accelerator = make_accelerator()
    recipe = Recipe(
        model=config(shape, GATINGS[kind]),
        data=CASES[shape][0],
        training=TrainingRecipe(
            epochs=EPOCHS, batch_size=batch, learning_rate=RATE, schedule="constant", compile=mode == "compiled"
        ),
    )
    model = build_model(recipe.model)
    assert isinstance(model, mrvae_zoo.MultiRateVAE)
    fetching: list[float] = []
    timed = TimedImages(
        name=data.name, split=data.split, images=data.images, binarize=data.binarize, fetching=fetching
    ).to(accelerator.device)
    training = Loop(model, timed, recipe, accelerator, Path())  # steps alone write nothing
    batches = stopwatch(timed.read(orders(len(data), batch, training.steps, seed=0)), fetching)

    def step() -> None:
        training.take_step(next(batches))

    return Contestant(kind=kind, mode=mode, step=step, fetching=fetching)


def plain(
    shape: tuple[int, int, int], data: ImageData, batch: int, kind: str, workers: int, device: torch.device
) -> Contestant:
    """A loop as one writes it by hand."""
    torch.manual_seed(0)
    model = build_model(config(shape, PLAIN[kind])).to(device)
    encoder, decoder = model.encoder, model.decoder
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    loader = torch.utils.data.DataLoader(
        torchvision_set(CASES[shape][1], data.images),
        batch_size=batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
    )

    def epochs() -> Iterator[Tensor]:
        while True:
            for x, _ in loader:
                yield x.to(device, non_blocking=True)

    fetching: list[float] = []
    batches = stopwatch(epochs(), fetching)

    def gated_loss(x: Tensor) -> Tensor:
        beta = mrvae_zoo.sample_beta(len(x), model.beta_range, device=device)
        out = model(x, beta)
        return (out.distortion + beta * out.rate).mean()

    def ungated_loss(x: Tensor) -> Tensor:
        mean, log_var = encoder(x, None)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        distortion = F.binary_cross_entropy_with_logits(decoder(z, None), x, reduction="sum") / len(x)
        rate = 0.5 * (mean.square() + log_var.exp() - log_var - 1).sum() / len(x)
        return distortion + BETA * rate

    def step() -> None:
        x = next(batches)
        loss = gated_loss(x) if kind == "plain gated" else ungated_loss(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return Contestant(kind=kind, mode=f"eager, {workers} workers", step=step, fetching=fetching)


def torchvision_set(
    kind: type[torchvision.datasets.VisionDataset], drawn: Tensor
) -> torchvision.datasets.VisionDataset:
    """Torchvision's data set over given images (N, C, H, W), not over files: its reader of CIFAR10 unpickles."""
    made: Any = kind.__new__(kind)
    grey = drawn.shape[1] == 1
    made.data = drawn[:, 0] if grey else drawn.permute(0, 2, 3, 1).contiguous().numpy()
    made.targets = torch.zeros(len(drawn), dtype=torch.long) if grey else [0] * len(drawn)
    made.transform, made.target_transform = ToTensor(), None
    return made


def stopwatch(batches: Iterator[Tensor], seconds: list[float]) -> Iterator[Tensor]:
    """The same batches; how long each took to come is noted."""
    while True:
        start = time.perf_counter()
        batch = next(batches)
        seconds.append(time.perf_counter() - start)
        yield batch


def in_turn(contestants: list[Contestant], device: torch.device, turns: int) -> None:
    """Time every contestant in every turn, and note what it took."""
    torch._dynamo.reset()  # graphs of this case alone
    for contestant in contestants:
        timing(contestant, device, FEWEST)  # compiles
    counts = [max(FEWEST, round(SHORTEST / timing(each, device, FEWEST).seconds)) for each in contestants]
    kernels = [kernel_seconds(each) if device.type == "cuda" else None for each in contestants]
    for turn in range(turns):
        entries = list(zip(contestants, counts, kernels, strict=True))
        for contestant, count, busy in entries[::-1] if turn % 2 else entries:
            taken = timing(contestant, device, count)
            contestant.seconds.append(taken.seconds)
            contestant.cpu_seconds.append(taken.cpu_seconds)
            contestant.waits.append(taken.fetching / taken.seconds if busy is None else 1 - busy / taken.seconds)


class Timing(NamedTuple):
    """Of a step: the seconds that it took, those that this process computed, those that the images took to come."""

    seconds: float
    cpu_seconds: float
    fetching: float


def timing(contestant: Contestant, device: torch.device, count: int) -> Timing:
    """What a step takes, in the mean of `count`."""
    for _ in range(UNTIMED):
        contestant.step()
    synchronize(device)
    contestant.fetching.clear()
    start, cpu_start = time.perf_counter(), time.process_time()
    for _ in range(count):
        contestant.step()
    synchronize(device)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    return Timing(seconds / count, cpu_seconds / count, sum(contestant.fetching) / count)


def synchronize(device: torch.device) -> None:
    """Wait for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def kernel_seconds(contestant: Contestant) -> float:
    """How long the GPU works for a step."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(PROFILED):
            contestant.step()
        torch.cuda.synchronize()
    events = [event for event in profiled.events() if event.device_type == DeviceType.CUDA]
    microseconds = sum(event.self_device_time_total for event in events if not event.is_user_annotation)
    return microseconds / 1e6 / PROFILED


def summary(contestants: list[Contestant], batch: int, device: torch.device) -> dict[str, Any]:
    """The figures of one case."""
    fastest = {
        kind: min((each for each in contestants if each.kind == kind), key=lambda each: statistics.median(each.seconds))
        for kind in PLAIN
    }
    by_name = {each.name: each for each in contestants}
    speeds = {
        each.name: {
            "examples_per_second": quartiles([batch / seconds for seconds in each.seconds], 1),
            "waits": quartiles(each.waits, 4),
        }
        for each in contestants
    }
    ratios = [
        {
            "of": ours.name,
            "over": theirs.name,
            "ratio": ratio(ours.seconds, theirs.seconds),
            "cpu_ratio": ratio(ours.cpu_seconds, theirs.cpu_seconds) if device.type == "cpu" else None,
            "goal": GOALS.get(device.type) if ours.kind == "gated" and theirs.kind in PLAIN else None,
        }
        for mode in MODES
        for kind in GATINGS
        for ours in [by_name[f"{kind}, {mode}"]]
        for theirs in [
            fastest["plain"],
            *([fastest["plain gated"], by_name[f"ungated, {mode}"]] if kind == "gated" else []),
        ]
    ]
    return {"speeds": speeds, "ratios": ratios}


def ratio(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """How many times as fast ours are."""
    return quartiles([b / a for a, b in zip(ours, theirs, strict=True)], 3)


def quartiles(values: list[float], digits: int) -> dict[str, float]:
    """The median and what lies a quarter below and above."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, digits), "low": round(low, digits), "high": round(high, digits)}


def show(result: dict[str, Any]) -> None:
    """The rows of one case."""
    print(f"{result['input_shape']} {result['data']}")
    for name, row in result["speeds"].items():
        speed, waits = row["examples_per_second"], row["waits"]
        print(
            f"  {name:<26} {speed['median']:>9.1f} [{speed['low']:.1f}, {speed['high']:.1f}] examples/s, "
            f"waits {waits['median']:.1%}"
        )
    for row in result["ratios"]:
        both = [each for each in (row["ratio"], row["cpu_ratio"]) if each is not None]
        figures = ", CPU time ".join("{median:.3f} [{low:.3f}, {high:.3f}]".format(**each) for each in both)
        goal = "" if row["goal"] is None else f"goal {row['goal']:.1f}"
        print(f"  {row['of']:<17} over {row['over']:<24} {figures} {goal}", flush=True)


if __name__ == "__main__":
    main()
