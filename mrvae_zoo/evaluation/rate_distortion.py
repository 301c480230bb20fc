"""Measuring the rate-distortion curve of a model on a data set."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.evaluation.examples import Examples, chunks, count, describe
from mrvae_zoo.evaluation.measuring import CHUNK, Measured, has_psnr, measure
from mrvae_zoo.evaluation.total_correlation import decompose
from mrvae_zoo.evaluation.transfers import widen
from mrvae_zoo.models.curve import RDCurve, RDPoint
from mrvae_zoo.models.latents import LatentStatistics, LatentTable
from mrvae_zoo.models.posterior import Posterior
from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE, unwrap

if TYPE_CHECKING:
    from accelerate import Accelerator


ACTIVE = 0.01  # the least variance of an active latent's posterior mean over the data
CORRELATED, AT_ONCE = 1000, 20  # draws of z that total correlation is measured at, and how many at a time


@torch.no_grad()
def rate_distortion(
    model: BaseVAE,
    data: Examples,
    betas: Sequence[float],
    *,
    samples: int | Sequence[int] = 1,
    seed: int = 0,
    batch_size: int = CHUNK,
    total_correlation: bool = False,
    progress: Callable[[float], None] = lambda _: None,
    accelerator: "Accelerator | None" = None,
) -> RDCurve:
    """Measure rate, distortion and latents of a model at each β, averaged over the data, in one pass.

    Every batch goes through the folded network of each β, with the same noise. The noise is seeded by `seed` and the
    number of a chunk of 256 examples, so neither `batch_size` nor the number of processes changes the result beyond
    rounding.

    A latent is active if the variance over x of its posterior mean is above 0.01 (Burda et al., "Importance Weighted
    Autoencoders", ICLR 2016). For a spatial model the variance is over images and places. PSNR is that of the clamped
    mean of p(x|z), with z drawn, at most 100 dB per image.

    Example:
        curve = mrvae_zoo.rate_distortion(model, "photos", [0.1, 1.0])  # or a tensor, a DataLoader, a data set

    Args:
        model: A model in eval mode. A FixedRateVAE takes its own β only.
        data: The data to measure on: a tensor (N, C, H, W) as the model takes it, a DataLoader of such batches (or of
            tuples that begin with one), the path of a folder of images, or a split of a data set (`load_data`).
        betas: The values of β to measure at, in rising order.
        samples: The number of draws of z per example, at least 1: one number for every β, or a list with one per β
            (`draws_needed` finds them).
        seed: The seed of these draws, the same for every β.
        batch_size: The number of examples to hold at once, at most 256.
        total_correlation: Whether to measure the total correlation of q(z) as well. It is the mean over up to 1000
            draws of z, with q(z) and each q(z_j) as exact mixtures over all of the data.
        progress: A function that is called with the share done, in [0, 1].
        accelerator: The Accelerator of several processes. Each measures its share, and all return the whole curve.

    Returns:
        The curve, in nats per example, with the statistics of the latents (`curve.latents`).

    Raises:
        ValueError: The model does not take a β, the data have another shape, or `samples` is below 1.
    """
    model = unwrap(model)
    networks = [model.at(beta) for beta in betas]
    if not networks:
        raise ValueError("betas is empty; name at least one β")
    rank, processes = (0, 1) if accelerator is None else (accelerator.process_index, accelerator.num_processes)
    draws = _draws(samples, len(betas))
    sums = widen(torch.zeros(len(betas), sum(_Sums.sizes(model.latent_dim)), device=model.device))
    for measured in _measured(networks, data, draws, seed, batch_size, progress, first=rank, step=processes):
        sums += torch.stack([_sum(each) for each in measured])
    if accelerator is not None and processes > 1:
        sums = accelerator.reduce(sums.to(accelerator.device), reduction="sum")
    sums = sums.cpu()
    examples = round(sums[0, 0].item())
    if examples == 0:
        raise ValueError("data holds no examples")
    correlations: list[float | None] = [None] * len(betas)
    if total_correlation:
        correlations = torch.stack([_total_correlation(each, data, examples, seed) for each in networks]).tolist()
    points, latents = [], []
    for beta, row, number, correlation in zip(betas, sums, draws, correlations, strict=True):
        total = _Sums(*row.split(_Sums.sizes(model.latent_dim)))
        # In float64 the difference of the two is good to 1e-16 of the squared mean.
        mean = total.mean / total.places
        variance = total.square / total.places - mean.square()
        std = (variance.clamp(min=0) + total.spread / total.places).sqrt()
        kl = total.kl / total.places
        latents.append(LatentStatistics(beta=beta, **_tuples(mean=mean, std=std, kl=kl)))
        point = RDPoint(
            beta=beta,
            rate=total.rate.item() / examples,
            distortion=total.distortion.item() / examples,
            active_units=int((variance > ACTIVE).sum()),
            psnr=total.psnr.item() / examples if has_psnr(model.config) else None,
            total_correlation=correlation,
            samples=number if len({*draws}) > 1 else None,
            standard_error=math.sqrt(total.variance.item()) / examples if number > 1 else None,
        )
        points.append(point)
    return RDCurve(
        points=tuple(points),
        data=describe(data, examples),
        samples=max(draws),
        seed=seed,
        latents=LatentTable(points=tuple(latents)),
    )


def _tuples(**figures: Tensor) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values.tolist()) for name, values in figures.items()}


class Losses(NamedTuple):
    """The rate and distortion of each example at one β, in nats: (N,) float64 on the CPU."""

    rate: Tensor
    distortion: Tensor

    def at(self, beta: float) -> Tensor:
        """Return D + β·R of each example: (N,) nats."""
        return self.distortion + beta * self.rate


@torch.no_grad()
def example_losses(
    model: BaseVAE,
    data: Examples,
    beta: float,
    *,
    samples: int = 1,
    seed: int = 0,
    batch_size: int = CHUNK,
    progress: Callable[[float], None] = lambda _: None,
) -> Losses:
    """Measure rate and distortion of every example at β, in the order of the data, averaged over draws.

    Their means over the data are the figures of `rate_distortion` with the same draws. The noise depends only on
    `seed`, the example and the draw. Two models with latents of the same shape are therefore paired by image and draw,
    and the spread of the difference of their losses is that of a paired comparison.

    Args:
        model: A model in eval mode. A FixedRateVAE takes its own β only.
        data: The data to measure on.
        beta: The β to measure at.
        samples: The number of draws of z per example, at least 1.
        seed: The seed of these draws.
        batch_size: The number of examples to hold at once, at most 256.
        progress: A function that is called with the share done, in [0, 1].

    Raises:
        ValueError: The model does not take β, the data have another shape, or `samples` is below 1.
    """
    model = unwrap(model)
    network = model.at(beta)
    parts = _measured([network], data, _draws(samples, 1), seed, batch_size, progress)
    losses = [Losses(each.rate, each.distortion) for (each,) in parts]
    if not losses:
        raise ValueError("data holds no examples")
    rate, distortion = (torch.cat(each).cpu() for each in zip(*losses, strict=True))
    return Losses(rate, distortion)


def _measured(
    networks: Sequence[FixedRateVAE],
    data: Examples,
    draws: Sequence[int],
    seed: int,
    batch_size: int,
    progress: Callable[[float], None],
    *,
    first: int = 0,
    step: int = 1,
) -> Iterator[list[Measured]]:
    """Measure each network on every `step`-th chunk of the data from `first` on, one chunk at a time."""
    total = count(data)
    parts = chunks(data, CHUNK, model=networks[0], first=first, step=step)
    for number, x in zip(itertools.count(first, step), parts):
        yield measure(networks, x, draws, seeded_generator(seed, number), batch_size=min(batch_size, CHUNK))
        if total is not None:
            progress(min(1.0, (number + 1) * CHUNK / total))


def _draws(samples: int | Sequence[int], networks: int) -> list[int]:
    """Return the number of draws of each network; raise a ValueError if their count is wrong or one is below 1."""
    draws = [samples] * networks if isinstance(samples, int) else list(samples)
    if len(draws) != networks:
        raise ValueError(f"samples={draws} should be one number, or one for each of {networks} β")
    if min(draws) < 1:
        raise ValueError(f"samples={samples} should be at least 1")
    return draws


def _total_correlation(network: FixedRateVAE, data: Examples, examples: int, seed: int) -> Tensor:
    """Return the total correlation of q(z) over the data: () nats, float64."""
    means, log_vars = zip(*(network.encode(x) for x in chunks(data, CHUNK, model=network)), strict=True)
    posterior = Posterior(torch.cat(means), torch.cat(log_vars))
    drawn = posterior.sample(seeded_generator(seed, 0))[:CORRELATED]
    total = widen(torch.zeros((), device=drawn.device))
    for start in range(0, len(drawn), AT_ONCE):
        z = drawn[start : start + AT_ONCE]
        total += widen(decompose(z, *posterior, examples=examples, start=start).total_correlation).sum()
    return total / len(drawn)


class _Sums(NamedTuple):
    """Sums over examples at one β, in float64: their number, the fields of `Measured`, and those over places."""

    examples: Tensor
    rate: Tensor
    distortion: Tensor
    variance: Tensor
    psnr: Tensor
    places: Tensor
    mean: Tensor
    square: Tensor
    spread: Tensor
    kl: Tensor

    @staticmethod
    def sizes(latents: int) -> list[int]:
        """Return the size of each field, for Z latents."""
        return [1, 1, 1, 1, 1, 1, latents, latents, latents, latents]


def _sum(measured: Measured) -> Tensor:
    """Return the fields of `_Sums`, one after the other."""
    mean, log_var, kl = (_by_place(each) for each in (*measured.posterior, measured.posterior.kl_of_each()))
    fields = _Sums(
        examples=mean.new_full((1,), len(measured.rate)),
        rate=measured.rate.sum(0, keepdim=True),
        distortion=measured.distortion.sum(0, keepdim=True),
        variance=measured.variance.sum(0, keepdim=True),
        psnr=measured.psnr.sum(0, keepdim=True),
        places=mean.new_full((1,), len(mean)),
        mean=mean.sum(0),
        square=mean.square().sum(0),
        spread=log_var.exp().sum(0),
        kl=kl.sum(0),
    )
    return torch.cat(fields)


def _by_place(values: Tensor) -> Tensor:
    """Return values (B, Z, ...) of all places of all examples: (places, Z), widened."""
    return widen(values.movedim(1, -1).flatten(0, -2))
