"""The features of β together with the values of all gates at them; see `mrvae_zoo.gating.packing`."""

from typing import Any

import torch
from torch import Tensor


class Packed:
    """The features of one β per example, (B, K + 1), with what the gates make of them. Layers read it like a tensor.

    Attributes:
        features: The features themselves.
        values: The sums of each gate's parts, by its number: (B, C) for the scale, less 1, and for the shift.
    """

    ndim = 2

    def __init__(self, features: Tensor, values: list[list[Tensor]]) -> None:
        self.features = features
        self.values = values

    def __getitem__(self, index: Any) -> Tensor:
        return self.features[index]

    @property
    def device(self) -> torch.device:
        """The device of the features."""
        return self.features.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the features."""
        return self.features.dtype
