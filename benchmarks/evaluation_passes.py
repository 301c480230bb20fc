"""What measuring a curve costs: one pass over the data for all β, against one pass a β and against one gated pass.

    python benchmarks/evaluation_passes.py

Ratios of the time of two ways to measure rate and distortion at 13 β, run in turn (A B, B A, ...), so that a change of
the machine's speed falls on both; a figure is the median of the ratios of all turns, with their quartiles. "One pass"
is `rate_distortion`, which hands every batch to the folded network of each β. "One pass a β" calls it for each β alone.
"Gated" reads the data once too, and has the gated network encode every image at all β in one batch, one β per example.
In memory the images are decoded already; "PNG" decodes them whenever they are read, as a set does that is streamed.
On the CPU; writes benchmarks/results/evaluation_passes.json.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import mrvae_zoo
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.evaluation.measuring import CHUNK
from mrvae_zoo.evaluation.rate_distortion import rate_distortion
from mrvae_zoo.gating.beta import log_spaced

CASES = {"mrvae_mlp": 1024, "mrvae_conv": 256}  # and how many images it is measured on
SHAPE, POINTS = (1, 28, 28), 13
ROWS = 208  # images times β of a gated batch: 16 images, which was the fastest of 8, 16, 40, 100 and 250


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    figures = []
    for case in CASES:
        for figure in measure(case, given.repeats):
            figures.append(figure)
            print(figure, flush=True)
    result = {
        "torch": torch.__version__,
        "threads": given.threads,
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "repeats": given.repeats,
        "betas": POINTS,
        "figures": figures,
    }
    path = Path(__file__).parent / "results" / "evaluation_passes.json"
    write_atomically(path, json.dumps(result, indent=1) + "\n")


def measure(case: str, repeats: int) -> Iterator[dict[str, Any]]:
    """The ratios of one architecture."""
    torch.manual_seed(0)
    model = mrvae_zoo.create_model(case, input_shape=SHAPE).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    betas = log_spaced(model.beta_range, POINTS)
    images = np.random.default_rng(0).integers(0, 256, (CASES[case], *SHAPE), dtype=np.uint8)
    memory = ImageData(name="noise", split="test", images=torch.from_numpy(images))
    folder = tempfile.TemporaryDirectory()
    for number, image in enumerate(images[:, 0]):
        Image.fromarray(image).save(Path(folder.name) / f"{number:05}.png")
    for where, data in (("in memory", memory), ("PNG", folder.name)):

        def one_pass(data: Any = data) -> object:
            return rate_distortion(model, data, betas)

        def a_pass_each(data: Any = data) -> object:
            return [rate_distortion(model, data, [beta]) for beta in betas]

        def gated(data: Any = data) -> object:
            return gated_pass(model, data, betas)

        ways = [("one pass a β", a_pass_each)] + [("gated", gated)] * (data is memory)
        for name, way in ways:
            ratios = in_turn(one_pass, way, repeats)
            low, middle, high = statistics.quantiles(ratios, n=4)
            yield {
                "case": case,
                "images": where,
                "what": f"one pass over {name}",
                "ratio": round(middle, 3),
                "quartiles": [round(low, 3), round(high, 3)],
            }


@torch.no_grad()
def gated_pass(model: mrvae_zoo.MultiRateVAE, data: ImageData, betas: list[float]) -> Tensor:
    """Sums of rate and distortion (K, 2), every image encoded at all K β in one batch."""
    sums = torch.zeros(len(betas), 2, dtype=torch.float64)
    generator = torch.Generator()
    for number, chunk in enumerate(data.batches(CHUNK)):
        noise = torch.randn(len(chunk), model.latent_dim, generator=generator.manual_seed(number))
        size = ROWS // len(betas)
        for x, its_noise in zip(chunk.split(size), noise.split(size), strict=True):
            beta = torch.tensor(betas).repeat_interleave(len(x))
            output = model(x.repeat(len(betas), 1, 1, 1), beta, noise=its_noise.repeat(len(betas), 1))
            both = torch.stack([output.rate, output.distortion], dim=1)
            sums += both.double().view(len(betas), len(x), 2).sum(1)
    return sums


def in_turn(step: Callable[[], object], reference: Callable[[], object], repeats: int) -> list[float]:
    """The time of `step` over that of `reference`, a ratio a turn."""
    for each in (step, reference):  # fill caches
        each()
    ratios = []
    for turn in range(repeats):
        order = (step, reference) if turn % 2 else (reference, step)
        times = {each: seconds(each) for each in order}
        ratios.append(times[step] / times[reference])
    return ratios


def seconds(step: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
