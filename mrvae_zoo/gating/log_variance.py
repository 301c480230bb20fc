"""The log σ² of an encoder in which it does not depend on x: plain, gated, and that of the optimal linear VAE.

Letters: B batch, K features of log β, Z latents.
"""

import math

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.gates import Gate, at_least_float32
from mrvae_zoo.gating.layers import GatedLayer


class LogVariance(nn.Module):
    """A log σ² (Z,) that is the same for every x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.full((channels,), -1.0))  # not 0: a gate on it would have no gradient

    def forward(self, features: Tensor | None) -> Tensor:  # noqa: ARG002
        """Return log σ², (Z,)."""
        return self.value


class GatedLogVariance(LogVariance, GatedLayer):
    """A log σ² times a gate: (Z,) or (B, Z)."""

    def __init__(self, channels: int, *, gate: Gate) -> None:
        super().__init__(channels)
        self.gate = gate

    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated log-variance."""
        scale, shift = self.gate(features)
        value = at_least_float32(self.value) * scale
        return (value if shift is None else value + shift).to(self.value.dtype)

    def folded(self, features: Tensor) -> LogVariance:
        """Return the plain module; see `GatedLayer`."""
        return plain_log_variance(self, features)


class ThresholdLogVariance(LogVariance, GatedLayer):
    """The log-variance min(0, c + log β), which is 0 for an unused latent: (Z,) or (B, Z)."""

    def __init__(self, channels: int, *, beta_max: float) -> None:
        super().__init__(channels)
        nn.init.constant_(self.value, math.log(0.5 / beta_max))

    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the log-variance at log β = features."""
        return (at_least_float32(self.value) + features).clamp(max=0).to(self.value.dtype)

    def folded(self, features: Tensor) -> LogVariance:
        """Return the plain module; see `GatedLayer`."""
        return plain_log_variance(self, features)


def plain_log_variance(layer: LogVariance, features: Tensor) -> LogVariance:
    """Return the log-variance of a gated `layer` at `features` (K,), as a plain one."""
    plain = LogVariance(0).train(layer.training)
    plain.value = nn.Parameter(layer(features))
    return plain
