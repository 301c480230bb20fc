"""Measuring a model: its rate-distortion curve on a data set."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mrvae_zoo.data import ImageData, load_data
from mrvae_zoo.rd_curve import RDCurve, RDPoint
from mrvae_zoo.recipes import DataRecipe
from mrvae_zoo.vae import FixedRateVAE, MultiRateVAE


def log_spaced(beta_range: tuple[float, float], count: int) -> list[float]:
    """`count` values of β from one end of the range to the other, in equal steps of log β, to 4 digits."""
    low, high = beta_range
    ratio = (math.log(high) - math.log(low)) / (count - 1)
    inner = [float(f"{low * math.exp(i * ratio):.4g}") for i in range(1, count - 1)]
    return [low, *inner, high]


@torch.no_grad()
def rate_distortion(
    model: MultiRateVAE | FixedRateVAE,
    data: ImageData,
    betas: Sequence[float],
    *,
    samples: int = 1,
    seed: int = 0,
    batch_size: int = 500,
    progress: Callable[[float], None] = lambda _: None,
) -> RDCurve:
    """Rate and distortion of a model at each β, means over the data.

    Args:
        model: in eval mode; a FixedRateVAE has its own β only.
        data: where to measure.
        betas: rising; each is measured with its gates folded.
        samples: draws of z for an example and β.
        seed: of these draws, the same for every β.
        batch_size: how many examples to hold at once.
        progress: called with the share done, in [0, 1].

    Returns:
        The curve, in nats per example.

    Raises:
        ValueError: a β that the model does not take, or data of another shape.
    """
    data = data.to(model.device)
    generator = torch.Generator()
    points = []
    for number, beta in enumerate(betas):
        plain = model.at(beta)
        generator.manual_seed(seed)
        total = torch.zeros(2, dtype=torch.float64, device=model.device)
        for x in data.batches(batch_size):
            for _ in range(samples):
                output = plain(x, generator=generator)
                total += torch.stack([output.rate.double().sum(), output.distortion.double().sum()])
        rate, distortion = (total / (samples * len(data))).tolist()
        points.append(RDPoint(beta=beta, rate=rate, distortion=distortion))
        progress((number + 1) / len(betas))
    return RDCurve(points=tuple(points), data=data.describe(), samples=samples, seed=seed)


def measure_again(
    model: MultiRateVAE | FixedRateVAE,
    data_root: Path,
    *,
    data_name: str | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> RDCurve:
    """The published curve of a model, measured again with the same β, draws and seed.

    Args:
        model: with a curve.
        data_root: the folder of data sets.
        data_name: another set than the one the curve names; it is not binarised.
        progress: see `rate_distortion`.

    Raises:
        ValueError: the model has no curve, or its curve does not say what it was measured on.
        FileNotFoundError: the data set is not there.
    """
    if model.curve is None or "name" not in model.curve.data:
        raise ValueError("this model has no curve that says what it was measured on")
    published = model.curve.data
    size = tuple(published["size"]) if "size" in published else None
    recipe = DataRecipe(name=published["name"], binarize=published.get("binarize", "none"), size=size)
    if data_name is not None and data_name != published["name"]:
        recipe = DataRecipe(name=data_name, size=size)
    data = load_data(recipe, "test", data_root, model.input_shape)
    curve = model.curve
    return rate_distortion(model, data, curve.betas, samples=curve.samples, seed=curve.seed, progress=progress)


def deviation(published: RDPoint, measured: RDPoint) -> float:
    """The larger of the relative differences in rate and in distortion; below 1 nat, in nats."""
    pairs = ((published.rate, measured.rate), (published.distortion, measured.distortion))
    return max(abs(new - old) / max(abs(old), 1.0) for old, new in pairs)
