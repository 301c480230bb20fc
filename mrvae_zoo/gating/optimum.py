"""The layers at the latents, set to the optimum of a linear VAE, from which a training can start.

A linear VAE sees signals of variance λ_1 ≥ λ_2 ≥ … (the principal components of the data) through Gaussian noise σ².
The strength of a latent is s = λ/σ². At a β below s the optimum is

    mean = root · signal / √λ,   log σ² = log(β/s),   decoder column = root · √λ · direction,   root = sqrt(1 − β/s),

and from β = s upwards the latent is closed. So a gating that opens and closes latents can start at the optimum of every
β at once; any other starts at that of a single β.

Letters: Z latents, K features of log β.

Source: Lucas et al., "Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse", NeurIPS 2019.
"""

import math

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.gates import AffineGate, Gate, LatentGate, ThresholdGate, shrinkages

LEAST_OPEN = (
    1.02  # of β, the least strength of a latent at the start: a latent that is closed everywhere learns nothing
)
POINTS, RIDGE = 60, 1e-2  # of the fit of log σ² over β


@torch.no_grad()
def start_writer(
    layer: nn.Linear | nn.Conv2d,
    weight: Tensor,
    bias: Tensor,
    strengths: Tensor,
    *,
    beta: float,
    beta_range: tuple[float, float],
) -> None:
    """Set the last layer of an encoder, (mean, log σ²).

    Args:
        layer: The layer, whose outputs are 2Z channels.
        weight: The weight that gives the signals over √λ, in the shape of the first Z rows of the layer's own.
        bias: The bias of the same, (Z,).
        strengths: The strengths of the latents, (Z,).
        beta: The β to start at. A gating that opens and closes latents takes the lowest here, and fits the others.
        beta_range: The range of β.
    """
    assert layer.bias is not None
    latents = len(strengths)
    strengths, root = opened(strengths, beta)
    gate = getattr(layer, "gate", None)
    moves = isinstance(gate, LatentGate)
    scale = torch.ones_like(root) if moves else root
    log_var = (beta / strengths).log() / (root if moves else 1)
    layer.weight[:latents] = weight * scale.view(-1, *[1] * (weight.ndim - 1))
    layer.bias[:latents] = bias * scale
    layer.weight[latents:] = 0
    layer.bias[latents:] = log_var
    if isinstance(gate, LatentGate):
        _close(gate.threshold, strengths)
        if isinstance(gate.inner, AffineGate):
            gate.inner.coefficients[1, :, latents:] = _shifts(
                strengths, log_var, beta_range, len(gate.inner.coefficients[1])
            )


@torch.no_grad()
def start_reader(layer: nn.Linear | nn.Conv2d, weight: Tensor, bias: Tensor, strengths: Tensor, *, beta: float) -> None:
    """Set the first layer of a decoder.

    Args:
        layer: The layer, whose inputs are the Z latents.
        weight: The weight that takes a latent to the signal over its direction, in the shape of the layer's own.
        bias: The bias of the layer.
        strengths: The strengths of the latents, (Z,).
        beta: The β to start at; see `start_writer`.
    """
    assert layer.bias is not None
    strengths, root = opened(strengths, beta)
    input_gate = getattr(layer, "input_gate", None)
    if input_gate is not None:
        _close(input_gate, strengths)
        root = torch.ones_like(root)
    layer.weight.copy_(weight * root.view(1, -1, *[1] * (weight.ndim - 2)))
    layer.bias.copy_(bias)


def opened(strengths: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Return strengths (Z,) of latents that are all open at a β, and their roots sqrt(1 − β/s) there."""
    strengths = strengths.clamp(min=LEAST_OPEN * beta)
    return strengths, (1 - beta / strengths).sqrt()


def _close(gate: Gate, strengths: Tensor) -> None:
    """Let a gate close each latent at the β that is its strength."""
    assert isinstance(gate, ThresholdGate)
    gate.offset.copy_(-strengths.log())


def _shifts(strengths: Tensor, log_var: Tensor, beta_range: tuple[float, float], degree: int) -> Tensor:
    """Return the shifts (K, Z) that bring log σ² nearest to log(β/s) over the range, in the sense of least squares."""
    low, high = (math.log(end) for end in beta_range)
    betas = torch.linspace(low, high, POINTS, dtype=torch.float64, device=strengths.device).exp()
    features = shrinkages(betas, beta_range, degree)
    ratio = betas.unsqueeze(1) / strengths.double()
    root = (1 - ratio).relu().sqrt()
    wanted = ratio.log().clamp(max=0) - root * log_var  # (POINTS, Z)
    terms = features.unsqueeze(1) * root.unsqueeze(2)  # (POINTS, Z, K)
    squares = torch.einsum("pzk,pzl->zkl", terms, terms) + RIDGE * torch.eye(degree, dtype=torch.float64).to(terms)
    return torch.linalg.solve(squares, torch.einsum("pzk,pz->zk", terms, wanted)).T.to(log_var.dtype)
