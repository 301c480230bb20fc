"""log β → gates: the layers whose pre-activations β scales and shifts, and how they fold into plain ones.

A gated layer computes scale(β) ⊙ y + shift(β) from the pre-activation y of the plain layer. What β is worth to a
gate is computed once a call (`Gating.features`) and handed down as an argument; no module keeps it:

    β () or (B,) ──Gating.features──► features (K,) or (B, K) ──Gate──► scale, shift (C,) or (B, C)

Letters: B batch, C channels of the layer's output, K features of log β.
Source: Bae et al., "Multi-Rate VAE: Train Once, Get the Full Rate-Distortion Curve", ICLR 2023.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.blended import BlendedConv2d, BlendedLinear
from mrvae_zoo.gating.gates import (
    AffineGate,
    ChannelGate,
    Gate,
    LatentGate,
    RootGate,
    SigmoidGate,
    ThresholdGate,
    legendre_basis,
    shrinkages,
)
from mrvae_zoo.gating.layers import (
    GatedBatchNorm2d,
    GatedConv2d,
    GatedConvTranspose2d,
    GatedGroupNorm,
    GatedLinear,
    Size,
)

Side = Literal["encoder", "decoder"]


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


def latent_writer(gating: Gating, inputs: int, latents: int) -> nn.Linear:
    """The last layer of an encoder, (B, inputs) -> (B, 2Z), as a gating says."""
    if gating.kind != "shrinkage":
        return gating.linear(inputs, 2 * latents, side="encoder", head=True)
    return BlendedLinear(inputs, 2 * latents, blends=gating.degree, gate=writing_gate(gating, latents))


def latent_reader(gating: Gating, latents: int, outputs: int) -> nn.Linear:
    """The first layer of a decoder, (B, Z) -> (B, outputs), as a gating says."""
    gate = gating.gate(outputs, side="decoder")
    if gating.kind != "shrinkage" or gate is None:
        return gating.linear(latents, outputs, side="decoder", first=True)
    threshold = ThresholdGate(latents, beta_max=gating.beta_range[1], spread=True)
    return BlendedLinear(latents, outputs, blends=gating.degree, gate=gate, input_gate=threshold)


def latent_writer2d(gating: Gating, inputs: int, latents: int) -> nn.Conv2d:
    """The last layer of a spatial encoder, a convolution 1×1, (B, inputs, h, w) -> (B, 2Z, h, w), as a gating says."""
    if gating.kind != "shrinkage":
        return gating.conv2d(inputs, 2 * latents, 1, side="encoder", head=True)
    return BlendedConv2d(inputs, 2 * latents, 1, blends=gating.degree, gate=writing_gate(gating, latents))


def latent_reader2d(gating: Gating, latents: int, outputs: int, kernel_size: int) -> nn.Conv2d:
    """The first layer of a spatial decoder, (B, Z, h, w) -> (B, outputs, h, w), h and w kept, as a gating says."""
    padding = kernel_size // 2
    gate = gating.gate(outputs, side="decoder")
    if gating.kind != "shrinkage" or gate is None:
        return gating.conv2d(latents, outputs, kernel_size, side="decoder", first=True, padding=padding)
    threshold = ThresholdGate(latents, beta_max=gating.beta_range[1], spread=True)
    return BlendedConv2d(
        latents, outputs, kernel_size, blends=gating.degree, gate=gate, input_gate=threshold, padding=padding
    )


def writing_gate(gating: Gating, latents: int) -> "LatentGate":
    """The gate of 2Z channels, mean and log σ²."""
    inner = gating.gate(2 * latents, side="encoder", head=True)
    assert inner is not None
    return LatentGate(inner, ThresholdGate(latents, beta_max=gating.beta_range[1], spread=True))
