"""Layers whose pre-activations are scaled and shifted by β, and how they fold into plain ones.

    y (B, ..., C) = layer(x),  gated: scale(β) ⊙ y + shift(β)

With one β for a batch, the gates may go into the weight instead. Folding does the same: the plain layer at β has the
weight scale ⊙ weight and the bias scale ⊙ bias + shift.

Letters: B batch, C channels of the layer's output, K features of log β.
"""

import copy
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrvae_zoo.gating.gates import AffineGate, Gate, Gates, at_least_float32

Size = int | tuple[int, int]
M = TypeVar("M", bound=nn.Module)


class TakesFeatures(nn.Module):
    """A module whose forward takes the features of β besides its input (None in a network without gates)."""


class Foldable(nn.Module):
    """A module that is equal to a plain one at each β."""

    def folded(self, features: Tensor) -> nn.Module:
        """Return the plain module that computes the same at `features` (K,)."""
        raise NotImplementedError


class GatedLayer(TakesFeatures, Foldable):
    """A layer that is gated, and folds into a plain layer at one β."""

    gate: Gate


class GatedLinear(nn.Linear, GatedLayer):
    """A Linear layer with gated outputs: x (B, ..., in), features (K,) or (B, K) -> (B, ..., out)."""

    def __init__(self, inputs: int, outputs: int, *, gate: Gate) -> None:
        super().__init__(inputs, outputs)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated pre-activation."""
        if features.ndim > 1:
            return gated_rows(super().forward(x), self.gate, features)
        gates = self.gate(features)
        if gate_the_weight(features, rows=x.numel() // self.in_features, fan_in=self.in_features):
            return F.linear(x, *gated_parameters(self, gates))
        # The bias goes with the shift, so that the product need not be filled with it first.
        return gated_activations(
            F.linear(x, self.weight), (gates[0], gated_bias(self, gates)), channel_dim=-1, fresh=True
        )

    def folded(self, features: Tensor) -> nn.Linear:
        """Return the plain layer; see `GatedLayer`."""
        plain = nn.Linear(self.in_features, self.out_features, device="meta")
        return with_parameters(plain, *gated_parameters(self, self.gate(features)), like=self)


class GatedConv2d(nn.Conv2d, GatedLayer):
    """A convolution with gated channels: x (B, in, H, W), features (K,) or (B, K) -> (B, out, H', W')."""

    def __init__(self, inputs: int, outputs: int, kernel_size: Size, *, gate: Gate, **options: Any) -> None:
        super().__init__(inputs, outputs, kernel_size, **options)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated pre-activation."""
        gates = self.gate(features)
        positions = x.shape[0] * (x.shape[-2] // self.stride[0]) * (x.shape[-1] // self.stride[1])
        if gate_the_weight(features, rows=positions, fan_in=self.weight[0].numel()):
            return self._conv_forward(x, *gated_parameters(self, gates))
        return gated_activations(super().forward(x), gates, channel_dim=1, fresh=True)

    def folded(self, features: Tensor) -> nn.Conv2d:
        """Return the plain layer; see `GatedLayer`."""
        return with_parameters(self.plain(), *gated_parameters(self, self.gate(features)), like=self)

    def plain(self) -> nn.Conv2d:
        """Make a convolution of the same sizes without gates, on the meta device."""
        return nn.Conv2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,  # type: ignore[arg-type]
            stride=self.stride,  # type: ignore[arg-type]
            padding=self.padding,  # type: ignore[arg-type]
            dilation=self.dilation,  # type: ignore[arg-type]
            groups=self.groups,
            padding_mode=self.padding_mode,
            device="meta",
        )


class GatedConvTranspose2d(nn.ConvTranspose2d, GatedLayer):
    """A transposed convolution with gated channels: x (B, in, H, W), features (K,) or (B, K) -> (B, out, H', W')."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: Size,
        *,
        gate: Gate,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
    ) -> None:
        super().__init__(inputs, outputs, kernel_size, stride=stride, padding=padding, output_padding=output_padding)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated pre-activation."""
        gates = self.gate(features)
        positions = x.shape[0] * x.shape[-2] * self.stride[0] * x.shape[-1] * self.stride[1]
        if gate_the_weight(features, rows=positions, fan_in=self.weight[:, 0].numel()):
            weight, bias = gated_parameters(self, gates, channel_dim=1)
            return F.conv_transpose2d(x, weight, bias, self.stride, self.padding, self.output_padding)  # type: ignore[arg-type]
        return gated_activations(super().forward(x), gates, channel_dim=1, fresh=True)

    def folded(self, features: Tensor) -> nn.ConvTranspose2d:
        """Return the plain layer; see `GatedLayer`."""
        plain = nn.ConvTranspose2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,  # type: ignore[arg-type]
            stride=self.stride,  # type: ignore[arg-type]
            padding=self.padding,  # type: ignore[arg-type]
            output_padding=self.output_padding,  # type: ignore[arg-type]
            device="meta",
        )
        return with_parameters(plain, *gated_parameters(self, self.gate(features), channel_dim=1), like=self)


class GatedBatchNorm2d(nn.BatchNorm2d, GatedLayer):
    """A batch norm with gated channels: x (B, C, H, W), features (K,) or (B, K) -> (B, C, H, W)."""

    def __init__(self, channels: int, *, gate: Gate) -> None:
        super().__init__(channels)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated pre-activation; in training the statistics are updated as in a plain batch norm."""
        gates = self.gate(features)
        if self.training or features.ndim > 1:
            return gated_activations(super().forward(x), gates, channel_dim=1, fresh=True)
        weight, bias = gated_parameters(self, gates)
        return F.batch_norm(x, self.running_mean, self.running_var, weight, bias, eps=self.eps)

    def folded(self, features: Tensor) -> nn.BatchNorm2d:
        """Return the plain layer; see `GatedLayer`."""
        plain = nn.BatchNorm2d(self.num_features, eps=self.eps, momentum=self.momentum, device="meta")
        for name, buffer in self.named_buffers(recurse=False):
            setattr(plain, name, buffer.clone())
        return with_parameters(plain, *gated_parameters(self, self.gate(features)), like=self)


class GatedGroupNorm(nn.GroupNorm, GatedLayer):
    """A group norm with gated channels: x (B, C, ...), features (K,) or (B, K) -> (B, C, ...)."""

    def __init__(self, groups: int, channels: int, *, gate: Gate) -> None:
        super().__init__(groups, channels)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gated pre-activation."""
        gates = self.gate(features)
        if features.ndim > 1:
            return gated_activations(super().forward(x), gates, channel_dim=1, fresh=True)
        return F.group_norm(x, self.num_groups, *gated_parameters(self, gates), eps=self.eps)

    def folded(self, features: Tensor) -> nn.GroupNorm:
        """Return the plain layer; see `GatedLayer`."""
        plain = nn.GroupNorm(self.num_groups, self.num_channels, eps=self.eps, device="meta")
        return with_parameters(plain, *gated_parameters(self, self.gate(features)), like=self)


class GatedSequential(nn.Sequential, TakesFeatures):
    """A Sequential that passes the features of β to the layers that take them."""

    def forward(self, x: Tensor, features: Tensor | None) -> Tensor:  # type: ignore[override]
        """Apply the layers in order; `features` is None in a network without gates."""
        for layer in self:
            x = call(layer, x, features)
        return x


def call(layer: nn.Module, x: Tensor, features: Tensor | None) -> Tensor:
    """Return `layer(x)`, with the features of β if the layer takes them."""
    y: Tensor = layer(x, features) if isinstance(layer, TakesFeatures) else layer(x)
    return y


def fold(module: M, features: Tensor) -> M:
    """Copy `module`, replacing every gated part by the plain one that computes the same at `features` (K,)."""
    with torch.no_grad():
        plain: dict[int, Any] = {
            id(part): part.folded(features) for part in module.modules() if isinstance(part, Foldable)
        }
    return copy.deepcopy(module, memo=plain)


def gate_the_weight(features: Tensor, *, rows: int, fan_in: int) -> bool:
    """Whether one β for the batch is cheaper to apply to the weight (fan_in × C) than to `rows` outputs (rows × C).

    A compiler fuses the gates into what follows the layer, so for it the activations are always the cheaper side. The
    compiler is checked first, because a comparison with `rows` would make it compile again for a batch on the other
    side of `fan_in`.
    """
    return not torch.compiler.is_compiling() and features.ndim == 1 and rows > fan_in


def gated_parameters(layer: nn.Module, gates: Gates, *, channel_dim: int = 0) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of `layer` with gates (C,) written into them, in the layer's dtype."""
    weight = at_least_float32(layer.weight)  # type: ignore[arg-type]
    weight = weight * expand(gates[0], weight.ndim, channel_dim)
    return weight.to(layer.weight.dtype), gated_bias(layer, gates).to(layer.weight.dtype)  # type: ignore[arg-type]


def gated_bias(layer: nn.Module, gates: Gates) -> Tensor:
    """Return the bias of `layer` with gates (C,) applied to it, at least in float32."""
    scale, shift = gates
    bias = at_least_float32(layer.bias)  # type: ignore[arg-type]
    return bias * scale if shift is None else torch.addcmul(shift, bias, scale)


def gated_rows(y: Tensor, gate: Gate, features: Tensor) -> Tensor:
    """Scale and shift y (B, ..., C) that nobody else holds, with one β per example."""
    if type(gate) is AffineGate and gate.takes(y, features) and may_overwrite():
        return gate.overwrite(y, features)
    return gated_activations(y, gate(features), channel_dim=-1, fresh=True)


def may_overwrite() -> bool:
    """Whether no derivative, transform, compiler or trace needs a tensor as it was: in eager mode without gradients."""
    return not (
        torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
    )


def gated_activations(y: Tensor, gates: Gates, *, channel_dim: int, fresh: bool = False) -> Tensor:
    """Scale and shift `y` by gates (C,) or (B, C); its channels lie on `channel_dim`, its batch on 0.

    A `fresh` y, which nobody else holds, is overwritten where that is possible.
    """
    scale, shift = (None if gate is None else expand(gate, y.ndim, channel_dim) for gate in gates)
    assert scale is not None
    if scale.dtype != y.dtype:
        scale, shift = scale.to(y.dtype), None if shift is None else shift.to(y.dtype)
    if shift is None:
        return y * scale
    if torch.compiler.is_dynamo_compiling():  # a compiler fuses the two, and would keep the result of an addcmul
        return y * scale + shift
    return torch.addcmul(shift, y, scale, out=y if fresh and may_overwrite() else None)


def expand(gate: Tensor, ndim: int, channel_dim: int) -> Tensor:
    """Add axes to a gate (C,) or (B, C) so that it broadcasts over `ndim` axes."""
    channel_dim %= ndim
    for _ in range(channel_dim - 1 if gate.ndim > 1 else 0):
        gate = gate.unsqueeze(1)
    for _ in range(ndim - channel_dim - 1):
        gate = gate.unsqueeze(-1)  # and not a view, which a compiler would keep in memory for the backward pass
    return gate


def with_parameters(plain: M, weight: Tensor, bias: Tensor, *, like: nn.Module) -> M:
    """Give `plain` this weight and bias, as tensors of their own, and the mode (training or not) of `like`."""
    plain.weight, plain.bias = nn.Parameter(weight.contiguous()), nn.Parameter(bias.contiguous())
    return plain.train(like.training)
