"""Layers whose weight moves with β, W + Σ_k φ_k(β) V_k, where the latents are written and read.

They make the gating "shrinkage" with `gating_moves = "weights"`; `mrvae_zoo.gating.mixing` has smaller ones. A spatial
decoder with norms is an exception in both: its first norm is gated, and its first convolution is plain.

Letters: B batch, Z latents, K features of log β without log β itself, O outputs.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrvae_zoo.gating.beta import values_can_be_read
from mrvae_zoo.gating.gates import Gate, at_least_float32, weighted_sum
from mrvae_zoo.gating.layers import (
    GatedConv2d,
    GatedLinear,
    Size,
    gated_activations,
    gated_bias,
    gated_rows,
    with_parameters,
)


class BlendedLinear(GatedLinear):
    """A Linear layer whose weight moves with β: x (B, ..., in), features (K + 1,) or (B, K + 1) -> (B, ..., out).

    Args:
        inputs: The size of its input.
        outputs: The size of its output.
        blends: The number K of moving parts of the weight.
        gate: The gate of the outputs.
        input_gate: The gate of the inputs, which has no shift, or None.
    """

    def __init__(self, inputs: int, outputs: int, *, blends: int, gate: Gate, input_gate: Gate | None = None) -> None:
        super().__init__(inputs, outputs, gate=gate)
        self.blends = nn.Parameter(torch.zeros(blends, *self.weight.shape))
        self.input_gate = input_gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated pre-activation."""
        if features.ndim == 1:
            return F.linear(x, *blended_parameters(self, features))
        x = gate_inputs(x, self.input_gate, features, channel_dim=-1)
        y = add_moved(F.linear(x, self.weight, self.bias), x, features, self._moved)
        return gated_rows(y, self.gate, features)

    def folded(self, features: Tensor) -> nn.Linear:
        """Return the plain layer; see `GatedLayer`."""
        plain = nn.Linear(self.in_features, self.out_features, device="meta")
        return with_parameters(plain, *blended_parameters(self, features), like=self)

    def _moved(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return Σ_k φ_k V_k x for weights φ (B, K): (B, ..., out)."""
        weights = weights.view(weights.shape[0], *[1] * (x.ndim - 2), weights.shape[1], 1)
        if self.in_features < self.out_features:  # the weights go to the smaller side
            return F.linear((x.unsqueeze(-2) * weights).flatten(-2), self.blends.movedim(0, 1).flatten(1))
        y = F.linear(x, self.blends.flatten(0, 1)).unflatten(-1, (-1, self.out_features))
        return (y * weights).sum(-2)


class BlendedConv2d(GatedConv2d):
    """A convolution whose weight moves with β: x (B, in, H, W), features (K + 1,) or (B, K + 1) -> (B, out, H', W').

    Args:
        inputs: The number of input channels.
        outputs: The number of output channels.
        kernel_size: The kernel size of the convolution.
        blends: The number K of moving parts of the weight.
        gate: The gate of the outputs.
        input_gate: The gate of the inputs, which has no shift, or None.
        padding: The number of zeros around the input.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: Size,
        *,
        blends: int,
        gate: Gate,
        input_gate: Gate | None = None,
        padding: int = 0,
    ) -> None:
        super().__init__(inputs, outputs, kernel_size, gate=gate, padding=padding)
        self.blends = nn.Parameter(torch.zeros(blends, *self.weight.shape))
        self.input_gate = input_gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated pre-activation."""
        if features.ndim == 1:
            return self._conv_forward(x, *blended_parameters(self, features))
        x = gate_inputs(x, self.input_gate, features, channel_dim=1)
        y = add_moved(self._conv_forward(x, self.weight, self.bias), x, features, self._moved)
        return gated_activations(y, self.gate(features), channel_dim=1, fresh=True)

    def folded(self, features: Tensor) -> nn.Conv2d:
        """Return the plain layer; see `GatedLayer`."""
        return with_parameters(self.plain(), *blended_parameters(self, features), like=self)

    def _moved(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return Σ_k φ_k V_k x for weights φ (B, K): (B, out, H', W')."""
        weights = weights.view(*weights.shape, 1, 1, 1)
        if self.in_channels < self.out_channels:  # the weights go to the smaller side
            x = (x.unsqueeze(1) * weights).flatten(1, 2)
            return self._conv_forward(x, self.blends.movedim(0, 1).flatten(1, 2), None)
        y = self._conv_forward(x, self.blends.flatten(0, 1), None).unflatten(1, (-1, self.out_channels))
        return (y * weights).sum(1)


Blended = BlendedLinear | BlendedConv2d


def blended_parameters(layer: Blended, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of the plain layer at one β, features (K + 1,), in the layer's dtype."""
    weight, blends = at_least_float32(layer.weight), at_least_float32(layer.blends)
    moved = weighted_sum(features[:-1].to(weight.dtype), blends.flatten(1), weight.reshape(1, -1))
    weight = moved.view_as(weight)
    if layer.input_gate is not None:
        opening, _ = layer.input_gate(features)
        weight = weight * opening.view(-1, *[1] * (weight.ndim - 2))
    gates = layer.gate(features)
    weight = weight * gates[0].view(-1, *[1] * (weight.ndim - 1))
    return weight.to(layer.weight.dtype), gated_bias(layer, gates).to(layer.weight.dtype)


def add_moved(y: Tensor, x: Tensor, features: Tensor, moved: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Add Σ_k φ_k(β) V_k x to y, for features (B, K + 1); `moved` computes that sum from x and the φ (B, K).

    At β_min the φ_k are 0. Such examples, half of a batch in some trainings, are left out, but only on a CPU, where
    finding them does not mean waiting for a device. They are not left out while compiling, which needs shapes that do
    not depend on β.
    """
    weights = features[:, :-1].to(y.dtype)
    if values_can_be_read(features):
        rows = weights.any(dim=1).nonzero().squeeze(1)
        if len(rows) < len(x):
            return y.index_add(0, rows, moved(x[rows], weights[rows]))
    return y + moved(x, weights)


def gate_inputs(x: Tensor, gate: Gate | None, features: Tensor, *, channel_dim: int) -> Tensor:
    """Return `x` times its gates, with one β per example."""
    return x if gate is None else gated_activations(x, gate(features), channel_dim=channel_dim)
