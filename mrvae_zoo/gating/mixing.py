"""Layers that write and read latents which a matrix mixes: one that moves with β, and is the identity at β_min.

    encoder: h ──Linear──► (B, 2Z) ──mix──► gate ──► mean, log σ²        mix(v) = v + Σ_k φ_k(β) M_k v
    decoder: z ──gate──► mix ──Linear──► gate ──► (B, out)

Each M_k is as small as the latents are few. To let the whole weight move instead (see `mrvae_zoo.gating.blended`) takes
the same product again for every φ_k, at the widest layers of a network.

Letters: B batch, C channels that are mixed, Z latents, K features of log β without log β itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrvae_zoo.gating.gates import Gate, at_least_float32, product, weighted_sum
from mrvae_zoo.gating.layers import (
    GatedConv2d,
    GatedLinear,
    Size,
    gated_activations,
    gated_bias,
    gated_rows,
    with_parameters,
)


class Mixing(nn.Module):
    """The matrix I + Σ_k φ_k M_k, which mixes C channels; the identity at first.

    Args:
        channels: The number of channels C.
        parts: The number K of matrices M_k.
    """

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        self.parts = nn.Parameter(torch.zeros(parts, channels, channels))

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """Mix the last dimension of x (B, ..., C), for features (B, K + 1)."""
        weights = features[:, :-1].to(x.dtype)
        weights = weights.view(weights.shape[0], *[1] * (x.ndim - 2), -1, 1)
        moved = F.linear(x, self.parts.flatten(0, 1)).unflatten(-1, self.parts.shape[:2])
        return x + (moved * weights).sum(-2)

    def matrix(self, features: Tensor) -> Tensor:
        """Return the matrix at one β, (C, C) from features (K + 1,), at least in float32."""
        parts = at_least_float32(self.parts)
        identity = torch.eye(parts.shape[1], dtype=parts.dtype, device=parts.device)
        weights = features[:-1].to(parts.dtype)
        return weighted_sum(weights, parts.flatten(1), identity.view(1, -1)).view_as(identity)


class MixedWriter(GatedLinear):
    """A Linear layer whose outputs are mixed, then gated: x (B, ..., in), features (K + 1,) or (B, K + 1)."""

    def __init__(self, inputs: int, outputs: int, *, parts: int, gate: Gate) -> None:
        super().__init__(inputs, outputs, gate=gate)
        self.mixing = Mixing(outputs, parts)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated pre-activation, (B, ..., out)."""
        if features.ndim == 1:
            return F.linear(x, *writing_parameters(self, features))
        return gated_rows(self.mixing(F.linear(x, self.weight, self.bias), features), self.gate, features)

    def folded(self, features: Tensor) -> nn.Linear:
        """Return the plain layer; see `GatedLayer`."""
        plain = nn.Linear(self.in_features, self.out_features, device="meta")
        return with_parameters(plain, *writing_parameters(self, features), like=self)


class MixedReader(GatedLinear):
    """A Linear layer whose inputs are gated, then mixed: x (B, ..., in), features (K + 1,) or (B, K + 1).

    Args:
        inputs: The size of its input.
        outputs: The size of its output.
        parts: The number K of matrices of the mixing.
        gate: The gate of the outputs.
        input_gate: The gate of the inputs, which has no shift.
    """

    def __init__(self, inputs: int, outputs: int, *, parts: int, gate: Gate, input_gate: Gate) -> None:
        super().__init__(inputs, outputs, gate=gate)
        self.mixing, self.input_gate = Mixing(inputs, parts), input_gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated pre-activation, (B, ..., out)."""
        if features.ndim == 1:
            return F.linear(x, *reading_parameters(self, features))
        x = self.mixing(gated_activations(x, self.input_gate(features), channel_dim=-1), features)
        return gated_rows(F.linear(x, self.weight, self.bias), self.gate, features)

    def folded(self, features: Tensor) -> nn.Linear:
        """Return the plain layer; see `GatedLayer`."""
        plain = nn.Linear(self.in_features, self.out_features, device="meta")
        return with_parameters(plain, *reading_parameters(self, features), like=self)


class MixedWriter2d(GatedConv2d):
    """A convolution whose output channels are mixed, then gated: x (B, in, H, W) -> (B, out, H', W')."""

    def __init__(self, inputs: int, outputs: int, kernel_size: Size, *, parts: int, gate: Gate) -> None:
        super().__init__(inputs, outputs, kernel_size, gate=gate)
        self.mixing = Mixing(outputs, parts)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated pre-activation, for features (K + 1,) or (B, K + 1)."""
        if features.ndim == 1:
            return self._conv_forward(x, *writing_parameters(self, features))
        y = mix_channels(self.mixing, self._conv_forward(x, self.weight, self.bias), features)
        return gated_activations(y, self.gate(features), channel_dim=1, fresh=True)

    def folded(self, features: Tensor) -> nn.Conv2d:
        """Return the plain layer; see `GatedLayer`."""
        return with_parameters(self.plain(), *writing_parameters(self, features), like=self)


class MixedReader2d(GatedConv2d):
    """A convolution whose input channels are gated, then mixed: x (B, in, H, W) -> (B, out, H', W').

    Args:
        inputs: The number of input channels.
        outputs: The number of output channels.
        kernel_size: The kernel size of the convolution.
        parts: The number K of matrices of the mixing.
        gate: The gate of the outputs.
        input_gate: The gate of the inputs, which has no shift.
        padding: The number of zeros around the input.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel_size: Size, *, parts: int, gate: Gate, input_gate: Gate, padding: int
    ) -> None:
        super().__init__(inputs, outputs, kernel_size, gate=gate, padding=padding)
        self.mixing, self.input_gate = Mixing(inputs, parts), input_gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated pre-activation, for features (K + 1,) or (B, K + 1)."""
        if features.ndim == 1:
            return self._conv_forward(x, *reading_parameters(self, features))
        x = gated_activations(x, self.input_gate(features), channel_dim=1)
        y = self._conv_forward(mix_channels(self.mixing, x, features), self.weight, self.bias)
        return gated_activations(y, self.gate(features), channel_dim=1, fresh=True)

    def folded(self, features: Tensor) -> nn.Conv2d:
        """Return the plain layer; see `GatedLayer`."""
        return with_parameters(self.plain(), *reading_parameters(self, features), like=self)


def mix_channels(mixing: Mixing, x: Tensor, features: Tensor) -> Tensor:
    """Mix the channels of x (B, C, H, W)."""
    return mixing(x.movedim(1, -1), features).movedim(-1, 1)


def writing_parameters(layer: MixedWriter | MixedWriter2d, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the plain layer at one β, features (K + 1,), in the layer's dtype."""
    weight, bias = at_least_float32(layer.weight), at_least_float32(layer.bias)  # type: ignore[arg-type]
    matrix = layer.mixing.matrix(features)
    scale, shift = layer.gate(features)
    both = product(matrix * scale.unsqueeze(1), torch.cat([weight.flatten(1), bias.unsqueeze(1)], dim=1))
    weight, bias = both[:, :-1].reshape(weight.shape), both[:, -1]
    bias = bias if shift is None else bias + shift
    return weight.to(layer.weight.dtype), bias.to(layer.weight.dtype)


def reading_parameters(layer: MixedReader | MixedReader2d, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the plain layer at one β, features (K + 1,), in the layer's dtype."""
    weight = at_least_float32(layer.weight)
    opening, _ = layer.input_gate(features)
    gates = layer.gate(features)
    matrix = layer.mixing.matrix(features) * opening
    weight = product(weight.movedim(1, -1), matrix).movedim(-1, 1)
    weight = weight * gates[0].view(-1, *[1] * (weight.ndim - 1))
    return weight.to(layer.weight.dtype), gated_bias(layer, gates).to(layer.weight.dtype)
