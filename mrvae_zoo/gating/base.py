"""How β reaches a network: the features of log β that gates are computed from, and the layers that have gates.

A gated layer computes scale(β) ⊙ y + shift(β) from the pre-activation y of the plain layer. The features of β are
computed once per call (`Gating.features`) and passed down as an argument; no module stores them:

    β () or (B,) ──Gating.features──► features (K,) or (B, K) ──Gate──► scale, shift (C,) or (B, C)

The gatings of the zoo are in `mrvae_zoo.gating.kinds`.

Letters: B batch, C channels of the layer's output, K features of log β, Z latents.

Source: Bae et al., "Multi-Rate VAE: Train Once, Get the Full Rate-Distortion Curve", ICLR 2023.
"""

import abc
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from mrvae_zoo.gating.gates import Gate
from mrvae_zoo.gating.layers import (
    GatedBatchNorm2d,
    GatedConv2d,
    GatedConvTranspose2d,
    GatedGroupNorm,
    GatedLinear,
    Size,
)
from mrvae_zoo.gating.log_variance import GatedLogVariance, LogVariance

Side = Literal["encoder", "decoder"]
Moves = Literal["latents", "weights"]


@dataclass(frozen=True, slots=True)
class Place:
    """The pre-activations that a gate acts on.

    Attributes:
        channels: The number of channels C.
        side: The side of the network that the layer is on: "encoder" or "decoder".
        head: Whether the layer gives μ, log σ² or the output of the network, rather than a hidden pre-activation.
        shift: Whether the gate may shift the channels as well as scale them.
        seen: The inputs that one output channel sees, (inputs, *kernel), if the layer is the first of its side. None
            for other layers.
    """

    channels: int
    side: Side
    head: bool = False
    shift: bool = True
    seen: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Gating(abc.ABC):
    """A way for β to reach a network. A subclass defines the features, and which layers have which gate.

    Architectures ask the gating for their layers: `linear`, `conv2d`, `conv_transpose2d`, `batch_norm` and `group_norm`
    in the middle, `latent_writer` and `latent_reader` at the latents (`latent_writer2d` and `latent_reader2d` for
    latents with places). A subclass may replace any of them.

    Attributes:
        name: The name of the gating, as in `create_model(..., gating=name)`.
        gates: Whether the gating has any gates at all.
        beta_range: The range of β, (β_min, β_max).
        degree: The number of features per gate, for gatings where it can be chosen.
        moves: What moves with β at the latents, for gatings where it can be chosen; see `ModelConfig.gating_moves`.
    """

    name: ClassVar[str]
    gates: ClassVar[bool] = True

    beta_range: tuple[float, float]
    degree: int = 3
    moves: Moves = "latents"

    @abc.abstractmethod
    def features(self, beta: Tensor) -> Tensor:
        """Return the features that gates are computed from: β () -> (K,), or (B,) -> (B, K)."""

    @abc.abstractmethod
    def gate(self, place: Place) -> Gate | None:
        """Return the gate at one place of a network, or None if this gating has none there."""

    def describe(self) -> str:
        """Return what a model page says about the gating, in Markdown."""
        return f"`{self.name}`"

    # Layers anywhere

    def linear(self, inputs: int, outputs: int, *, side: Side, head: bool = False, first: bool = False) -> nn.Linear:
        """Make a Linear layer with its gate.

        Args:
            inputs: The size of its input.
            outputs: The size of its output.
            side: The side of the network; see `Place`.
            head: Whether the layer is a head; see `Place`.
            first: Whether it is the first layer of its side.
        """
        gate = self.gate(Place(outputs, side, head, seen=(inputs,) if first else None))
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
        """Make a Conv2d layer with its gate; `options` are those of `nn.Conv2d`, the rest is as for `linear`."""
        kernel = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        gate = self.gate(Place(outputs, side, head, seen=(inputs, *kernel) if first else None))
        if gate is None:
            return nn.Conv2d(inputs, outputs, kernel_size, **options)
        return GatedConv2d(inputs, outputs, kernel_size, gate=gate, **options)

    def conv_transpose2d(
        self, inputs: int, outputs: int, kernel_size: Size, *, side: Side, head: bool = False, **options: Any
    ) -> nn.ConvTranspose2d:
        """Make a ConvTranspose2d layer with its gate; `options` are stride, padding and output_padding."""
        gate = self.gate(Place(outputs, side, head))
        if gate is None:
            return nn.ConvTranspose2d(inputs, outputs, kernel_size, **options)
        return GatedConvTranspose2d(inputs, outputs, kernel_size, gate=gate, **options)

    def batch_norm(self, channels: int, *, side: Side, first: bool = False) -> nn.BatchNorm2d:
        """Make a BatchNorm2d layer with its gate; this is where a convolution that feeds a norm is gated."""
        gate = self.gate(Place(channels, side, seen=(channels,) if first else None))
        return nn.BatchNorm2d(channels) if gate is None else GatedBatchNorm2d(channels, gate=gate)

    def group_norm(self, groups: int, channels: int, *, side: Side, first: bool = False) -> nn.GroupNorm:
        """Make a GroupNorm layer with its gate."""
        gate = self.gate(Place(channels, side, seen=(channels,) if first else None))
        return nn.GroupNorm(groups, channels) if gate is None else GatedGroupNorm(groups, channels, gate=gate)

    # Layers at the latents

    def latent_writer(self, inputs: int, latents: int) -> nn.Linear:
        """Make the last layer of an encoder: (B, inputs) -> mean and log σ² side by side, (B, 2Z)."""
        return self.linear(inputs, 2 * latents, side="encoder", head=True)

    def latent_reader(self, latents: int, outputs: int) -> nn.Linear:
        """Make the first layer of a decoder: (B, Z) -> (B, outputs)."""
        return self.linear(latents, outputs, side="decoder", first=True)

    def latent_projection(self, latents: int, outputs: int) -> nn.Linear:
        """Make a first layer of a decoder that has no activation behind it; as `latent_reader` by default."""
        return self.latent_reader(latents, outputs)

    def latent_writer2d(self, inputs: int, latents: int) -> nn.Conv2d:
        """Make the last layer of a spatial encoder, a 1×1 convolution: (B, inputs, h, w) -> (B, 2Z, h, w)."""
        return self.conv2d(inputs, 2 * latents, 1, side="encoder", head=True)

    def latent_reader2d(self, latents: int, outputs: int, kernel_size: int) -> nn.Conv2d:
        """Make the first layer of a spatial decoder: (B, Z, h, w) -> (B, outputs, h, w), for an odd kernel size."""
        return self.conv2d(latents, outputs, kernel_size, side="decoder", first=True, padding=kernel_size // 2)

    def log_variance(self, latents: int) -> LogVariance:
        """Make the log σ² of an encoder in which it does not depend on x: features -> (Z,) or (B, Z)."""
        gate = self.gate(Place(latents, "encoder"))
        return LogVariance(latents) if gate is None else GatedLogVariance(latents, gate=gate)
