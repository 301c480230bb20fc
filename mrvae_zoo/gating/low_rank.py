"""A part of low rank of a layer's weight that moves with β: W + Σ_k φ_k(β) U_k V.

    x ──layer──► y (B, ..., C, ...)
    x ──V, a layer of the same kind with r outputs──► (B, ..., r, ...) ──Σ_k φ_k U_k──► added to y

Letters: B batch, C channels of the layer's output, K features of log β, r rank.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.gates import at_least_float32, weighted_sum


class LowRank(nn.Module):
    """What β adds to the output of a layer without groups; nothing at first, as the U_k are 0.

    Args:
        layer: The Linear or convolution layer. V is a copy of it with fewer outputs, so that it pads and strides alike.
        rank: The rank r, at most what the layer's weight can have.
        parts: The number K of features of β.
        channel_dim: The axis of the layer's output that holds the channels.
    """

    def __init__(self, layer: nn.Module, rank: int, *, parts: int, channel_dim: int) -> None:
        super().__init__()
        weight = layer.weight
        assert isinstance(weight, Tensor)
        self.transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
        channels, inputs = (weight.shape[1], weight.shape[0]) if self.transposed else weight.shape[:2]
        kernel = weight.shape[2:]
        self.rank = rank = min(rank, channels, inputs * kernel.numel())
        self.channel_dim = channel_dim
        self.down = copy.deepcopy(layer)
        self.down.register_parameter("bias", None)
        setattr(self.down, "out_features" if isinstance(layer, nn.Linear) else "out_channels", rank)
        shape = (inputs, rank, *kernel) if self.transposed else (rank, inputs, *kernel)
        bound = (inputs * kernel.numel()) ** -0.5
        self.down.weight = nn.Parameter(weight.detach().new_empty(shape).uniform_(-bound, bound))
        self.up = nn.Parameter(weight.detach().new_zeros(parts, channels, rank))

    def forward(self, features: Tensor, *inputs: Any, **kwargs: Any) -> Tensor:
        """Return what is added to the layer's output, for the layer's own arguments and features (K,) or (B, K)."""
        low: Tensor = self.down(*inputs, **kwargs)
        up = self.mixed(features).to(low.dtype)
        if up.ndim == 2:
            return (low.movedim(self.channel_dim, -1) @ up.T).movedim(-1, self.channel_dim)
        rows = low.movedim(self.channel_dim, 1)
        moved = up @ rows.reshape(*rows.shape[:2], -1)
        return moved.reshape(*moved.shape[:2], *rows.shape[2:]).movedim(1, self.channel_dim)

    def mixed(self, features: Tensor) -> Tensor:
        """Return Σ_k φ_k U_k, (C, r) or (B, C, r), at least in float32."""
        up = at_least_float32(self.up)
        weights = features[..., : len(up)].to(up.dtype)
        return weighted_sum(weights, up.flatten(1)).unflatten(-1, up.shape[1:])

    def moved(self, features: Tensor) -> Tensor:
        """Return what is added to the layer's weight at features (K,), at least in float32."""
        down = at_least_float32(self.down.weight)  # type: ignore[arg-type]
        return torch.einsum("cr,ir...->ic..." if self.transposed else "cr,ri...->ci...", self.mixed(features), down)
