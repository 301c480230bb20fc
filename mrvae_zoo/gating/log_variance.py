"""The log σ² of an encoder in which it does not depend on x: plain, gated, and as the optimal linear VAE has it.

Letters: B batch, K features of log β, Z latents.
"""

import math

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.gates import Gate, at_least_float32
from mrvae_zoo.gating.layers import GatedLayer


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
