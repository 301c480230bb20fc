"""The gap between two models, and its 95% interval over test images and over trainings with several seeds.

Two things make a measured gap differ from the one that is meant: the test images are a sample, and so are the
trainings. The first is seen in the spread over images, the second in the spread over seeds.

Letters: N images of the test split, S seeds, K values of β.
"""

import importlib.util
import math
import statistics
from collections.abc import Sequence

from torch import Tensor

from mrvae_zoo.errors import MissingExtraError

NORMAL_95 = 1.959964  # standard deviations, of a 95% interval


def relative_gap(ours: Tensor, dedicated: Tensor) -> tuple[float, float]:
    """Return the gap between two models and its standard error, with images as the sampling unit.

    The gap is a ratio of two means minus one. By the delta method its variance is that of the mean over images of ours
    − ratio · dedicated, divided by the squared mean of `dedicated`.

    Args:
        ours: The loss L of each image, (N,) nats.
        dedicated: The loss L of the dedicated β-VAE for the same images, (N,) nats.
    """
    base = dedicated.mean().item()
    gap = (ours - dedicated).mean().item() / base
    residual = ours - (1 + gap) * dedicated
    error = residual.std().item() / math.sqrt(len(residual)) / base if len(residual) > 1 else 0.0
    return gap, error


def intervals(
    gaps: Sequence[float], errors: Sequence[float], spread: Sequence[float], seeds: int
) -> tuple[tuple[float, float], ...]:
    """Return the 95% interval of the gap at each β, from images and several trainings together.

    Its half-width is the root of (1.96 × standard error over images)² + (t · s / √S)². The spread s is pooled over β,
    because that of a few trainings at a single β says little: the root of the mean of its square. t is the quantile of
    Student's distribution with (S − 1) · K degrees of freedom.

    Args:
        gaps: The gap at each β, averaged over seeds, (K,).
        errors: The standard error of each gap over images, (K,).
        spread: The standard deviation of the gap over seeds at each β, (K,).
        seeds: The number S of seeds, at least 2.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    pooled = math.sqrt(statistics.fmean(each**2 for each in spread))
    over_trainings = student_95((seeds - 1) * len(gaps)) * pooled / math.sqrt(seeds)
    halves = [math.hypot(NORMAL_95 * error, over_trainings) for error in errors]
    return tuple((gap - half, gap + half) for gap, half in zip(gaps, halves, strict=True))


def student_95(degrees: int) -> float:
    """Return the end of the middle 95% of Student's distribution with so many degrees of freedom.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    check_scipy()
    from scipy.stats import t

    return float(t.ppf(0.975, degrees))


def check_scipy() -> None:
    """Raise a MissingExtraError where there is no SciPy: to know before long trainings."""
    if importlib.util.find_spec("scipy") is None:
        raise MissingExtraError("scipy", "plots")
