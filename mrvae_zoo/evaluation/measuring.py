"""Measuring networks on one chunk of examples: rate, distortion over several draws of z, and its spread over draws.

Letters: B examples of a chunk, S draws, Z latents.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mrvae_zoo.evaluation.transfers import upload, widen
from mrvae_zoo.models.base import LATENT_RANGE, crop
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.likelihoods import make_likelihood
from mrvae_zoo.models.posterior import Posterior, standard_normal
from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE

CHUNK = 256  # examples whose noise is drawn together, and that one process measures
PIXELS = 1 << 20  # that are encoded or decoded at once, of large images


class Measured(NamedTuple):
    """The figures of each example at one β, (B,), averaged over draws, and the posterior, (B, Z, ...).

    The figures are float64, see `widen`; the posterior is as the model computed it. `variance` is that of D over draws,
    divided by the number of draws; NaN for one draw.
    """

    rate: Tensor
    distortion: Tensor
    variance: Tensor
    psnr: Tensor
    posterior: Posterior


def measure(
    networks: Sequence[FixedRateVAE],
    x: Tensor,
    samples: Sequence[int],
    generator: torch.Generator,
    *,
    batch_size: int = CHUNK,
) -> list[Measured]:
    """Measure each network on examples x (B, C, H, W), with its number of draws of z and the same noise for all.

    The memory does not grow with the number of draws: at most `batch_size` examples are decoded at once, or several
    draws of fewer examples. Of large images it is fewer still.
    """
    batch_size = min(batch_size, max(1, PIXELS // x[0, 0].numel()))
    parts = x.split(batch_size)
    posteriors = [[network.encode(part) for part in parts] for network in networks]  # once for all draws
    sums = [widen(torch.zeros(3, len(x), device=x.device)) for _ in networks]
    at_once = max(1, batch_size // len(x))
    for start in range(0, max(samples), at_once):
        noise = draw_noise(networks[0], x, min(at_once, max(samples) - start), generator)
        for network, posterior, total, wanted in zip(networks, posteriors, sums, samples, strict=True):
            if wanted > start:
                drawn = noise[: wanted - start].split(batch_size, dim=1)
                pieces = [_decode(network, *each) for each in zip(parts, posterior, drawn, strict=True)]
                total += torch.cat(pieces, dim=1)
    return [_mean(*each) for each in zip(posteriors, sums, samples, strict=True)]


def _decode(network: FixedRateVAE, x: Tensor, posterior: Posterior, noise: Tensor) -> Tensor:
    """Sum distortion, its square, and PSNR over the draws of noise (S, B, Z, ...): (3, B) float64."""
    draws = len(noise)
    z = posterior.displaced(noise).flatten(0, 1)
    repeated = x.repeat(draws, 1, 1, 1) if draws > 1 else x
    reconstruction, distortion = decode_and_compare(network, repeated, z)
    distortion = widen(distortion)
    psnr = torch.zeros_like(distortion)
    if has_psnr(network.config):
        psnr = widen(_psnr(reconstruction, repeated, network.config))
    return torch.stack([distortion, distortion.square(), psnr]).view(3, draws, -1).sum(1)


def _mean(posteriors: Sequence[Posterior], sums: Tensor, samples: int) -> Measured:
    distortion, square, psnr = sums / samples
    # In float64 the difference is good to 1e-16 of the squared distortion.
    variance = (square - distortion.square()).clamp(min=0) / (samples - 1) if samples > 1 else square * torch.nan
    return Measured(
        rate=torch.cat([widen(each.kl()) for each in posteriors]),
        distortion=distortion,
        variance=variance,
        psnr=psnr,
        posterior=Posterior(*(torch.cat(each) for each in zip(*posteriors, strict=True))),
    )


def decode_and_compare(network: FixedRateVAE, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the clamped mean of p(x|z) (B, C, H, W) and −log p(x|z) in nats (B,), as `network(x)` computes them."""
    likelihood = make_likelihood(network.config)
    output = crop(
        network.decoder(z.clamp(*LATENT_RANGE), None), (x.shape[2], x.shape[3])
    )  # cut off the padding of a spatial model
    return likelihood.mean(output), likelihood.distortion(output, x)


def draw_noise(model: BaseVAE, x: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """Draw noise (S, B, Z, ...), one draw after the other, so that the first ones do not depend on S.

    It is drawn on the generator's device, in the dtype of the model, and then moved to the model.
    """
    shape = (len(x), *model.latent_shape((x.shape[2], x.shape[3])))
    like = torch.empty(0, dtype=model.dtype, device=generator.device)
    noise = torch.stack([standard_normal(shape, like=like, generator=generator) for _ in range(samples)])
    return upload(noise, model.device)


def has_psnr(config: ModelConfig) -> bool:
    """Whether the peak signal-to-noise ratio is meaningful for this model."""
    return config.likelihood == "gaussian" and config.data_range is not None


def _psnr(reconstruction: Tensor, x: Tensor, config: ModelConfig) -> Tensor:
    """Return the peak signal-to-noise ratio of each image in dB, at most 100: (B,)."""
    assert config.data_range is not None
    low, high = config.data_range
    error = (reconstruction.float() - x.float()).square().flatten(1).mean(1) / (high - low) ** 2
    return -10 * error.clamp(min=1e-10).log10()
