"""How well single latents stand for single factors of the sprites: the mutual information gap.

Source: Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", NeurIPS 2018, section 4.

Letters: N images, one for each combination of factor values, B batch, M draws of z, Z latents, F factors, V values of
a factor.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.data.sprites import FACTORS, SIDE, draw, grid
from mrvae_zoo.models.curve import RDCurve, RDPoint
from mrvae_zoo.models.vae import BaseVAE

DRAWS_AT_ONCE = 64  # of z, each compared with all N posteriors


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualInformationGap:
    """A measured gap.

    Attributes:
        score: mean of the gaps over factors, from 0 to 1: 1 where each factor has one latent that tells it whole, and
            no other latent tells anything of it.
        gaps: for each factor, what its most informative latent tells of it more than the second one does, as a share of
            the factor's entropy.
        information: for each factor, I(z_j; factor) of every latent j in nats; (Z,) each.
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
    """The mutual information gap of a model at β, over all sprites.

    Args:
        model: in eval mode, of images (1, 32, 32). Each place of a spatial model's latents counts as a latent.
        beta: β.
        samples: draws of z, see `latent_information`.
        seed: of these draws.
        batch_size: how many images to encode at once.
        progress: called with the share done, in [0, 1].

    Raises:
        ValueError: the model does not take β, or images (1, 32, 32).
    """
    check_takes_sprites(model)
    network = model.at(beta)
    means, log_vars = [], []
    for factors in grid().split(batch_size):
        posterior = network.encode(network.config.to_data_range(draw(factors).to(network.device).float() / 255))
        means.append(posterior.mean.flatten(1))
        log_vars.append(posterior.log_var.flatten(1))
    information = latent_information(
        torch.cat(means), torch.cat(log_vars), FACTORS, samples=samples, seed=seed, progress=progress
    )
    return gap(information, FACTORS)


def check_takes_sprites(model: BaseVAE) -> None:
    """Raise a ValueError where a model does not take images as the sprites are."""
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
    """The curve of a model, with the mutual information gap at each of its β; see `mutual_information_gap`."""
    points: list[RDPoint] = []

    def within(share: float) -> None:
        progress((len(points) + share) / len(curve.points))

    for point in curve.points:
        measured = mutual_information_gap(model, point.beta, seed=seed, progress=within)
        points.append(replace(point, mutual_information_gap=measured.score))
    return replace(curve, points=tuple(points))


def gap(information: Mapping[str, Tensor], sizes: Mapping[str, int]) -> MutualInformationGap:
    """The gap, from I(z_j; factor) in nats, (Z,) for each factor, and the number of values of each factor.

    Raises:
        ValueError: there is one latent alone, and no second one.
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
    """The mutual information of every latent with every factor, all combinations of factor values equally likely.

    I(z_j; v) is the mean of log q(z_j|v) − log q(z_j) over draws of z, where q(z_j) is the mixture of all N posteriors
    and q(z_j|v) that of the images with the value v. Both are exact; the draws come from images in random order, none
    twice before every one came once. The error of the mean is of the order of 1/sqrt(samples) nats; it is 0, to
    rounding, for a latent whose posterior is the same for every image.

    Args:
        mean: (N, Z) of the posteriors, in the order of the grid of factors, the last factor fastest.
        log_var: (N, Z).
        sizes: the number of values of each factor, whose product is N.
        samples: M, at least 1.
        seed: of the draws.
        progress: called with the share done, in [0, 1].

    Returns:
        For each factor (Z,) nats, float64, on the CPU.
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
    noise = torch.randn(samples, len(mean), generator=generator, device="cpu")
    totals = torch.zeros(len(shape), len(mean), dtype=torch.float64, device="cpu")
    for done, (index, its_noise) in enumerate(
        zip(chosen.split(DRAWS_AT_ONCE), noise.split(DRAWS_AT_ONCE), strict=True), start=1
    ):
        values = torch.stack(torch.unravel_index(index, shape)).to(device)  # (F, m)
        for j in range(len(mean)):
            at = index.to(device)
            z = mean[j, at] + (0.5 * log_var[j, at]).exp() * its_noise[:, j].to(device, mean.dtype)
            totals[:, j] += _log_ratios(z, mean[j], log_var[j], shape, values).sum(1).cpu().double()
        progress(min(1.0, done * DRAWS_AT_ONCE / samples))
    return dict(zip(sizes, totals / samples, strict=True))


def _log_ratios(z: Tensor, mean: Tensor, log_var: Tensor, shape: tuple[int, ...], values: Tensor) -> Tensor:
    """What knowing each factor adds to log q(z) of one latent.

    Args:
        z: (m,) draws.
        mean: (N,) of the posteriors of the latent.
        log_var: (N,).
        shape: the number of values of each factor.
        values: (F, m) that the factors have at the draws.

    Returns:
        log q(z|v) − log q(z), (F, m).
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
