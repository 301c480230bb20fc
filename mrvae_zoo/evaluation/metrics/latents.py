"""What the latents are like: the rate, and how many of them are in use.

Letters: N examples of a part, Z latents, R resamples.
"""

from torch import Tensor

from mrvae_zoo.evaluation.metrics.base import Metric, Part, Score
from mrvae_zoo.evaluation.rate_distortion import ACTIVE


def rate(_: Part) -> Score:
    """Measure the rate of each example: (N,) nats."""
    return lambda part: part.rate


def active_units(_: Part) -> Score:
    """Measure the posterior means, (N, Z), of which `count_active` makes the metric."""
    return lambda part: part.mean.double()


def count_active(means: Tensor, weights: Tensor) -> Tensor:
    """Count the latents whose mean varies over the examples, by a variance above 0.01.

    Source: Burda et al., "Importance Weighted Autoencoders", ICLR 2016, section 5.2.

    Args:
        means: The posterior means, (N, Z).
        weights: The weight of each example in each resample, (R, N).

    Returns:
        The number of active latents, (R,).
    """
    centred = means - means.mean(0)
    weights = weights / weights.sum(1, keepdim=True)
    variance = weights @ centred.square() - (weights @ centred).square()
    return (variance > ACTIVE).sum(1).double()


RATE = Metric(name="rate", title="rate (nats per image)", prepare=rate, higher_is_better=False)
ACTIVE_UNITS = Metric(name="active_units", title="active latents", prepare=active_units, statistic=count_active)
