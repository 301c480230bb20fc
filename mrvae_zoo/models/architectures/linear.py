"""mrvae_linear: the linear VAE, whose optimum at every β is known in closed form.

    x (B, C, H, W) ─flatten─► (B, D) ─Linear─► ⊙ gate(β) ─► mean (B, Z);   log σ² (Z,) depends on β alone
    z (B, Z) ─► ⊙ gate(β) ─Linear, bias the learned mean─► (B, D) ─unflatten─► logits or mean (B, C, H, W)

With a Gaussian likelihood of variance σ², and λ_i the eigenvalues of the data's covariance, the optimum keeps the
latents with λ_i > βσ²; a kept one has decoder gain² λ_i − βσ², encoder gain (decoder gain)/λ_i and posterior variance
βσ²/λ_i. As a function of β that is an encoder row and a decoder column, each times sqrt(relu(1 − βσ²/λ_i)), and
log σ_i² = min(0, log βσ²/λ_i): what the gating "linear" computes, with log σ²/λ_i learned. All gates of this
architecture are on the latents, whatever their kind, since that is where the response acts.

Letters: B batch, C, H, W image, D = C·H·W, Z latents.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrvae_zoo.gating.gates import Gate, at_least_float32
from mrvae_zoo.gating.kinds import Gating
from mrvae_zoo.gating.layers import GatedLayer, GatedLinear, call, gated_activations, with_parameters


class LogVariance(nn.Module):
    """log σ² (Z,), the same for every x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.full((channels,), -1.0))  # not 0: a gate on it would have no gradient

    def forward(self, features: Tensor | None) -> Tensor:  # noqa: ARG002
        """(Z,)."""
        return self.value


class GatedLogVariance(LogVariance, GatedLayer):
    """log σ² times a gate: (Z,) or (B, Z)."""

    def __init__(self, channels: int, *, gate: Gate) -> None:
        super().__init__(channels)
        self.gate = gate

    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]
        """The gated log-variance."""
        scale, shift = self.gate(features)
        value = at_least_float32(self.value) * scale
        return (value if shift is None else value + shift).to(self.value.dtype)

    def folded(self, features: Tensor) -> LogVariance:
        """See `GatedLayer`."""
        return plain_log_variance(self, features)


class ThresholdLogVariance(LogVariance, GatedLayer):
    """log σ² = min(0, c + log β), 0 for a latent that is not in use: (Z,) or (B, Z)."""

    def __init__(self, channels: int, *, beta_max: float) -> None:
        super().__init__(channels)
        nn.init.constant_(self.value, math.log(0.5 / beta_max))

    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]
        """The log-variance at log β = features."""
        return (at_least_float32(self.value) + features).clamp(max=0).to(self.value.dtype)

    def folded(self, features: Tensor) -> LogVariance:
        """See `GatedLayer`."""
        return plain_log_variance(self, features)


def plain_log_variance(layer: LogVariance, features: Tensor) -> LogVariance:
    """The log-variance of a gated `layer` at `features` (K,), as a plain one."""
    plain = LogVariance(0).train(layer.training)
    plain.value = nn.Parameter(layer(features))
    return plain


class InputGatedLinear(nn.Linear, GatedLayer):
    """Linear layer with gated inputs: z (B, Z), features (K,) or (B, K) -> (B, D)."""

    def __init__(self, inputs: int, outputs: int, *, gate: Gate) -> None:
        super().__init__(inputs, outputs)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """The output for gated inputs."""
        return super().forward(gated_activations(x, self.gate(features), channel_dim=-1))

    def folded(self, features: Tensor) -> nn.Linear:
        """See `GatedLayer`."""
        scale, shift = self.gate(features)
        weight, bias = at_least_float32(self.weight), at_least_float32(self.bias)
        if shift is not None:
            bias = F.linear(shift, weight, bias)
        plain = nn.Linear(self.in_features, self.out_features, device="meta")
        dtype = self.weight.dtype
        return with_parameters(plain, (weight * scale).to(dtype), bias.to(dtype), like=self)


class LinearEncoder(nn.Module):
    """x (B, C, H, W) and the features of β -> mean, log σ², each (B, Z)."""

    def __init__(self, mean: nn.Linear, log_var: LogVariance) -> None:
        super().__init__()
        self.mean = mean
        self.log_var = log_var

    def forward(self, x: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior."""
        mean = call(self.mean, x.flatten(1), features)
        return mean, self.log_var(features).expand_as(mean)


class LinearDecoder(nn.Module):
    """z (B, Z) and the features of β -> logits or mean (B, C, H, W)."""

    def __init__(self, output: nn.Linear, output_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.output = output
        self.output_shape = output_shape

    def forward(self, z: Tensor, features: Tensor | None) -> Tensor:
        """What the likelihood takes."""
        return call(self.output, z, features).unflatten(-1, self.output_shape)


def build(input_shape: tuple[int, int, int], latent_dim: int, gating: Gating) -> tuple[LinearEncoder, LinearDecoder]:
    """The encoder and the decoder."""
    size = math.prod(input_shape)
    encoder_gate, decoder_gate = (
        gating.gate(latent_dim, side="encoder"),
        gating.gate(latent_dim, side="decoder"),
    )
    variance_gate = gating.gate(latent_dim, side="encoder")
    log_var: LogVariance
    if encoder_gate is None or decoder_gate is None or variance_gate is None:
        mean, output = nn.Linear(size, latent_dim), nn.Linear(latent_dim, size)
        log_var = LogVariance(latent_dim)
    else:
        mean = GatedLinear(size, latent_dim, gate=encoder_gate)
        output = InputGatedLinear(latent_dim, size, gate=decoder_gate)
        log_var = (
            ThresholdLogVariance(latent_dim, beta_max=gating.beta_range[1])
            if gating.kind == "linear"
            else GatedLogVariance(latent_dim, gate=variance_gate)
        )
    return LinearEncoder(mean, log_var), LinearDecoder(output, input_shape)
