"""The linear VAE in closed form: the optimum at every β, and the exact loss of a given network.

Letters: D data dimensions, Z latents, N values of β.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mrvae_zoo.gating.layers import GatedLinear
from mrvae_zoo.models.architectures.linear import InputGatedLinear, LinearDecoder, LinearEncoder
from mrvae_zoo.models.vae import MultiRateVAE


def optimal_loss(eigenvalues: Tensor, beta: float, *, sigma: float, latent_dim: int) -> float:
    """Return the smallest L_β of any linear VAE with Z latents, in nats, without the constant (D/2)·log 2πσ².

    Args:
        eigenvalues: The eigenvalues (D,) of the covariance (1/N) of the data that L is taken over.
        beta: The β of the loss.
        sigma: The standard deviation of the likelihood.
        latent_dim: The number of latents, Z.
    """
    eigenvalues = eigenvalues.double().sort(descending=True).values
    kept = latents_in_use(eigenvalues, beta, sigma=sigma, latent_dim=latent_dim)
    inside = (1 + (eigenvalues[:kept] / (beta * sigma**2)).log()).sum() * beta / 2
    return float(inside + eigenvalues[kept:].sum() / (2 * sigma**2))


def latents_in_use(eigenvalues: Tensor, beta: float, *, sigma: float, latent_dim: int) -> int:
    """Return how many latents the optimum keeps: those with an eigenvalue above βσ², at most Z."""
    return min(latent_dim, int((eigenvalues > beta * sigma**2).sum()))


class LinearMaps(NamedTuple):
    """A linear VAE as matrices, one set for each of N values of β.

    Attributes:
        encode: The matrix of the encoder, (N, Z, D).
        encode_bias: The bias of the encoder, (N, Z).
        log_var: The log-variance of the posterior, (N, Z).
        decode: The matrix of the decoder, (N, D, Z).
        decode_bias: The bias of the decoder, (N, D).
    """

    encode: Tensor
    encode_bias: Tensor
    log_var: Tensor
    decode: Tensor
    decode_bias: Tensor


def linear_maps(model: MultiRateVAE, beta: Tensor) -> LinearMaps:
    """Return the matrices of a gated `mrvae_linear` model at β (N,), differentiable in its parameters."""
    encoder, decoder, features = model.encoder, model.decoder, model.gating.features(beta)
    assert isinstance(encoder, LinearEncoder)
    assert isinstance(encoder.mean, GatedLinear)
    assert isinstance(decoder, LinearDecoder)
    assert isinstance(decoder.output, InputGatedLinear)
    scale, shift = encoder.mean.gate(features)
    encode_bias = encoder.mean.bias * scale
    z_scale, z_shift = decoder.output.gate(features)
    decode_bias = decoder.output.bias.expand(len(beta), -1)
    return LinearMaps(
        encode=encoder.mean.weight * scale.unsqueeze(-1),
        encode_bias=encode_bias if shift is None else encode_bias + shift,
        log_var=encoder.log_var(features),
        decode=decoder.output.weight * z_scale.unsqueeze(-2),
        decode_bias=decode_bias if z_shift is None else F.linear(z_shift, decoder.output.weight, decoder.output.bias),
    )


def exact_loss(maps: LinearMaps, beta: Tensor, *, sigma: float, mean: Tensor, covariance: Tensor) -> Tensor:
    """Return L_β with a Gaussian likelihood, with the expectation over data and latents in closed form.

    Args:
        maps: The matrices of the network.
        beta: The values of β, (N,).
        sigma: The standard deviation of the likelihood.
        mean: The mean of the data, (D,).
        covariance: The covariance of the data, (D, D).

    Returns:
        The losses, (N,) nats, without the constant (D/2)·log 2πσ².
    """
    latent_mean = maps.encode @ mean + maps.encode_bias
    left = torch.eye(len(mean), dtype=mean.dtype, device=mean.device) - maps.decode @ maps.encode
    bias = mean - (maps.decode @ latent_mean.unsqueeze(-1)).squeeze(-1) - maps.decode_bias
    noise = maps.decode.square() @ maps.log_var.exp().unsqueeze(-1)
    squared_error = ((left @ covariance) * left).sum((-2, -1)) + bias.square().sum(-1) + noise.sum((-2, -1))
    second_moment = ((maps.encode @ covariance) * maps.encode).sum(-1) + latent_mean.square()
    rate = 0.5 * (second_moment + torch.expm1(maps.log_var) - maps.log_var).sum(-1)
    return squared_error / (2 * sigma**2) + beta * rate
