"""Generators that are seeded by several numbers at once."""

import numpy as np
import torch


def seeded_generator(*words: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator for a sequence of numbers, such as (seed, step): another one for any other of its length.

    The numbers are mixed first, as the generator of the CPU reads the lowest 32 bits of its seed alone:
    `manual_seed((seed << 32) + step)` would forget the seed.

    Args:
        words: each at least 0 and below 2^32.
        device: of the generator.
    """
    state = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]))
