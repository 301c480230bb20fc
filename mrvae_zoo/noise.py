"""Noise that is the same for any number of processes: its seeds, and the draws of one step of training."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


def seed_of(*numbers: int) -> int:
    """One seed for a generator from several numbers, such as (seed, step).

    They are hashed: of a seed of 64 bits torch's generator on the CPU uses the lower 32 only.
    """
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


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
        return torch.rand((self.total, *shape), generator=self.generator, device=device)[self.part]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal: (b, *shape) float32."""
        device = self.generator.device
        return torch.randn((self.total, *shape), generator=self.generator, device=device)[self.part]
