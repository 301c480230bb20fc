"""A metric on a part of the examples, with its standard error and its 95% interval.

Letters: M figures, R resamples.
"""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.evaluation.metrics.base import Metric, Part, Score

RESAMPLES = 500
TENTHS = 10
STUDENT_95 = 2.262157  # the end of the middle 95% of Student's distribution with TENTHS − 1 degrees of freedom


class Estimate(NamedTuple):
    """A value, its standard error, and the ends of its 95% interval."""

    value: float
    error: float
    low: float
    high: float


def estimate(metric: Metric, score: Score, part: Part) -> Estimate:
    """Measure a metric on a part.

    If the metric gives figures, whose rows are examples or repetitions, the error is that of a bootstrap over the rows.
    The resamples are the same at every β, and those without any outlier do not count. If it gives a number, the error
    is that of a jackknife which leaves out a tenth of the examples at a time.

    Sources: Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979 (percentile interval); Shao and Wu, "A
    General Theory for Jackknife Variance Estimation", 1989 (leaving out groups).

    Raises:
        ValueError: The metric is not a finite number, or there are too few examples for an interval.
    """
    measured = score(part)
    if isinstance(measured, Tensor) and measured.ndim > 0:
        found = _by_bootstrap(metric, measured.detach().cpu().double(), part.seed)
    else:
        found = _by_jackknife(float(measured), score, part)
    if not all(map(math.isfinite, found)):
        raise ValueError(f"{metric.name} at beta={part.beta:g} is {found.value}; expected a finite number")
    return found


def _by_bootstrap(metric: Metric, figures: Tensor, seed: int) -> Estimate:
    value = metric.statistic(figures, torch.ones(1, len(figures), dtype=torch.float64)).item()
    if len(figures) < 2:
        raise ValueError(f"{metric.name} gave {len(figures)} figures, too few for an interval; take more examples")
    resampled = metric.statistic(figures, resampling(len(figures), seed))
    resampled = resampled[resampled.isfinite()]  # without those that drew not one of a few outliers
    if not math.isfinite(value):
        return Estimate(value, value, value, value)
    if len(resampled) < RESAMPLES // 2:
        raise ValueError(f"{metric.name} has too few examples for an interval; take more of them, or more outliers")
    low, high = resampled.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Estimate(value, resampled.std().item(), low, high)


@functools.lru_cache(maxsize=4)
def resampling(count: int, seed: int) -> Tensor:
    """Return how often each of `count` rows is drawn in each of R resamples of that many: (R, M) float64."""
    generator = seeded_generator(seed, count)
    weights = torch.zeros(RESAMPLES, count, dtype=torch.float64, device="cpu")
    for row in weights:
        drawn = torch.randint(count, (count,), generator=generator, device="cpu")
        row += torch.bincount(drawn, minlength=count)
    return weights


def _by_jackknife(value: float, score: Score, part: Part) -> Estimate:
    if len(part) < 2 * TENTHS:
        raise ValueError(f"{len(part)} examples are too few for an interval; take at least {2 * TENTHS} in each part")
    places = torch.arange(len(part), device="cpu") % TENTHS
    without = torch.tensor([float(score(part.take((places != tenth).nonzero().flatten()))) for tenth in range(TENTHS)])
    error = math.sqrt((TENTHS - 1) * without.double().var(correction=0).item())
    return Estimate(value, error, value - STUDENT_95 * error, value + STUDENT_95 * error)
