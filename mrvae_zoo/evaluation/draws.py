"""The number of draws of z that a curve needs, so that its figures describe the model and not the draws.

Letters: N examples, S draws.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.evaluation.examples import Examples, chunks, count
from mrvae_zoo.evaluation.measuring import CHUNK, Measured, measure
from mrvae_zoo.evaluation.transfers import widen
from mrvae_zoo.models.vae import BaseVAE, unwrap

PRECISION = 3e-4  # share of L: the standard error of a published figure due to the draws
OF_IMAGES = 0.05  # share of the standard error due to the choice of images; more draws are useless below it
SAFETY = 1.5  # factor on the variance, which is estimated from some examples
FEWEST, MOST = 2, 200  # two draws show how much they differ
TRIED, DECODED = 4, 128  # draws per example for the estimate; more if there are few examples
LOOKED_AT = 4  # chunks, spread over the data


@torch.no_grad()
def draws_needed(
    model: BaseVAE,
    data: Examples,
    betas: Sequence[float],
    *,
    precision: float = PRECISION,
    seed: int = 0,
) -> list[int]:
    """Return how many draws of z per example `rate_distortion` needs at each β for reproducible figures.

    Another seed should confirm the figures. The number is estimated from a few draws of some examples. The standard
    error of L = D + β·R due to the draws is the spread of D over draws, divided by sqrt(S·N). It falls with the number
    of examples, so few examples need more draws. It need not fall below a twentieth of the standard error due to the
    choice of examples, which no draw makes smaller.

    Args:
        model: A model in eval mode.
        data: The data that will be measured.
        betas: The values of β, in rising order.
        precision: The standard error to reach, as a share of L.
        seed: The seed of the draws.

    Returns:
        The number S for each β, from 2 to 200. The error may be larger with few examples, whose choice matters more, or
        where 200 draws are not enough.

    Raises:
        ValueError: `precision` is not above 0, the model does not take a β, or the data are empty or have another
            shape.
    """
    if not precision > 0:
        raise ValueError(f"precision={precision} should be above 0")
    model = unwrap(model)
    networks = [model.at(beta) for beta in betas]
    examples = count(data)
    if examples is None:
        examples = sum(map(len, chunks(data, CHUNK, model=model)))
    if examples == 0:
        raise ValueError("data holds no examples")
    step = max(1, examples // CHUNK // LOOKED_AT)
    tried = max(TRIED, DECODED // examples)
    looked_at = 0
    sums = widen(torch.zeros(len(betas), 3, device=model.device))
    for number, x in zip(range(LOOKED_AT), chunks(data, CHUNK, model=model, step=step), strict=False):
        measured = measure(networks, x, [tried] * len(betas), seeded_generator(seed, number * step))
        sums += torch.stack([_sum(each, beta, tried) for beta, each in zip(betas, measured, strict=True)])
        looked_at += len(x)
    return [_draws(a / looked_at, b / looked_at, c / looked_at, examples, precision) for a, b, c in sums.tolist()]


def _sum(measured: Measured, beta: float, tried: int) -> Tensor:
    """Sum the variance of D over draws, L and its square over examples: (3,) float64."""
    loss = measured.distortion + beta * measured.rate
    return torch.stack([tried * measured.variance.sum(), loss.sum(), loss.square().sum()])


def _draws(variance: float, loss: float, square: float, examples: int, precision: float) -> int:
    """Compute the number of draws from the means of the variance of D over draws, of L, and of its square."""
    of_images = OF_IMAGES**2 * max(0.0, square - loss**2)
    allowed = max(examples * (precision * loss) ** 2, of_images)
    wanted = SAFETY * variance / allowed if allowed > 0 else math.inf
    return min(MOST, max(FEWEST, math.ceil(min(wanted, MOST)))) if not math.isnan(wanted) else FEWEST
