"""Which training images validate, and which are used where a recipe wants fewer: never the first or the last of a file.

Files are often sorted by class, so that their last images are of classes that their first ones are not of.

Letters: N examples, n of them chosen.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mrvae_zoo.common.noise import seeded_generator

SELECTION_SEED = 0


def choose(count: int, wanted: int, labels: Sequence[str | int] | None = None) -> Tensor:
    """Indices of examples chosen at random, the same ones every time; of each label its share where there are labels.

    Args:
        count: N, to choose from.
        wanted: n, at most N.
        labels: of each example, (N,).

    Returns:
        (n,) int64, rising.
    """
    order = torch.randperm(count, generator=seeded_generator(SELECTION_SEED), device="cpu")
    if labels is not None:
        _, numbers = np.unique(np.asarray(labels), return_inverse=True)
        order = order[torch.from_numpy(numbers)[order].argsort(stable=True)]
    evenly = (2 * torch.arange(wanted, device="cpu") + 1) * count // (2 * wanted)
    return order[evenly].sort().values


def all_but(count: int, chosen: Tensor) -> Tensor:
    """The indices of the examples that were not chosen: (N − n,) int64, rising."""
    left = torch.ones(count, dtype=torch.bool, device="cpu")
    left[chosen] = False
    return left.nonzero().flatten()
