"""An importance-weighted lower bound on log p(x)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.evaluation.examples import Examples, chunks, count
from mrvae_zoo.evaluation.measuring import CHUNK, decode_and_compare, draw_noise
from mrvae_zoo.evaluation.transfers import widen
from mrvae_zoo.models.posterior import Posterior
from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE, unwrap

BLIND_BELOW = 0.6  # the β below which importance weighting does not see what it misses


@torch.no_grad()
def importance_weighted_bound(
    model: BaseVAE,
    data: Examples,
    beta: float,
    *,
    samples: int = 100,
    seed: int = 0,
    batch_size: int = CHUNK,
    progress: Callable[[float], None] = lambda _: None,
) -> float:
    """Return a lower bound on log p(x) of the model at β, in nats per example, averaged over the data.

    The bound is the mean of log (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x) over x, with K draws of z from the posterior. It
    rises with K towards log p(x) of the decoder at β; at K = 1 and β = 1 it equals −L in expectation. The constants of
    the likelihood are kept ((d/2)·log 2πσ² for a Gaussian), and the weights do not contain β. Source: Burda et al.,
    "Importance Weighted Autoencoders", ICLR 2016.

    Example:
        bound = mrvae_zoo.importance_weighted_bound(model, x, beta=1.0, samples=100)  # x: as `rate_distortion`

    Args:
        model: A model in eval mode.
        data: The data to measure on, as `rate_distortion` takes them.
        beta: The β to measure at, at least 0.6.
        samples: The number of draws K, at least 1.
        seed: The seed of the draws. A smaller K uses the first draws of a larger one.
        batch_size: The number of examples to hold at once, at most 256.
        progress: A function that is called with the share done, in [0, 1].

    Raises:
        ValueError: β is below 0.6, the model does not take β or the data, or `samples` is below 1. The limit exists
            because the variance of the posterior is about β times that of p(z|x) (exactly so in a linear VAE with
            little noise). At β = ½ and below, the weights have no finite variance, and hardly any draw reaches where
            they are large. The estimate then stays below log p(x) for any affordable K, without a sign of it.
    """
    if beta < BLIND_BELOW:
        raise ValueError(
            f"beta={beta} is below {BLIND_BELOW}: the posterior there is so narrow that its draws miss most of p(z|x) "
            "and the bound stays far below log p(x); measure at a higher beta"
        )
    if samples < 1:
        raise ValueError(f"samples={samples} should be at least 1")
    network = unwrap(model).at(beta)
    total, examples, known = widen(torch.zeros((), device=network.device)), 0, count(data)
    for number, x in enumerate(chunks(data, CHUNK, model=network)):
        generator = seeded_generator(seed, number)
        parts = x.split(batch_size)
        posteriors = [network.encode(part) for part in parts]  # once for all draws
        log_sums = [widen(torch.full((len(part),), -math.inf, device=part.device)) for part in parts]
        for _ in range(samples):  # one draw at a time: the memory does not grow with K
            (noise,) = draw_noise(network, x, 1, generator)
            for i, part_noise in enumerate(noise.split(batch_size)):
                log_weights = _log_weights(network, parts[i], posteriors[i], part_noise)
                log_sums[i] = torch.logaddexp(log_sums[i], log_weights)
        total += torch.cat(log_sums).sum() - len(x) * math.log(samples)
        examples += len(x)
        if known is not None:
            progress(examples / known)
    if examples == 0:
        raise ValueError("data holds no examples")
    return total.item() / examples


def _log_weights(network: FixedRateVAE, x: Tensor, posterior: Posterior, noise: Tensor) -> Tensor:
    """Return log p(x|z) p(z) / q(z|x) at the z that `noise` (B, Z, ...) gives: (B,) float64."""
    z = posterior.displaced(noise)
    _, distortion = decode_and_compare(network, x, z)
    z, log_var, noise = (widen(each) for each in (z, posterior.log_var, noise))
    log_ratio = 0.5 * (noise.square() - z.square() + log_var).flatten(1).sum(1)  # log p(z) − log q(z|x)
    log_likelihood = -widen(distortion)
    if network.config.sigma is not None:
        log_likelihood -= x[0].numel() / 2 * math.log(2 * math.pi * network.config.sigma**2)
    return log_likelihood + log_ratio
