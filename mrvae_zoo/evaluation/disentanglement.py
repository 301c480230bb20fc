"""The mutual information gap: how well single latents represent single factors of the sprites.

Source: Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", NeurIPS 2018, section 4.

Letters: N images, one for each combination of factor values, B batch, M draws of z, Z latents, F factors, V values of a
factor.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.data.sprites import FACTORS, SIDE, draw, grid
from mrvae_zoo.evaluation.transfers import upload, widen
from mrvae_zoo.models.curve import RDCurve, RDPoint
from mrvae_zoo.models.vae import BaseVAE

DRAWS_AT_ONCE = 64  # draws of z, each compared with all N posteriors


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualInformationGap:
    """A measured mutual information gap.

    Attributes:
        score: The mean of the gaps over the factors, from 0 to 1. It is 1 if each factor has one latent that determines
            it, and no other latent carries information about it.
        gaps: The gap of each factor: how much more its most informative latent tells about it than the second one, as a
            share of the factor's entropy.
        information: The mutual information I(z_j; factor) of every latent j with each factor in nats; (Z,) each.
    """

    score: float
    gaps: dict[str, float]
    information: dict[str, tuple[float, ...]]


@torch.no_grad()
def mutual_information_gap(
    model: BaseVAE,
    beta: float,
    *,
    samples: int = 2000,
    seed: int = 0,
    batch_size: int = 500,
    progress: Callable[[float], None] = lambda _: None,
) -> MutualInformationGap:
    """Measure the mutual information gap of a model at β, over all sprites.

    Args:
        model: A model in eval mode, for images (1, 32, 32). Each place of a spatial model's latents counts as a latent.
        beta: The β to measure at.
        samples: The number of draws of z; see `latent_information`.
        seed: The seed of these draws.
        batch_size: The number of images to encode at once.
        progress: A function that is called with the share done, in [0, 1].

    Raises:
        ValueError: The model does not take β, or images (1, 32, 32).
    """
    check_takes_sprites(model)
    network = model.at(beta)
    means, log_vars = [], []
    for factors in grid().split(batch_size):
        posterior = network.encode(network.config.to_data_range(upload(draw(factors), network.device).float() / 255))
        means.append(posterior.mean.flatten(1))
        log_vars.append(posterior.log_var.flatten(1))
    information = latent_information(
        torch.cat(means), torch.cat(log_vars), FACTORS, samples=samples, seed=seed, progress=progress
    )
    return gap(information, FACTORS)


def check_takes_sprites(model: BaseVAE) -> None:
    """Raise a ValueError if a model does not take images like the sprites."""
    shape = model.input_shape
    if shape[0] != 1 or any(side not in (None, SIDE) for side in shape[1:]):
        raise ValueError(
            f"the mutual information gap is measured on the sprites, grey images of {SIDE}×{SIDE} pixels, and this "
            f"model takes {shape}; train one on them, such as mrvae_conv.sprites_tc"
        )


def with_gaps(
    model: BaseVAE,
    curve: RDCurve,
    *,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _: None,
) -> RDCurve:
    """Return the curve of a model with the mutual information gap at each β; see `mutual_information_gap`."""
    points: list[RDPoint] = []

    def within(share: float) -> None:
        progress((len(points) + share) / len(curve.points))

    for point in curve.points:
        measured = mutual_information_gap(model, point.beta, seed=seed, progress=within)
        points.append(replace(point, mutual_information_gap=measured.score))
    return replace(curve, points=tuple(points))


def gap(information: Mapping[str, Tensor], sizes: Mapping[str, int]) -> MutualInformationGap:
    """Compute the gap from I(z_j; factor) in nats, (Z,) for each factor, and the number of values of each factor.

    Raises:
        ValueError: There is only one latent.
    """
    gaps = {}
    for name, values in information.items():
        if len(values) < 2:
            raise ValueError("the gap is between the two most informative latents; the model has one")
        first, second = values.topk(2).values.tolist()
        gaps[name] = (first - second) / math.log(sizes[name])
    return MutualInformationGap(
        score=sum(gaps.values()) / len(gaps),
        gaps=gaps,
        information={name: tuple(values.tolist()) for name, values in information.items()},
    )


def latent_information(
    mean: Tensor,
    log_var: Tensor,
    sizes: Mapping[str, int],
    *,
    samples: int,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _: None,
) -> dict[str, Tensor]:
    """Estimate the mutual information of every latent with every factor, all combinations being equally likely.

    I(z_j; v) is the mean of log q(z_j|v) − log q(z_j) over draws of z. Here q(z_j) is the mixture of all N posteriors,
    and q(z_j|v) is that of the images with the value v. Both are exact. The draws come from images in random order,
    none twice before every one came once. The error of the mean is of the order of 1/sqrt(samples) nats. It is 0, to
    rounding, for a latent whose posterior is the same for every image.

    Args:
        mean: The means of the posteriors, (N, Z), in the order of the grid of factors, the last factor fastest.
        log_var: The log-variances of the posteriors, (N, Z).
        sizes: The number of values of each factor; their product is N.
        samples: The number of draws M, at least 1.
        seed: The seed of the draws.
        progress: A function that is called with the share done, in [0, 1].

    Returns:
        The information about each factor: (Z,) nats, float64, on the CPU.
    """
    if samples < 1:
        raise ValueError(f"samples={samples} should be at least 1")
    device, shape = mean.device, tuple(sizes.values())
    mean, log_var = mean.T.contiguous(), log_var.T.contiguous()  # (Z, N)
    images = mean.shape[1]
    if images != math.prod(shape):
        raise ValueError(f"there are {images} posteriors; the grid of factors {shape} has {math.prod(shape)}")
    generator = seeded_generator(seed, 0)
    shuffled = torch.randperm(images, generator=generator, device="cpu")
    chosen = shuffled[torch.arange(samples, device="cpu") % images]  # every image once before any comes twice
    noise = torch.randn(samples, len(mean), generator=generator, device="cpu").to(device, mean.dtype)
    values = torch.stack(torch.unravel_index(chosen, shape)).to(device)  # (F, M)
    chosen = chosen.to(device)
    totals = widen(torch.zeros(len(shape), len(mean), device=device))
    for start in range(0, samples, DRAWS_AT_ONCE):
        some = slice(start, start + DRAWS_AT_ONCE)
        at = chosen[some]
        for j in range(len(mean)):
            z = mean[j, at] + (0.5 * log_var[j, at]).exp() * noise[some, j]
            totals[:, j] += widen(_log_ratios(z, mean[j], log_var[j], shape, values[:, some]).sum(1))
        progress(min(1.0, (start + DRAWS_AT_ONCE) / samples))
    return dict(zip(sizes, totals.cpu() / samples, strict=True))


def _log_ratios(z: Tensor, mean: Tensor, log_var: Tensor, shape: tuple[int, ...], values: Tensor) -> Tensor:
    """Compute how much knowing each factor adds to log q(z) of one latent.

    Args:
        z: The draws, (m,).
        mean: The means of the latent's posteriors, (N,).
        log_var: The log-variances of the latent's posteriors, (N,).
        shape: The number of values of each factor.
        values: The values of the factors at the draws, (F, m).

    Returns:
        The ratios log q(z|v) − log q(z), (F, m).
    """
    log_density = -0.5 * ((z.unsqueeze(1) - mean).square() * (-log_var).exp() + log_var)
    density = (log_density - log_density.amax(1, keepdim=True)).exp_().view(-1, *shape)
    whole = density.flatten(1).mean(1)
    ratios = []
    for k, value in enumerate(values):
        others = [axis + 1 for axis in range(len(shape)) if axis != k]
        conditional = density.mean(others) if others else density
        ratios.append((conditional.gather(1, value.unsqueeze(1)).squeeze(1) / whole).log())
    return torch.stack(ratios)
