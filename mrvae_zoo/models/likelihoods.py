"""The likelihood p(x|z): from the output of a decoder to the mean of x and the distortion in nats.

Letters: B batch, C, H, W image.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from mrvae_zoo.models.config import ModelConfig


class Likelihood(Protocol):
    """What a model needs from p(x|z)."""

    def mean(self, output: Tensor) -> Tensor:
        """Return the mean of p(x|z), clamped to the data range: (B, C, H, W) -> (B, C, H, W)."""

    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        """Return −log p(x|z) of each example in nats, summed over pixels: (B,), at least float32."""


@dataclass(frozen=True, slots=True)
class Bernoulli:
    """Independent Bernoulli pixels, whose logits are the output. For x in [0, 1], D is the cross-entropy."""

    def mean(self, output: Tensor) -> Tensor:
        """Return the mean; see `Likelihood`."""
        return torch.sigmoid(output)

    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the distortion; see `Likelihood`."""
        output, x = _same_precision(output, x)
        return F.binary_cross_entropy_with_logits(output, x, reduction="none").flatten(1).sum(1)


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Independent Gaussian pixels of fixed standard deviation, whose mean is the output.

    D = SSE / (2σ²), without the constant (d/2)·log 2πσ². σ² = ½ therefore makes D the sum of squared errors.
    """

    sigma: float
    data_range: tuple[float, float] | None

    def mean(self, output: Tensor) -> Tensor:
        """Return the mean; see `Likelihood`."""
        return output if self.data_range is None else output.clamp(*self.data_range)

    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the distortion, from the unclamped mean; see `Likelihood`."""
        output, x = _same_precision(output, x)
        return (output - x).square().flatten(1).sum(1) / (2 * self.sigma**2)


def make_likelihood(config: ModelConfig) -> Likelihood:
    """Make the likelihood that a config names."""
    if config.likelihood == "bernoulli":
        return Bernoulli()
    assert config.sigma is not None  # ModelConfig checked it
    return Gaussian(config.sigma, config.data_range)


def _same_precision(output: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(output.dtype, torch.float32)
    return output.to(dtype), x.to(dtype)
