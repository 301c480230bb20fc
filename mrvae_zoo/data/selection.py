"""The choice of training images to validate on, or to keep if a recipe wants fewer: never the first or last of a file.

Files are often sorted by class, so their last images would be of other classes than their first ones.

Letters: N examples, n of them chosen.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mrvae_zoo.common.noise import seeded_generator

SELECTION_SEED = 0


def choose(count: int, wanted: int, labels: Sequence[str | int] | None = None) -> Tensor:
    """Choose examples at random, the same ones every time; with labels, each class in proportion.

    Args:
        count: The number N of examples to choose from.
        wanted: The number n of examples to choose, at most N.
        labels: The label of each example, (N,).

    Returns:
        The indices, (n,) int64, in rising order.
    """
    order = torch.randperm(count, generator=seeded_generator(SELECTION_SEED), device="cpu")
    if labels is not None:
        _, numbers = np.unique(np.asarray(labels), return_inverse=True)
        order = order[torch.from_numpy(numbers)[order].argsort(stable=True)]
    evenly = (2 * torch.arange(wanted, device="cpu") + 1) * count // (2 * wanted)
    return order[evenly].sort().values


def all_but(count: int, chosen: Tensor) -> Tensor:
    """Return the indices of the examples that were not chosen: (N − n,) int64, in rising order."""
    left = torch.ones(count, dtype=torch.bool, device="cpu")
    left[chosen] = False
    return left.nonzero().flatten()
