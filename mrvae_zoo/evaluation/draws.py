"""How many draws of z a curve takes, so that its figures are those of the model and not of the draws.

Letters: N examples, S draws.
"""

import math
from collections.abc import Sequence

import torch

from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.evaluation.examples import Examples, chunks, count
from mrvae_zoo.evaluation.measuring import CHUNK, measure
from mrvae_zoo.models.vae import BaseVAE, unwrap

PRECISION = 3e-4  # of L, the standard error by the draw of a published figure
OF_IMAGES = 0.05  # of the standard error by the choice of the images, below which another draw tells nothing more
SAFETY = 1.5  # of the variance, which is estimated from some examples
FEWEST, MOST = 2, 200  # two draws show how much they differ
TRIED, DECODED = 4, 512  # draws of each example that is looked at: so many, or more of few examples
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
    """How many draws of z an example `rate_distortion` needs at each β for a figure that another seed would confirm.

    Estimated from a few draws of some examples: the standard error of L = D + β·R by the draw is the spread of D over
    draws, divided by sqrt(S·N). It falls with the number of examples, so few examples need more draws; but not below a
    twentieth of the standard error by the choice of the examples, which no draw makes smaller.

    Args:
        model: in eval mode.
        data: that will be measured.
        betas: rising.
        precision: the standard error to reach, as a share of L.
        seed: of the draws.

    Returns:
        S for each β, from 2 to 200. Few examples, whose choice matters more, and 200 draws may leave a larger error.

    Raises:
        ValueError: `precision` is not above 0, a β that the model does not take, or data of another shape or empty.
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
    variances, losses, squares = ([0.0] * len(betas) for _ in range(3))
    for number, x in zip(range(LOOKED_AT), chunks(data, CHUNK, model=model, step=step), strict=False):
        measured = measure(networks, x, [tried] * len(betas), seeded_generator(seed, number * step))
        for i, (beta, each) in enumerate(zip(betas, measured, strict=True)):
            variances[i] += tried * each.variance.sum().item()
            loss = each.distortion + beta * each.rate
            losses[i] += loss.sum().item()
            squares[i] += loss.square().sum().item()
        looked_at += len(x)
    sums = zip(variances, losses, squares, strict=True)
    return [_draws(a / looked_at, b / looked_at, c / looked_at, examples, precision) for a, b, c in sums]


def _draws(variance: float, loss: float, square: float, examples: int, precision: float) -> int:
    """From the means of the variance of D by the draw, of L, and of its square."""
    of_images = OF_IMAGES**2 * max(0.0, square - loss**2)
    allowed = max(examples * (precision * loss) ** 2, of_images)
    wanted = SAFETY * variance / allowed if allowed > 0 else math.inf
    return min(MOST, max(FEWEST, math.ceil(min(wanted, MOST)))) if not math.isnan(wanted) else FEWEST
