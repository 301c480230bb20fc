"""Samples from the prior and from the fitted mixtures, beside test images.

    python benchmarks/samplers.py --data-root DIR [--model NAME …] [--samples 5000]

Images are compared in a space of features: their pixels, projected to the 64 leading principal components of the
training images. That space knows shapes, colours and layouts. It knows little of sharpness, so blur is hardly punished:
figures tell samplers of one model apart, and say nothing about other kinds of generators.

- MMD: the squared maximum mean discrepancy with a Gaussian kernel, whose width is the median distance between test
  images, times 1000, and its standard error. 0 is no difference. Source: the unbiased estimate of Gretton et al., "A
  Kernel Two-Sample Test", JMLR 2012.
- precision: the share of samples that lie nearer to some test image than its third nearest neighbour among the test
  images does; recall: the same with the roles exchanged. Source: Kynkäänniemi et al., "Improved Precision and Recall
  Metric for Assessing Generative Models", NeurIPS 2019.

Beside "prior" and "mixture" stand "posterior", decoded draws from the posteriors of training images, which no sampler
of the latents can beat but by chance, and once for all β "training", training images themselves.

Writes benchmarks/results/samplers.json, docs/results/samplers_MODEL.png (samples at three β) and the table of
docs/guides/sampling.md.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import insert
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances, pairwise_distances_chunked
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors

import mrvae_zoo
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.grids import grid, to_png
from mrvae_zoo.common.markdown import table
from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.evaluation.fit_sampler import aggregated_posterior
from mrvae_zoo.evaluation.published import measured_split

Features = NDArray[np.float64]  # (n, 64)

CHECKOUT = Path(__file__).parents[1]
RESULTS, PAGE = "benchmarks/results/samplers.json", "docs/guides/sampling.md"
PICTURES = "docs/results/samplers_{name}.png"
MODELS = ("mrvae_mlp.mnist", "mrvae_resnet.cifar10")
BETAS, SHOWN = (0.01, 0.1, 0.3162, 1.0, 10.0), (0.01, 0.1, 1.0)  # that are measured, and of the pictures
COMPONENTS, NEIGHBOURS = 64, 3
FITTED_TO = 10_000  # training images that the components are found on
COLUMNS, BATCH, SEED = 12, 250, 1
SOURCES = ("prior", "mixture", "posterior")


def main() -> None:
    """Measure, and write the results, the pictures and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--model", action="append", dest="models", metavar="NAME", help="a model with a sampler")
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, help="where to write; the checkout of this script")
    given = parser.parse_args()
    result: dict[str, Any] = {
        "features": f"{COMPONENTS} principal components of the pixels of {FITTED_TO} training images",
        "samples": given.samples,
        "neighbours": NEIGHBOURS,
        "seed": SEED,
        "models": {},
    }
    for name in given.models or MODELS:
        model = mrvae_zoo.load_pretrained(name)
        result["models"][name] = measure(model, given.data_root, given.samples)
        picture(model, given.checkout / PICTURES.format(name=name))
    page = insert((given.checkout / PAGE).read_text(encoding="utf-8"), "samplers", table_part(result))
    write_atomically(given.checkout / RESULTS, json.dumps(result, indent=1) + "\n")
    write_atomically(given.checkout / PAGE, page)


@torch.no_grad()
def measure(model: mrvae_zoo.BaseVAE, data_root: Path, count: int) -> dict[str, Any]:
    """Return the figures of one model, for `count` samples of each kind."""
    if model.sampler is None:
        raise SystemExit(f"{model.name} has no sampler; fit one with: mrvae fit-sampler {model.name} --data-root DIR")
    recipe = mrvae_zoo.read_recipe(CHECKOUT / "registry" / str(model.name) / "recipe.toml")
    training = mrvae_zoo.load_data(recipe.data, "train", data_root, model.input_shape)
    # Grey values, as samples have them, also where the curve is measured on binarised images.
    split = measured_split(model, data_root, data_name=recipe.data.name)
    test = some(mrvae_zoo.load_data(recipe.data.name, "test", data_root, model.input_shape), count)
    reduce = PCA(COMPONENTS, random_state=SEED).fit(some(training, FITTED_TO))
    real = Compared(reduce.transform(test))
    found: dict[str, Any] = {
        "data": {"name": split.name, "split": "test"},
        "explained": round(float(reduce.explained_variance_ratio_.sum()), 4),
        "training": real.to(reduce.transform(some(training, count, seed=SEED + 1))),
        "points": [],
    }
    drawn = aggregated_posterior(model, training, BETAS, examples=count, seed=SEED)
    for beta, z in zip(BETAS, drawn, strict=True):
        plain, row = model.at(beta), {"beta": beta}
        for source in SOURCES:
            images = decoded(plain, z) if source == "posterior" else sampled(plain, source, count)
            row[source] = real.to(reduce.transform(images))
        found["points"].append(row)
        print(f"{model.name} β = {beta:g}: " + ", ".join(f"{source} {row[source]['mmd']:.3f}" for source in SOURCES))
    return found


class Compared:
    """The features of test images (n, 64), to which those of samples are compared."""

    def __init__(self, real: Features) -> None:
        self.real = real
        self.gamma = 0.5 / np.median(pairwise_distances(real[:1000])[np.triu_indices(1000, 1)]) ** 2
        self.radii = radii(real)

    def to(self, samples: Features) -> dict[str, float]:
        """Return MMD² and its standard error (both times 1000), precision and recall, for as many samples as images."""
        squared, error = mmd(samples, self.real, self.gamma)
        return {
            "mmd": round(1000 * squared, 4),
            "mmd_error": round(1000 * error, 4),
            "precision": round(covered(samples, self.real, self.radii), 4),
            "recall": round(covered(self.real, samples, radii(samples)), 4),
        }


def mmd(a: Features, b: Features, gamma: float) -> tuple[float, float]:
    """Return the squared MMD of two samples of n each with the kernel exp(−gamma·|x − y|²), and its standard error.

    It is a mean over pairs of places i ≠ j, as the unbiased estimate of the paper for n = m; the error is that of such
    a mean to first order, from the spread of its n rows.
    """

    def rows(x: Features, y: Features) -> Features:
        kernel = rbf_kernel(x, y, gamma=gamma)
        return (kernel.sum(1) - kernel.diagonal()) / (len(x) - 1)

    per_row = rows(a, a) + rows(b, b) - rows(a, b) - rows(b, a)
    return float(per_row.mean()), float(2 * per_row.std(ddof=1) / len(a) ** 0.5)


def radii(points: Features) -> Features:
    """Return the distance of each point to its third nearest neighbour among the others: (n,)."""
    distances, _ = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(points).kneighbors()
    return distances[:, -1]


def covered(points: Features, others: Features, reach: Features) -> float:
    """Return the share of points that lie within the reach of at least one of the others."""
    parts = pairwise_distances_chunked(points, others, reduce_func=lambda part, _: (part <= reach).any(1))
    return float(np.concatenate([*parts]).mean())


def some(data: mrvae_zoo.ImageData, count: int, *, seed: int = SEED) -> Features:
    """Return the pixels of images that are chosen at random: (n, C·H·W) in [0, 1], not binarised."""
    chosen = torch.randperm(len(data), generator=seeded_generator(seed))[:count]
    return np.concatenate([(images.float() / 255).flatten(1).numpy() for images in data.read(chosen.split(1000))])


def sampled(plain: mrvae_zoo.FixedRateVAE, source: Any, count: int) -> Features:
    """Return the pixels of samples: (n, C·H·W) in [0, 1]."""
    generator = seeded_generator(SEED)
    return pixels(plain.sample(BATCH, sampler=source, generator=generator) for _ in range(0, count, BATCH))[:count]


def decoded(plain: mrvae_zoo.FixedRateVAE, z: torch.Tensor) -> Features:
    """Return the pixels of decoded latents: (n, C·H·W) in [0, 1]."""
    return pixels(plain.decode(part) for part in z.split(BATCH))


def pixels(parts: Iterator[torch.Tensor]) -> Features:
    """Return images as rows of pixels."""
    return np.concatenate([part.flatten(1).numpy() for part in parts])


@torch.no_grad()
def picture(model: mrvae_zoo.BaseVAE, path: Path) -> None:
    """Draw samples of the prior and of the mixture at three β; none are selected."""
    rows, labels = [], []
    for beta in SHOWN:
        for source in ("prior", "mixture"):
            drawn = model.sample(COLUMNS, beta, sampler=source, generator=seeded_generator(SEED))
            rows.append(model.config.to_unit_range(drawn))
            labels.append((f"β = {beta:g}", source))
    write_atomically(path, to_png(grid(rows, labels)))


def table_part(result: dict[str, Any]) -> str:
    """Return the table of the page."""
    rows = []
    for name, found in result["models"].items():
        rows += [
            [f"`{name}`", f"{row['beta']:g}", *cells([row[source] for source in SOURCES])] for row in found["points"]
        ]
        rows.append([f"`{name}`", "training images", *cells([found["training"]]), *[""] * 4])
    figures = ("MMD", "precision, recall")
    return (
        table(("", "β", *(f"{source}: {each}" for source in SOURCES for each in figures)), rows, "ll" + "r" * 6) + "\n"
    )


def cells(figures: Sequence[dict[str, float]]) -> Iterator[str]:
    """Return two cells for each."""
    for one in figures:
        yield f"{one['mmd']:.2f} ± {one['mmd_error']:.2f}"
        yield f"{one['precision']:.2f}, {one['recall']:.2f}"


if __name__ == "__main__":
    main()
