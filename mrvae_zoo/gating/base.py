"""How β reaches a network: the features of log β that gates are computed from, and the layers that have gates.

A gated layer computes scale(β) ⊙ y + shift(β) from the pre-activation y of the plain layer. What β is worth to a
gate is computed once per call (`Gating.features`) and handed down as an argument; no module keeps it:

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


@dataclass(frozen=True, slots=True)
class Place:
    """The pre-activations that a gate is for.

    Attributes:
        channels: C.
        side: the side of the network that the layer is on.
        head: whether the layer gives μ, log σ² or the output, and not a hidden pre-activation.
        shift: whether the gate may shift the channels as well as scale them.
        seen: of the first layer of its side, what one output channel sees: (inputs, *kernel). None for other layers.
    """

    channels: int
    side: Side
    head: bool = False
    shift: bool = True
    seen: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Gating(abc.ABC):
    """A way for β to reach a network. A subclass says what the features are and which layers have which gate.

    Architectures ask it for their layers: `linear`, `conv2d`, `conv_transpose2d`, `batch_norm` and `group_norm` in the
    middle, `latent_writer` and `latent_reader` (for latents with places, `latent_writer2d` and `latent_reader2d`) at
    the latents. A subclass may replace any of them.

    Attributes:
        name: as in `create_model(..., gating=name)`.
        gates: whether there are any gates at all.
        beta_range: (β_min, β_max).
        degree: the number of features per gate, for the gatings whose number of features can be chosen.
    """

    name: ClassVar[str]
    gates: ClassVar[bool] = True

    beta_range: tuple[float, float]
    degree: int = 3

    @abc.abstractmethod
    def features(self, beta: Tensor) -> Tensor:
        """What gates are computed from: β () -> (K,), or (B,) -> (B, K)."""

    @abc.abstractmethod
    def gate(self, place: Place) -> Gate | None:
        """The gate at one place of a network, or None where this gating has none."""

    def describe(self) -> str:
        """What a page says of it, in Markdown."""
        return f"`{self.name}`"

    # Layers anywhere

    def linear(self, inputs: int, outputs: int, *, side: Side, head: bool = False, first: bool = False) -> nn.Linear:
        """A Linear layer with the gate that belongs to it.

        Args:
            inputs: the size of its input.
            outputs: the size of its output.
            side: see `Place`.
            head: see `Place`.
            first: whether it is the first layer of its side.
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
        """A Conv2d layer with its gate; `options` are those of `nn.Conv2d`, the rest is as for `linear`."""
        kernel = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        gate = self.gate(Place(outputs, side, head, seen=(inputs, *kernel) if first else None))
        if gate is None:
            return nn.Conv2d(inputs, outputs, kernel_size, **options)
        return GatedConv2d(inputs, outputs, kernel_size, gate=gate, **options)

    def conv_transpose2d(
        self, inputs: int, outputs: int, kernel_size: Size, *, side: Side, head: bool = False, **options: Any
    ) -> nn.ConvTranspose2d:
        """A ConvTranspose2d layer with its gate; `options` are stride and padding."""
        gate = self.gate(Place(outputs, side, head))
        if gate is None:
            return nn.ConvTranspose2d(inputs, outputs, kernel_size, **options)
        return GatedConvTranspose2d(inputs, outputs, kernel_size, gate=gate, **options)

    def batch_norm(self, channels: int, *, side: Side, first: bool = False) -> nn.BatchNorm2d:
        """A BatchNorm2d layer with its gate: the place to gate a convolution that feeds a norm."""
        gate = self.gate(Place(channels, side, seen=(channels,) if first else None))
        return nn.BatchNorm2d(channels) if gate is None else GatedBatchNorm2d(channels, gate=gate)

    def group_norm(self, groups: int, channels: int, *, side: Side, first: bool = False) -> nn.GroupNorm:
        """A GroupNorm layer with its gate."""
        gate = self.gate(Place(channels, side, seen=(channels,) if first else None))
        return nn.GroupNorm(groups, channels) if gate is None else GatedGroupNorm(groups, channels, gate=gate)

    # Layers at the latents

    def latent_writer(self, inputs: int, latents: int) -> nn.Linear:
        """The last layer of an encoder: (B, inputs) -> mean and log σ² side by side, (B, 2Z)."""
        return self.linear(inputs, 2 * latents, side="encoder", head=True)

    def latent_reader(self, latents: int, outputs: int) -> nn.Linear:
        """The first layer of a decoder: (B, Z) -> (B, outputs)."""
        return self.linear(latents, outputs, side="decoder", first=True)

    def latent_writer2d(self, inputs: int, latents: int) -> nn.Conv2d:
        """The last layer of a spatial encoder, a convolution 1×1: (B, inputs, h, w) -> (B, 2Z, h, w)."""
        return self.conv2d(inputs, 2 * latents, 1, side="encoder", head=True)

    def latent_reader2d(self, latents: int, outputs: int, kernel_size: int) -> nn.Conv2d:
        """The first layer of a spatial decoder: (B, Z, h, w) -> (B, outputs, h, w), for an odd kernel size."""
        return self.conv2d(latents, outputs, kernel_size, side="decoder", first=True, padding=kernel_size // 2)

    def log_variance(self, latents: int) -> LogVariance:
        """The log σ² of an encoder in which it does not depend on x: features -> (Z,) or (B, Z)."""
        gate = self.gate(Place(latents, "encoder"))
        return LogVariance(latents) if gate is None else GatedLogVariance(latents, gate=gate)
