"""Measuring a model: its rate-distortion curve on a data set."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.evaluation.examples import Examples, chunks, count, describe
from mrvae_zoo.evaluation.total_correlation import decompose
from mrvae_zoo.models.base import LATENT_RANGE, crop
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.curve import RDCurve, RDPoint
from mrvae_zoo.models.likelihoods import make_likelihood
from mrvae_zoo.models.posterior import Posterior, standard_normal
from mrvae_zoo.models.vae import FixedRateVAE, MultiRateVAE, unwrap

if TYPE_CHECKING:
    from accelerate import Accelerator


CHUNK = 256  # examples whose noise is drawn together, and that one process measures
ACTIVE = 0.01  # of the variance of a posterior mean over the data
CORRELATED, AT_ONCE = 1000, 20  # draws of z that total correlation is measured at, and how many at a time


@torch.no_grad()
def rate_distortion(
    model: MultiRateVAE | FixedRateVAE,
    data: Examples,
    betas: Sequence[float],
    *,
    samples: int = 1,
    seed: int = 0,
    batch_size: int = CHUNK,
    total_correlation: bool = False,
    progress: Callable[[float], None] = lambda _: None,
    accelerator: "Accelerator | None" = None,
) -> RDCurve:
    """Rate, distortion and active units of a model at each β, means over the data, in one pass over it.

    Every batch goes through the folded network of each β, with the same noise. Noise is seeded by `seed` and the number
    of a chunk of 256 examples, so that neither `batch_size` nor the number of processes changes the result beyond
    rounding.

    A latent is active where the variance over x of its posterior mean is above 0.01 (Burda et al., "Importance Weighted
    Autoencoders", ICLR 2016); a latent of a spatial model, where that over images and places is. PSNR is that of the
    clamped mean of p(x|z), z drawn, at most 100 dB an image.

    Args:
        model: in eval mode; a FixedRateVAE has its own β only.
        data: where to measure: a tensor (N, C, H, W) as the model takes it, a DataLoader of such batches (or of tuples
            that begin with one), or a split of a data set (`load_data`).
        betas: rising.
        samples: draws of z for an example and β, at least 1.
        seed: of these draws, the same for every β.
        batch_size: how many examples to hold at once, at most 256.
        total_correlation: whether to measure that of q(z) as well: the mean over up to 1000 draws of z, q(z) and each
            q(z_j) the exact mixtures over all of the data.
        progress: called with the share done, in [0, 1].
        accelerator: with several processes each measures its share, and all return the whole curve.

    Returns:
        The curve, in nats per example.

    Raises:
        ValueError: a β that the model does not take, data of another shape, or `samples` below 1.
    """
    model = unwrap(model)
    networks = [model.at(beta) for beta in betas]
    if not networks:
        raise ValueError("betas is empty; name at least one β")
    rank, processes = (0, 1) if accelerator is None else (accelerator.process_index, accelerator.num_processes)
    sums = torch.zeros(len(betas), sum(_Sums.sizes(model.latent_dim)), dtype=torch.float64, device="cpu")
    for x, noise in _with_noise(model, data, samples, seed, batch_size, progress, first=rank, step=processes):
        sums += torch.stack([_sum(_measure(network, x, noise)) for network in networks])
    if accelerator is not None and processes > 1:
        sums = accelerator.reduce(sums.to(accelerator.device), reduction="sum").cpu()
    examples = round(sums[0, 0].item())
    if examples == 0:
        raise ValueError("data holds no examples")
    points = []
    for beta, row in zip(betas, sums, strict=True):
        total = _Sums(*row.split(_Sums.sizes(model.latent_dim)))
        # In float64 the difference of the two is good to 1e-16 of the squared mean.
        variance = total.square / total.places - (total.mean / total.places).square()
        point = RDPoint(
            beta=beta,
            rate=total.rate.item() / examples,
            distortion=total.distortion.item() / examples,
            active_units=int((variance > ACTIVE).sum()),
            psnr=total.psnr.item() / examples if _has_psnr(model.config) else None,
            total_correlation=_total_correlation(model.at(beta), data, examples, seed) if total_correlation else None,
        )
        points.append(point)
    return RDCurve(points=tuple(points), data=describe(data, examples), samples=samples, seed=seed)


class Losses(NamedTuple):
    """Rate and distortion of each example at one β, in nats: (N,) float64 on the CPU."""

    rate: Tensor
    distortion: Tensor

    def at(self, beta: float) -> Tensor:
        """D + β·R of each example: (N,) nats."""
        return self.distortion + beta * self.rate


@torch.no_grad()
def example_losses(
    model: MultiRateVAE | FixedRateVAE,
    data: Examples,
    beta: float,
    *,
    samples: int = 1,
    seed: int = 0,
    batch_size: int = CHUNK,
    progress: Callable[[float], None] = lambda _: None,
) -> Losses:
    """Rate and distortion of every example at β, in the order of the data; distortion is the mean over draws.

    Their means over the data are the figures of `rate_distortion` with the same draws. The noise depends on `seed`, the
    example and the draw alone, so that two models with latents of one shape are paired by image and draw: the spread of
    the difference of their losses is that of a paired comparison.

    Args:
        model: in eval mode; a FixedRateVAE has its own β only.
        data: where to measure.
        beta: which β-VAE.
        samples: draws of z for an example, at least 1.
        seed: of these draws.
        batch_size: how many examples to hold at once, at most 256.
        progress: called with the share done, in [0, 1].

    Raises:
        ValueError: a β that the model does not take, data of another shape, or `samples` below 1.
    """
    model = unwrap(model)
    network = model.at(beta)
    parts = _with_noise(model, data, samples, seed, batch_size, progress)
    measured = [_measure(network, x, noise) for x, noise in parts]
    return Losses(torch.cat([each.rate for each in measured]), torch.cat([each.distortion for each in measured]))


def _with_noise(
    model: MultiRateVAE | FixedRateVAE,
    data: Examples,
    samples: int,
    seed: int,
    batch_size: int,
    progress: Callable[[float], None],
    *,
    first: int = 0,
    step: int = 1,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Examples (B, C, H, W) of every `step`-th chunk from `first` on, and the noise of their draws (S, B, Z, ...)."""
    if samples < 1:
        raise ValueError(f"samples={samples} should be at least 1")
    total = count(data)
    parts = chunks(data, CHUNK, model=model, first=first, step=step)
    for number, x in zip(itertools.count(first, step), parts):
        noise = draw_noise(model, x, samples, seeded_generator(seed, number))
        yield from zip(x.split(batch_size), noise.split(batch_size, dim=1), strict=True)
        if total is not None:
            progress(min(1.0, (number + 1) * CHUNK / total))


def _total_correlation(network: FixedRateVAE, data: Examples, examples: int, seed: int) -> float:
    """Of q(z) over the data, in nats."""
    means, log_vars = zip(*(network.encode(x) for x in chunks(data, CHUNK, model=network)), strict=True)
    posterior = Posterior(torch.cat(means), torch.cat(log_vars))
    drawn = posterior.sample(seeded_generator(seed, 0))[:CORRELATED]
    total = 0.0
    for start in range(0, len(drawn), AT_ONCE):
        z = drawn[start : start + AT_ONCE]
        total += decompose(z, *posterior, examples=examples, start=start).total_correlation.double().sum().item()
    return total / len(drawn)


class _Measured(NamedTuple):
    """Of each example at one β, in float64 on the CPU: (B,), means over draws; and the posterior mean (B, Z, ...)."""

    rate: Tensor
    distortion: Tensor
    psnr: Tensor
    mean: Tensor


class _Sums(NamedTuple):
    """Sums over examples at one β, in float64: how many, their rate, distortion and PSNR, and over places of means."""

    examples: Tensor
    rate: Tensor
    distortion: Tensor
    psnr: Tensor
    places: Tensor
    mean: Tensor
    square: Tensor

    @staticmethod
    def sizes(latents: int) -> list[int]:
        """Of each field, for Z latents."""
        return [1, 1, 1, 1, 1, latents, latents]


def _measure(network: FixedRateVAE, x: Tensor, noise: Tensor) -> _Measured:
    """What a network makes of examples x (B, C, H, W) with noise (S, B, Z, ...)."""
    distortion, psnr = torch.zeros(2, len(x), dtype=torch.float64, device="cpu")
    posterior = network.encode(x)  # once for all draws
    for each in noise:
        reconstruction, its_distortion = decode_and_compare(network, x, posterior.displaced(each))
        distortion += its_distortion.cpu().double() / len(noise)
        if _has_psnr(network.config):
            psnr += _psnr(reconstruction, x, network.config).cpu().double() / len(noise)
    return _Measured(posterior.kl().cpu().double(), distortion, psnr, posterior.mean.cpu().double())


def _sum(measured: _Measured) -> Tensor:
    """The fields of `_Sums`, one after the other."""
    mean = measured.mean.movedim(1, -1).flatten(0, -2)  # (places of all examples, Z)
    fields = _Sums(
        examples=torch.tensor([len(measured.rate)], dtype=torch.float64, device="cpu"),
        rate=measured.rate.sum(0, keepdim=True),
        distortion=measured.distortion.sum(0, keepdim=True),
        psnr=measured.psnr.sum(0, keepdim=True),
        places=torch.tensor([len(mean)], dtype=torch.float64, device="cpu"),
        mean=mean.sum(0),
        square=mean.square().sum(0),
    )
    return torch.cat(fields)


def decode_and_compare(network: FixedRateVAE, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """The clamped mean of p(x|z) (B, C, H, W) and −log p(x|z) in nats (B,), as `network(x)` gives them."""
    likelihood = make_likelihood(network.config)
    output = crop(
        network.decoder(z.clamp(*LATENT_RANGE), None), (x.shape[2], x.shape[3])
    )  # what a spatial model padded
    return likelihood.mean(output), likelihood.distortion(output, x)


def draw_noise(model: MultiRateVAE | FixedRateVAE, x: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """(S, B, Z, ...), drawn one after the other, so that the first ones do not depend on how many there are."""
    shape = (len(x), *model.latent_shape((x.shape[2], x.shape[3])))
    like = next(model.parameters())
    return torch.stack([standard_normal(shape, like=like, generator=generator) for _ in range(samples)])


def _has_psnr(config: ModelConfig) -> bool:
    return config.likelihood == "gaussian" and config.data_range is not None


def _psnr(reconstruction: Tensor, x: Tensor, config: ModelConfig) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB, at most 100: (B,)."""
    assert config.data_range is not None
    low, high = config.data_range
    error = (reconstruction.float() - x.float()).square().flatten(1).mean(1) / (high - low) ** 2
    return -10 * error.clamp(min=1e-10).log10()
