"""Noise: seeds of generators, and the draws of a training step, which are a function of where they are used.

A number drawn in training is Philox4x32-10 of a key, the seed, and a counter: the number's place in its example, the
example's place in the whole batch, the step, and the purpose. It depends on nothing else. It is therefore the same for
any number of processes, on every device, after a resume, and in a compiled or captured step, and no generator has to be
seeded.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import enum
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
BITS = 24  # of a uniform number: as many as a float32 has

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def seed_of(*numbers: int) -> int:
    """Combine several numbers, such as (seed, step), each at least 0, into one seed for a generator.

    They are mixed, because torch's generator on the CPU uses only the lower 32 bits of a 64-bit seed.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def seeded_generator(*numbers: int, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a generator that is seeded by several numbers; see `seed_of`."""
    return torch.Generator(device).manual_seed(seed_of(*numbers))


class Purpose(enum.IntEnum):
    """The purpose of a draw. Draws for different purposes are independent."""

    ORDER = 0
    FLIP = 1
    BINARIZE = 2
    BETA = 3
    LATENTS = 4
    PLACE = 5


def philox(counter: Words, key: Tensor) -> Words:
    """Return four random words of 32 bits for each counter of four such words, int64 tensors of one broadcast shape.

    `key` () is the lower word of the key; the upper one is 0.
    """
    a, b, c, d = counter
    lower = key + torch.arange(ROUNDS, device=key.device) * WEYL[0] & MASK
    for number, low in enumerate(lower.unbind()):
        high = number * WEYL[1] & MASK
        first, second = a * MULTIPLIERS[0], c * MULTIPLIERS[1]  # the lower 64 bits, which is all of the product
        a, b = (second >> 32 & MASK) ^ b ^ low, second & MASK
        c, d = (first >> 32 & MASK) ^ d ^ high, first & MASK
    return a, b, c, d


@dataclass(frozen=True, slots=True)
class Noise:
    """The draws of one training step, for some examples of a whole batch.

    Attributes:
        seed: The seed of the training, () int64. The draws are on its device.
        step: The number of steps before this one, () int64.
        count: The number of examples b to draw for.
        first: The place of the first of them in the whole batch, an int or () int64.
    """

    seed: Tensor
    step: Tensor
    count: int
    first: int | Tensor = 0

    def words(self, purpose: Purpose, size: int) -> Tensor:
        """Draw words of 32 bits: (b, size) int64."""
        device = self.seed.device
        block = torch.arange(-(-size // 4), device=device)
        example = self.first + torch.arange(self.count, device=device).unsqueeze(1)
        kind = torch.full((), int(purpose), device=device)
        drawn = philox((block, example, self.step, kind), self.seed)
        return torch.stack(torch.broadcast_tensors(*drawn), dim=-1).flatten(1)[:, :size]

    def uniform(self, purpose: Purpose, *shape: int) -> Tensor:
        """Draw uniform numbers in [0, 1): (b, *shape) float32."""
        return to_uniform(self.words(purpose, math.prod(shape))).view(self.count, *shape)

    def coarse_uniform(self, purpose: Purpose, *shape: int) -> Tensor:
        """Draw multiples of 2^-16 in [0, 1): (b, *shape) float32, for half the arithmetic."""
        size = math.prod(shape)
        words = self.words(purpose, -(-size // 2))
        both = torch.cat([words >> 16, words & 0xFFFF], dim=1)
        return (both[:, :size].float() * 2.0**-16).view(self.count, *shape)

    def normal(self, purpose: Purpose, *shape: int) -> Tensor:
        """Draw standard normal numbers: (b, *shape) float32, by the method of Box and Muller."""
        size = math.prod(shape)
        first, second = to_uniform(self.words(purpose, size + size % 2)).chunk(2, dim=1)
        radius, angle = (-2 * (1 - first).log()).sqrt(), 2 * math.pi * second
        drawn = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
        return drawn[:, :size].reshape(self.count, *shape)


def to_uniform(words: Tensor) -> Tensor:
    """Return words of 32 bits as uniform numbers in [0, 1), float32."""
    return (words >> 32 - BITS).float() * 2.0**-BITS
