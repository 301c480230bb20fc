"""fourier: gates whose scale and shift are sums of cosines of log β.

    u = (log β − log β_min) / (log β_max − log β_min),  features √2·cos(kπu), k = 1 ... K

Letters: B batch, K features of log β.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor

from mrvae_zoo.plugins import AffineGate, Gating, Place


class FourierGating(Gating):
    """Scale and shift of every layer, each a sum of `degree` cosines of log β."""

    name: ClassVar[str] = "fourier"

    def features(self, beta: Tensor) -> Tensor:
        """The cosines, orthonormal over log β: β () -> (K,), or (B,) -> (B, K)."""
        low, high = map(math.log, self.beta_range)
        position = (beta.log() - low) / (high - low)
        cosines = [torch.cos(k * math.pi * position) for k in range(1, self.degree + 1)]
        return math.sqrt(2) * torch.stack(cosines, dim=-1)

    def gate(self, place: Place) -> AffineGate:
        """The gate of a layer, the identity at initialisation."""
        return AffineGate(place.channels, self.degree, shift=place.shift)
