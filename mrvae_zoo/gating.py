"""log β → gates: the layers whose pre-activations β scales and shifts, and how they fold into plain ones.

A gated layer computes scale(β) ⊙ y + shift(β) from the pre-activation y of the plain layer. What β is worth to a
gate is computed once a call (`Gating.features`) and handed down as an argument; no module keeps it:

    β () or (B,) ──Gating.features──► features (K,) or (B, K) ──Gate──► scale, shift (C,) or (B, C)

Letters: B batch, C channels of the layer's output, K features of log β.
Source: Bae et al., "Multi-Rate VAE: Train Once, Get the Full Rate-Distortion Curve", ICLR 2023.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrvae_zoo.gates import (
    AffineGate,
    ChannelGate,
    Gate,
    Gates,
    RootGate,
    SigmoidGate,
    ThresholdGate,
    at_least_float32,
    legendre_basis,
    shrinkages,
)

Side = Literal["encoder", "decoder"]
Size = int | tuple[int, int]
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gating:
    """How β reaches a network: the features of log β, and the layers that use them.

    Attributes:
        kind: "none", plain layers. "paper", the published gates: sigmoid in the encoder, sqrt(relu(1 − exp(·))) in
            the decoder, of an affine function of the standardised log β, on hidden pre-activations. "affine", scale
            and shift, each a polynomial of log β, on hidden pre-activations and on μ, log σ² and the output.
            "concat", one network without gates that is told β: the standardised log β is one more input channel of the
            encoder's first layer and of the decoder's first layer (where a norm follows, of the norm, which would take
            out what is added before it). "shrinkage", scale and shift of the same layers, each a sum of `shrinkages` of
            β, and more at the latents (see `latent_layers.py`). "linear", the response of the optimal linear VAE (see
            `architectures/linear.py`).
        beta_range: (β_min, β_max); log β is standardised to mean 0 and variance 1 under the log-uniform
            distribution on it.
        degree: of the polynomial of "affine", or how many shrinkages.
    """

    kind: str
    beta_range: tuple[float, float]
    degree: int = 3

    def features(self, beta: Tensor) -> Tensor:
        """β () -> (K,), or (B,) -> (B, K).

        log β for "linear", the shrinkages and log β for "shrinkage", else the orthonormal Legendre basis of log β.
        """
        log_beta = beta.log()
        if self.kind == "linear":
            return log_beta.unsqueeze(-1)
        if self.kind == "shrinkage":
            return torch.cat([shrinkages(beta, self.beta_range, self.degree), log_beta.unsqueeze(-1)], dim=-1)
        low, high = (math.log(end) for end in self.beta_range)
        position = (log_beta - (low + high) / 2) / ((high - low) / 2)
        return legendre_basis(position, self.degree if self.kind == "affine" else 1)

    def linear(self, inputs: int, outputs: int, *, side: Side, head: bool = False, first: bool = False) -> nn.Linear:
        """A Linear layer, gated as this gating says.

        Args:
            inputs: features of its input.
            outputs: features of its output.
            side: of the network.
            head: it gives μ, log σ² or the output, not a hidden pre-activation.
            first: it is the first layer of its side.
        """
        gate = self.gate(outputs, side=side, head=head, first=(inputs,) if first else None)
        return nn.Linear(inputs, outputs) if gate is None else GatedLinear(inputs, outputs, gate=gate)

    def conv2d(
        self,
        inputs: int,
        outputs: int,
        kernel_size: Size,
        *,
        side: Side,
        head: bool = False,
        first: bool = False,
        **options: Any,
    ) -> nn.Conv2d:
        """A Conv2d layer, gated as this gating says; `options` are those of `nn.Conv2d`, the rest as of `linear`."""
        kernel = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        gate = self.gate(outputs, side=side, head=head, first=(inputs, *kernel) if first else None)
        if gate is None:
            return nn.Conv2d(inputs, outputs, kernel_size, **options)
        return GatedConv2d(inputs, outputs, kernel_size, gate=gate, **options)

    def conv_transpose2d(
        self, inputs: int, outputs: int, kernel_size: Size, *, side: Side, head: bool = False, **options: Any
    ) -> nn.ConvTranspose2d:
        """A ConvTranspose2d layer, gated as this gating says; `options` are stride and padding."""
        gate = self.gate(outputs, side=side, head=head)
        if gate is None:
            return nn.ConvTranspose2d(inputs, outputs, kernel_size, **options)
        return GatedConvTranspose2d(inputs, outputs, kernel_size, gate=gate, **options)

    def batch_norm(self, channels: int, *, side: Side, first: bool = False) -> nn.BatchNorm2d:
        """A BatchNorm2d layer, gated as this gating says: the place to gate a convolution that feeds a norm."""
        gate = self.gate(channels, side=side, first=(channels,) if first else None)
        return nn.BatchNorm2d(channels) if gate is None else GatedBatchNorm2d(channels, gate=gate)

    def group_norm(self, groups: int, channels: int, *, side: Side, first: bool = False) -> nn.GroupNorm:
        """A GroupNorm layer, gated as this gating says."""
        gate = self.gate(channels, side=side, first=(channels,) if first else None)
        return nn.GroupNorm(groups, channels) if gate is None else GatedGroupNorm(groups, channels, gate=gate)

    def gate(
        self,
        channels: int,
        *,
        side: Side,
        head: bool = False,
        shift: bool = True,
        first: tuple[int, ...] | None = None,
    ) -> "Gate | None":
        """The gate of one layer, or None where this gating has none.

        Args:
            channels: of the layer's output.
            side: of the network.
            head: see `linear`.
            shift: it may shift the channels too.
            first: of the first layer of its side: what an output channel sees, (inputs, *kernel).
        """
        if self.kind == "concat" and first is not None:
            return ChannelGate(channels, first)
        if self.kind in ("affine", "shrinkage"):
            return AffineGate(channels, self.degree, shift=shift)
        if self.kind == "linear":
            return ThresholdGate(channels, beta_max=self.beta_range[1])
        if self.kind == "paper" and not head:
            return SigmoidGate(channels) if side == "encoder" else RootGate(channels)
        return None


class TakesFeatures(nn.Module):
    """A module whose forward takes the features of β (None in a network without gates) beside its input."""


class Foldable(nn.Module):
    """A module that is a plain one at each β."""

    def folded(self, features: Tensor) -> nn.Module:
        """The plain module that computes the same at `features` (K,)."""
        raise NotImplementedError


class GatedLayer(TakesFeatures, Foldable):
    """A layer that is gated, and folds into a plain layer at one β."""

    gate: Gate


class GatedLinear(nn.Linear, GatedLayer):
    """Linear layer with gated outputs: x (B, ..., in), features (K,) or (B, K) -> (B, ..., out)."""

    def __init__(self, inputs: int, outputs: int, *, gate: Gate) -> None:
        super().__init__(inputs, outputs)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """The gated pre-activation."""
        gates = self.gate(features)
        if gate_the_weight(features, rows=x.numel() // self.in_features, fan_in=self.in_features):
            return F.linear(x, *gated_parameters(self, gates))
        return gated_activations(super().forward(x), gates, channel_dim=-1)

    def folded(self, features: Tensor) -> nn.Linear:
        """See `GatedLayer`."""
        plain = nn.Linear(self.in_features, self.out_features, device="meta")
        return with_parameters(plain, *gated_parameters(self, self.gate(features)), like=self)


class GatedConv2d(nn.Conv2d, GatedLayer):
    """Convolution with gated channels: x (B, in, H, W), features (K,) or (B, K) -> (B, out, H', W')."""

    def __init__(self, inputs: int, outputs: int, kernel_size: Size, *, gate: Gate, **options: Any) -> None:
        super().__init__(inputs, outputs, kernel_size, **options)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """The gated pre-activation."""
        gates = self.gate(features)
        positions = x.shape[0] * (x.shape[-2] // self.stride[0]) * (x.shape[-1] // self.stride[1])
        if gate_the_weight(features, rows=positions, fan_in=self.weight[0].numel()):
            return self._conv_forward(x, *gated_parameters(self, gates))
        return gated_activations(super().forward(x), gates, channel_dim=1)

    def folded(self, features: Tensor) -> nn.Conv2d:
        """See `GatedLayer`."""
        return with_parameters(self.plain(), *gated_parameters(self, self.gate(features)), like=self)

    def plain(self) -> nn.Conv2d:
        """A convolution of the same sizes without gates, on the meta device."""
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
    """Transposed convolution with gated channels: x (B, in, H, W), features (K,) or (B, K) -> (B, out, H', W')."""

    def __init__(
        self, inputs: int, outputs: int, kernel_size: Size, *, gate: Gate, stride: Size = 1, padding: Size = 0
    ) -> None:
        super().__init__(inputs, outputs, kernel_size, stride=stride, padding=padding)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """The gated pre-activation."""
        gates = self.gate(features)
        positions = x.shape[0] * x.shape[-2] * self.stride[0] * x.shape[-1] * self.stride[1]
        if gate_the_weight(features, rows=positions, fan_in=self.weight[:, 0].numel()):
            weight, bias = gated_parameters(self, gates, channel_dim=1)
            return F.conv_transpose2d(x, weight, bias, self.stride, self.padding)  # type: ignore[arg-type]
        return gated_activations(super().forward(x), gates, channel_dim=1)

    def folded(self, features: Tensor) -> nn.ConvTranspose2d:
        """See `GatedLayer`."""
        plain = nn.ConvTranspose2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,  # type: ignore[arg-type]
            stride=self.stride,  # type: ignore[arg-type]
            padding=self.padding,  # type: ignore[arg-type]
            device="meta",
        )
        return with_parameters(plain, *gated_parameters(self, self.gate(features), channel_dim=1), like=self)


class GatedBatchNorm2d(nn.BatchNorm2d, GatedLayer):
    """Batch norm with gated channels: x (B, C, H, W), features (K,) or (B, K) -> (B, C, H, W)."""

    def __init__(self, channels: int, *, gate: Gate) -> None:
        super().__init__(channels)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """The gated pre-activation; in training the statistics are updated as in a plain batch norm."""
        gates = self.gate(features)
        if self.training or features.ndim > 1:
            return gated_activations(super().forward(x), gates, channel_dim=1)
        weight, bias = gated_parameters(self, gates)
        return F.batch_norm(x, self.running_mean, self.running_var, weight, bias, eps=self.eps)

    def folded(self, features: Tensor) -> nn.BatchNorm2d:
        """See `GatedLayer`."""
        plain = nn.BatchNorm2d(self.num_features, eps=self.eps, momentum=self.momentum, device="meta")
        for name, buffer in self.named_buffers(recurse=False):
            setattr(plain, name, buffer.clone())
        return with_parameters(plain, *gated_parameters(self, self.gate(features)), like=self)


class GatedGroupNorm(nn.GroupNorm, GatedLayer):
    """Group norm with gated channels: x (B, C, ...), features (K,) or (B, K) -> (B, C, ...)."""

    def __init__(self, groups: int, channels: int, *, gate: Gate) -> None:
        super().__init__(groups, channels)
        self.gate = gate

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]
        """The gated pre-activation."""
        gates = self.gate(features)
        if features.ndim > 1:
            return gated_activations(super().forward(x), gates, channel_dim=1)
        return F.group_norm(x, self.num_groups, *gated_parameters(self, gates), eps=self.eps)

    def folded(self, features: Tensor) -> nn.GroupNorm:
        """See `GatedLayer`."""
        plain = nn.GroupNorm(self.num_groups, self.num_channels, eps=self.eps, device="meta")
        return with_parameters(plain, *gated_parameters(self, self.gate(features)), like=self)


class GatedSequential(nn.Sequential, TakesFeatures):
    """A Sequential that hands the features of β to the layers that take them."""

    def forward(self, x: Tensor, features: Tensor | None) -> Tensor:  # type: ignore[override]
        """`features` is None in a network without gates."""
        for layer in self:
            x = call(layer, x, features)
        return x


def call(layer: nn.Module, x: Tensor, features: Tensor | None) -> Tensor:
    """`layer(x)`, with the features of β where the layer takes them."""
    y: Tensor = layer(x, features) if isinstance(layer, TakesFeatures) else layer(x)
    return y


def fold(module: M, features: Tensor) -> M:
    """A copy of `module` in which every gated part is the plain one that computes the same at `features` (K,)."""
    with torch.no_grad():
        plain: dict[int, Any] = {
            id(part): part.folded(features) for part in module.modules() if isinstance(part, Foldable)
        }
    return copy.deepcopy(module, memo=plain)


def gate_the_weight(features: Tensor, *, rows: int, fan_in: int) -> bool:
    """Whether one β for the batch is cheaper to write into the weight (fan_in × C) than onto `rows` outputs (rows × C).

    A compiler fuses the gates into what follows the layer, so there the activations are always the cheaper side; it is
    asked first, since a comparison of `rows` would have it compile again for a batch on the other side of `fan_in`.
    """
    return not torch.compiler.is_compiling() and features.ndim == 1 and rows > fan_in


def gated_parameters(layer: nn.Module, gates: Gates, *, channel_dim: int = 0) -> tuple[Tensor, Tensor]:
    """The weight and bias of `layer` with gates (C,) written into them, in the layer's dtype."""
    scale, shift = gates
    weight, bias = at_least_float32(layer.weight), at_least_float32(layer.bias)  # type: ignore[arg-type]
    gated_bias = bias * scale if shift is None else torch.addcmul(shift, bias, scale)
    gated_weight = weight * expand(scale, weight.ndim, channel_dim)
    return gated_weight.to(layer.weight.dtype), gated_bias.to(layer.weight.dtype)  # type: ignore[arg-type]


def gated_activations(y: Tensor, gates: Gates, *, channel_dim: int) -> Tensor:
    """`y` scaled and shifted by gates (C,) or (B, C); its channels lie on `channel_dim`, its batch on 0."""
    scale, shift = (None if gate is None else expand(gate, y.ndim, channel_dim).to(y.dtype) for gate in gates)
    assert scale is not None
    if shift is None:
        return y * scale
    if torch.compiler.is_dynamo_compiling():  # a compiler fuses the two, and would keep the result of an addcmul
        return y * scale + shift
    return torch.addcmul(shift, y, scale)


def expand(gate: Tensor, ndim: int, channel_dim: int) -> Tensor:
    """A gate (C,) or (B, C) with the axes that make it broadcast over `ndim` axes."""
    channel_dim %= ndim
    for _ in range(channel_dim - 1 if gate.ndim > 1 else 0):
        gate = gate.unsqueeze(1)
    for _ in range(ndim - channel_dim - 1):
        gate = gate.unsqueeze(-1)  # and not a view, which a compiler would keep in memory for the backward pass
    return gate


def with_parameters(plain: M, weight: Tensor, bias: Tensor, *, like: nn.Module) -> M:
    """`plain` holding this weight and bias, in the mode (training or not) of `like`."""
    plain.weight, plain.bias = nn.Parameter(weight), nn.Parameter(bias)
    return plain.train(like.training)
