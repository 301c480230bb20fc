"""The noise of one step of training.

Letters: B examples of one process.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of one step: drawn for the whole batch, of all processes, and cut to the part of this one.

    Attributes:
        generator: where it is drawn from, on the device it is wanted on.
        total: examples in the whole batch.
        part: this process's part of it, B examples.
    """

    generator: torch.Generator
    total: int
    part: slice

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1), (B, *shape)."""
        return torch.rand((self.total, *shape), generator=self.generator, device=self.generator.device)[self.part]

    def normal(self, *shape: int) -> Tensor:
        """Numbers of a standard normal distribution, (B, *shape)."""
        return torch.randn((self.total, *shape), generator=self.generator, device=self.generator.device)[self.part]
