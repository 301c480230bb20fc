"""Measuring a model: its rate-distortion curve on a data set."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from mrvae_zoo.config import ModelConfig
from mrvae_zoo.data import ImageData, load_data
from mrvae_zoo.likelihoods import make_likelihood
from mrvae_zoo.noise import seeded_generator
from mrvae_zoo.posterior import Posterior, standard_normal
from mrvae_zoo.rd_curve import RDCurve, RDPoint
from mrvae_zoo.recipes import DataRecipe
from mrvae_zoo.total_correlation import decompose
from mrvae_zoo.vae import FixedRateVAE, MultiRateVAE, crop

if TYPE_CHECKING:
    from accelerate import Accelerator

CHUNK = 256  # examples whose noise is drawn together, and that one process measures
ACTIVE = 0.01  # of the variance of a posterior mean over the data
CORRELATED, AT_ONCE = 1000, 20  # draws of z that total correlation is measured at, and how many at a time
TOLERANCE = 0.01  # what a curve that is measured again may be off by, see `deviation`
BLIND_BELOW = 0.6  # the β below which importance weighting does not see what it misses


def log_spaced(beta_range: tuple[float, float], count: int) -> list[float]:
    """`count` values of β from one end of the range to the other, in equal steps of log β, to 4 digits."""
    low, high = beta_range
    ratio = (math.log(high) - math.log(low)) / (count - 1)
    inner = [float(f"{low * math.exp(i * ratio):.4g}") for i in range(1, count - 1)]
    return [low, *inner, high]


@torch.no_grad()
def rate_distortion(
    model: MultiRateVAE | FixedRateVAE,
    data: ImageData,
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
        data: where to measure.
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
    networks = [model.at(beta) for beta in betas]
    data = data.to(model.device)
    rank, processes = (0, 1) if accelerator is None else (accelerator.process_index, accelerator.num_processes)
    sums = torch.zeros(len(betas), sum(_Sums.sizes(model.latent_dim)), dtype=torch.float64)
    for x, noise in _with_noise(model, data, samples, seed, batch_size, progress, first=rank, step=processes):
        sums += torch.stack([_sum(_measure(network, x, noise)) for network in networks])
    if accelerator is not None and processes > 1:
        sums = accelerator.reduce(sums.to(accelerator.device), reduction="sum").cpu()
    points = []
    for beta, row in zip(betas, sums, strict=True):
        total = _Sums(*row.split(_Sums.sizes(model.latent_dim)))
        # In float64 the difference of the two is good to 1e-16 of the squared mean.
        variance = total.square / total.places - (total.mean / total.places).square()
        point = RDPoint(
            beta=beta,
            rate=total.rate.item() / len(data),
            distortion=total.distortion.item() / len(data),
            active_units=int((variance > ACTIVE).sum()),
            psnr=total.psnr.item() / len(data) if _has_psnr(model.config) else None,
            total_correlation=_total_correlation(model.at(beta), data, seed) if total_correlation else None,
        )
        points.append(point)
    return RDCurve(points=tuple(points), data=data.describe(), samples=samples, seed=seed)


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
    data: ImageData,
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
    network = model.at(beta)
    parts = _with_noise(model, data.to(model.device), samples, seed, batch_size, progress)
    measured = [_measure(network, x, noise) for x, noise in parts]
    return Losses(torch.cat([each.rate for each in measured]), torch.cat([each.distortion for each in measured]))


def _with_noise(
    model: MultiRateVAE | FixedRateVAE,
    data: ImageData,
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
    for number, x in zip(itertools.count(first, step), data.batches(CHUNK, first=first, step=step)):
        noise = _noise(model, x, samples, seeded_generator(seed, number))
        yield from zip(x.split(batch_size), noise.split(batch_size, dim=1), strict=True)
        progress(min(1.0, (number + 1) * CHUNK / len(data)))


def _total_correlation(network: FixedRateVAE, data: ImageData, seed: int) -> float:
    """Of q(z) over the data, in nats."""
    means, log_vars = zip(*(network.encode(x) for x in data.batches(CHUNK)), strict=True)
    posterior = Posterior(torch.cat(means), torch.cat(log_vars))
    drawn = posterior.sample(seeded_generator(seed, 0))[:CORRELATED]
    total = 0.0
    for start in range(0, len(drawn), AT_ONCE):
        z = drawn[start : start + AT_ONCE]
        total += decompose(z, *posterior, examples=len(data), start=start).total_correlation.double().sum().item()
    return total / len(drawn)


class _Measured(NamedTuple):
    """Of each example at one β, in float64 on the CPU: (B,), means over draws; and the posterior mean (B, Z, ...)."""

    rate: Tensor
    distortion: Tensor
    psnr: Tensor
    mean: Tensor


class _Sums(NamedTuple):
    """Sums over examples at one β, in float64: of rate, distortion and PSNR, and over places of the posterior mean."""

    rate: Tensor
    distortion: Tensor
    psnr: Tensor
    places: Tensor
    mean: Tensor
    square: Tensor

    @staticmethod
    def sizes(latents: int) -> list[int]:
        """Of each field, for Z latents."""
        return [1, 1, 1, 1, latents, latents]


def _measure(network: FixedRateVAE, x: Tensor, noise: Tensor) -> _Measured:
    """What a network makes of examples x (B, C, H, W) with noise (S, B, Z, ...)."""
    distortion, psnr = torch.zeros(2, len(x), dtype=torch.float64)
    posterior = network.encode(x)  # once for all draws
    for each in noise:
        reconstruction, its_distortion = _decode(network, x, posterior.displaced(each))
        distortion += its_distortion.cpu().double() / len(noise)
        if _has_psnr(network.config):
            psnr += _psnr(reconstruction, x, network.config).cpu().double() / len(noise)
    return _Measured(posterior.kl().cpu().double(), distortion, psnr, posterior.mean.cpu().double())


def _sum(measured: _Measured) -> Tensor:
    """The fields of `_Sums`, one after the other."""
    mean = measured.mean.movedim(1, -1).flatten(0, -2)  # (places of all examples, Z)
    fields = _Sums(
        rate=measured.rate.sum(0, keepdim=True),
        distortion=measured.distortion.sum(0, keepdim=True),
        psnr=measured.psnr.sum(0, keepdim=True),
        places=torch.tensor([len(mean)], dtype=torch.float64),
        mean=mean.sum(0),
        square=mean.square().sum(0),
    )
    return torch.cat(fields)


def _decode(network: FixedRateVAE, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """The clamped mean of p(x|z) (B, C, H, W) and −log p(x|z) in nats (B,), as `network(x)` gives them."""
    likelihood = make_likelihood(network.config)
    output = crop(network.decoder(z, None), (x.shape[2], x.shape[3]))  # what a spatial model padded
    return likelihood.mean(output), likelihood.distortion(output, x)


def _noise(model: MultiRateVAE | FixedRateVAE, x: Tensor, samples: int, generator: torch.Generator) -> Tensor:
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


def measure_again(
    model: MultiRateVAE | FixedRateVAE,
    data_root: Path,
    *,
    data_name: str | None = None,
    betas: Sequence[float] | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> RDCurve:
    """The published curve of a model, measured again with the same β, draws and seed.

    Args:
        model: with a curve.
        data_root: the folder of data sets.
        data_name: another set than the one the curve names; it is not binarised.
        betas: some of those of the curve, without its total correlation; None is all.
        progress: see `rate_distortion`.

    Raises:
        ValueError: the model has no curve, or its curve does not say what it was measured on.
        FileNotFoundError: the data set is not there.
    """
    data = measured_split(model, data_root, data_name=data_name)
    curve = model.curve
    assert curve is not None  # test_split checked it
    return rate_distortion(
        model,
        data,
        curve.betas if betas is None else betas,
        samples=curve.samples,
        seed=curve.seed,
        total_correlation=betas is None and curve.points[0].total_correlation is not None,
        progress=progress,
    )


def measured_split(model: MultiRateVAE | FixedRateVAE, data_root: Path, *, data_name: str | None = None) -> ImageData:
    """The data that the published curve of a model was measured on; arguments and errors as of `measure_again`."""
    if model.curve is None or "name" not in model.curve.data:
        raise ValueError("this model has no curve that says what it was measured on")
    published = model.curve.data
    size = tuple(published["size"]) if "size" in published else None
    if data_name is not None and data_name != published["name"]:
        return load_data(DataRecipe(name=data_name, size=size), "test", data_root, model.input_shape)
    recipe = DataRecipe(
        name=published["name"],
        binarize=published.get("binarize", "none"),
        size=size,
        held_out=published.get("held_out", 0),
    )
    return load_data(recipe, published.get("split", "test"), data_root, model.input_shape)


def deviation(published: RDPoint, measured: RDPoint) -> float:
    """The larger of the relative differences in rate and in distortion; below 1 nat, in nats."""
    pairs = ((published.rate, measured.rate), (published.distortion, measured.distortion))
    return max(abs(new - old) / max(abs(old), 1.0) for old, new in pairs)


@torch.no_grad()
def importance_weighted_bound(
    model: MultiRateVAE | FixedRateVAE,
    data: ImageData,
    beta: float,
    *,
    samples: int = 100,
    seed: int = 0,
    batch_size: int = CHUNK,
    progress: Callable[[float], None] = lambda _: None,
) -> float:
    """A lower bound on log p(x) of the model at β, in nats per example, mean over the data.

    The mean of log (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x) over x, with K draws of z from the posterior: it rises with K
    towards log p(x) of the decoder at β, and at K = 1 and β = 1 is −L in expectation. The constants of the likelihood
    are kept ((d/2)·log 2πσ² of a Gaussian), and the weights hold no β. Source: Burda et al., "Importance Weighted
    Autoencoders", ICLR 2016.

    Args:
        model: in eval mode.
        data: where to measure.
        beta: at least 0.6.
        samples: K, at least 1.
        seed: of the draws; those of a smaller K are the first ones of a larger.
        batch_size: how many examples to hold at once, at most 256.
        progress: called with the share done, in [0, 1].

    Raises:
        ValueError: β is below 0.6. The variance of the posterior is about β times that of p(z|x) (exactly so in a
            linear VAE with little noise); from β = ½ downwards the weights have no finite variance, hardly a draw
            reaches where they are large, and the estimate stays below log p(x) at any K that can be paid for, without
            a sign of it. Or the model does not take β or the data, or `samples` is below 1.
    """
    if beta < BLIND_BELOW:
        raise ValueError(
            f"beta={beta} is below {BLIND_BELOW}: the posterior there is so narrow that its draws miss most of p(z|x) "
            "and the bound stays far below log p(x); measure at a higher beta"
        )
    if samples < 1:
        raise ValueError(f"samples={samples} should be at least 1")
    network = model.at(beta)
    data = data.to(model.device)
    total = torch.zeros((), dtype=torch.float64)
    for number, x in enumerate(data.batches(CHUNK)):
        generator = seeded_generator(seed, number)
        parts = x.split(batch_size)
        posteriors = [network.encode(part) for part in parts]  # once for all draws
        log_sums = [torch.full((len(part),), -math.inf, dtype=torch.float64) for part in parts]
        for _ in range(samples):  # one draw at a time: the memory does not grow with K
            (noise,) = _noise(network, x, 1, generator)
            for i, part_noise in enumerate(noise.split(batch_size)):
                log_weights = _log_weights(network, parts[i], posteriors[i], part_noise)
                log_sums[i] = torch.logaddexp(log_sums[i], log_weights)
        total += torch.cat(log_sums).sum() - len(x) * math.log(samples)
        progress(min(1.0, (number + 1) * CHUNK / len(data)))
    return total.item() / len(data)


def _log_weights(network: FixedRateVAE, x: Tensor, posterior: Posterior, noise: Tensor) -> Tensor:
    """The log of p(x|z) p(z) / q(z|x) at the z that `noise` (B, Z, ...) gives: (B,) float64 on the CPU."""
    z = posterior.displaced(noise)
    _, distortion = _decode(network, x, z)
    z, log_var, noise = (each.cpu().double() for each in (z, posterior.log_var, noise))
    log_ratio = 0.5 * (noise.square() - z.square() + log_var).flatten(1).sum(1)  # of p(z) to q(z|x)
    log_likelihood = -distortion.cpu().double()
    if network.config.sigma is not None:
        log_likelihood -= x[0].numel() / 2 * math.log(2 * math.pi * network.config.sigma**2)
    return log_likelihood + log_ratio
