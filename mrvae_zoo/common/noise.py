"""Noise that is the same for any number of processes: its seeds, and the draws of one step of training."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def seed_of(*numbers: int) -> int:
    """One seed for a generator from several numbers, such as (seed, step), each at least 0.

    They are mixed: of a seed of 64 bits torch's generator on the CPU uses the lower 32 only.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def seeded_generator(*numbers: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator for several numbers, see `seed_of`."""
    return torch.Generator(device).manual_seed(seed_of(*numbers))


@dataclass(frozen=True, slots=True)
class Noise:
    """Draws for the whole batch, of all processes, cut to the part of this one.

    Attributes:
        generator: seeded alike in every process; the draws are on its device.
        total: B, the examples of the whole batch.
        part: those of this process.
    """

    generator: torch.Generator
    total: int
    part: slice

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in [0, 1): (b, *shape) float32."""
        device = self.generator.device
        return torch.rand((self.total, *shape), generator=self.generator, dtype=torch.float32, device=device)[self.part]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal: (b, *shape) float32."""
        device = self.generator.device
        return torch.randn((self.total, *shape), generator=self.generator, dtype=torch.float32, device=device)[
            self.part
        ]
