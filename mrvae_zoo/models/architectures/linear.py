"""mrvae_linear: the linear VAE, whose optimum at every β is known in closed form.

    x (B, C, H, W) ─flatten─► (B, D) ─Linear─► ⊙ gate(β) ─► mean (B, Z);   log σ² (Z,) depends on β alone
    z (B, Z) ─► ⊙ gate(β) ─Linear, bias the learned mean─► (B, D) ─unflatten─► logits or mean (B, C, H, W)

With a Gaussian likelihood of variance σ², and λ_i the eigenvalues of the data's covariance, the optimum keeps the
latents with λ_i > βσ². A kept latent has decoder gain² λ_i − βσ², encoder gain (decoder gain)/λ_i and posterior
variance βσ²/λ_i. As a function of β this is an encoder row and a decoder column, each times sqrt(relu(1 − βσ²/λ_i)),
and log σ_i² = min(0, log βσ²/λ_i). The gating "linear" computes exactly this, with log σ²/λ_i learned. All gates of
this architecture, of whatever kind, are on the latents, since that is where the response acts.

Letters: B batch, C, H, W image, D = C·H·W, Z latents.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from mrvae_zoo.gating.base import Gating, Place
from mrvae_zoo.gating.gates import Gate, at_least_float32
from mrvae_zoo.gating.layers import GatedLayer, GatedLinear, call, gated_activations, with_parameters
from mrvae_zoo.gating.log_variance import LogVariance


class InputGatedLinear(nn.Linear, GatedLayer):
    """A Linear layer with gated inputs: z (B, Z), features (K,) or (B, K) -> (B, D)."""

    def __init__(self, inputs: int, outputs: int, *, gate: Gate) -> None:
        super().__init__(inputs, outputs)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the output for gated inputs."""
        return super().forward(gated_activations(x, self.gate(features), channel_dim=-1))

    def folded(self, features: Tensor) -> nn.Linear:
        """Return the plain layer; see `GatedLayer`."""
        scale, shift = self.gate(features)
        weight, bias = at_least_float32(self.weight), at_least_float32(self.bias)
        if shift is not None:
            bias = F.linear(shift, weight, bias)
        plain = nn.Linear(self.in_features, self.out_features, device="meta")
        dtype = self.weight.dtype
        return with_parameters(plain, (weight * scale).to(dtype), bias.to(dtype), like=self)


class LinearEncoder(nn.Module):
    """An encoder: x (B, C, H, W) and the features of β -> mean, log σ², each (B, Z)."""

    def __init__(self, mean: nn.Linear, log_var: LogVariance) -> None:
        super().__init__()
        self.mean = mean
        self.log_var = log_var

    def forward(self, x: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mean and log-variance of the posterior."""
        mean = call(self.mean, x.flatten(1), features)
        return mean, self.log_var(features).expand_as(mean)


class LinearDecoder(nn.Module):
    """A decoder: z (B, Z) and the features of β -> logits or mean (B, C, H, W)."""

    def __init__(self, output: nn.Linear, output_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.output = output
        self.output_shape = output_shape

    def forward(self, z: Tensor, features: Tensor | None) -> Tensor:
        """Return what the likelihood takes."""
        return call(self.output, z, features).unflatten(-1, self.output_shape)


def build(input_shape: tuple[int, int, int], latent_dim: int, gating: Gating) -> tuple[LinearEncoder, LinearDecoder]:
    """Build the encoder and the decoder."""
    size = math.prod(input_shape)
    writer, reader = gating.gate(Place(latent_dim, "encoder")), gating.gate(Place(latent_dim, "decoder"))
    mean = nn.Linear(size, latent_dim) if writer is None else GatedLinear(size, latent_dim, gate=writer)
    output = nn.Linear(latent_dim, size) if reader is None else InputGatedLinear(latent_dim, size, gate=reader)
    return LinearEncoder(mean, gating.log_variance(latent_dim)), LinearDecoder(output, input_shape)
