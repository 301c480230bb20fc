"""Noise that is the same for any number of processes: its seeds, and the draws of one training step."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def seed_of(*numbers: int) -> int:
    """Combine several numbers, such as (seed, step), each at least 0, into one seed for a generator.

    They are mixed, because torch's generator on the CPU uses only the lower 32 bits of a 64-bit seed.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def seeded_generator(*numbers: int, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a generator that is seeded by several numbers; see `seed_of`."""
    return torch.Generator(device).manual_seed(seed_of(*numbers))


@dataclass(frozen=True, slots=True)
class Noise:
    """Draws for the whole batch of all processes, cut to the part of this one.

    Attributes:
        generator: The generator, seeded alike in every process. The draws are on its device.
        total: The number of examples B in the whole batch.
        part: The examples of this process.
    """

    generator: torch.Generator
    total: int
    part: slice

    def uniform(self, *shape: int) -> Tensor:
        """Draw uniform noise in [0, 1): (b, *shape) float32."""
        device = self.generator.device
        return torch.rand((self.total, *shape), generator=self.generator, dtype=torch.float32, device=device)[self.part]

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal noise: (b, *shape) float32."""
        device = self.generator.device
        return torch.randn((self.total, *shape), generator=self.generator, dtype=torch.float32, device=device)[
            self.part
        ]
