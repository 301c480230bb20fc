"""The building blocks that the convolutional architectures share.

A convolution is gated at the norm that follows it if there is one (in training a norm undoes a scale before it).
Otherwise the convolution itself is gated.

Letters: B batch, C channels, H, W image, h, w the same at the coarsest resolution, Z latents.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.base import Gating, Side
from mrvae_zoo.gating.layers import GatedSequential, Size, TakesFeatures

Activation = Literal["relu", "silu", "gelu", "tanh"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU, "tanh": nn.Tanh}

Norm = Literal["none", "batch", "group"]
MAX_GROUPS = 8


class ConvBlocks:
    """Makes the gated blocks of one side of a network: convolution, norm, activation."""

    def __init__(self, gating: Gating, side: Side, norm: Norm, activation: Activation) -> None:
        self.gating = gating
        self.side = side
        self.norm = norm
        self.activation = ACTIVATIONS[activation]

    def conv(
        self, inputs: int, outputs: int, kernel_size: int, *, active: bool = True, first: bool = False
    ) -> list[nn.Module]:
        """Make a convolution that keeps the size (odd kernels), with norm and, unless `active` is False, activation."""
        layers = self._convolution(inputs, outputs, kernel_size, stride=1, padding=kernel_size // 2, first=first)
        return [*layers, self.activation()] if active else layers

    def down(self, inputs: int, outputs: int, size: tuple[int, int], *, first: bool = False) -> list[nn.Module]:
        """Make a convolution that halves `size`, rounding up."""
        return self.shrink(inputs, outputs, halving_kernel(size), 2, first=first)

    def up(self, inputs: int, outputs: int, size: tuple[int, int]) -> list[nn.Module]:
        """Make a convolution that doubles the image to `size`; the inverse of `down` in shape."""
        return self.grow(inputs, outputs, halving_kernel(size))

    def shrink(
        self, inputs: int, outputs: int, kernel_size: Size, stride: int, *, first: bool = False
    ) -> list[nn.Module]:
        """Make a convolution of this kernel and stride, with padding 1."""
        layers = self._convolution(inputs, outputs, kernel_size, stride=stride, padding=1, first=first)
        return [*layers, self.activation()]

    def grow(self, inputs: int, outputs: int, kernel_size: Size, output_padding: int = 0) -> list[nn.Module]:
        """Make a transposed convolution of this kernel, with stride 2 and padding 1."""
        return [*self._transposed(inputs, outputs, kernel_size, output_padding), self.activation()]

    def residual(self, channels: int, bottleneck: int) -> "ResidualBlock":
        """Make a residual block that is narrow in the middle."""
        body = [*self.conv(channels, bottleneck, 3), *self.conv(bottleneck, channels, 1, active=False)]
        return ResidualBlock(GatedSequential(*body), self.activation())

    def basic(self, channels: int) -> "ResidualBlock":
        """Make a residual block of two 3×3 convolutions."""
        body = [*self.conv(channels, channels, 3), *self.conv(channels, channels, 3, active=False)]
        return ResidualBlock(GatedSequential(*body), self.activation())

    def modulated(self, channels: int, bottleneck: int) -> "ModulatedBlock":
        """Make a block that scales and shifts its input, narrow in the middle."""
        body = [*self.conv(channels, bottleneck, 3), *self.conv(bottleneck, 2 * channels, 1, active=False)]
        return ModulatedBlock(GatedSequential(*body))

    def _convolution(
        self,
        inputs: int,
        outputs: int,
        kernel: Size,
        *,
        stride: int,
        padding: int,
        first: bool = False,
    ) -> list[nn.Module]:
        if self.norm == "none":
            conv2d = self.gating.conv2d
            return [conv2d(inputs, outputs, kernel, side=self.side, first=first, stride=stride, padding=padding)]
        conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
        return [conv, self._norm(outputs, first=first)]

    def _transposed(self, inputs: int, outputs: int, kernel: Size, output_padding: int) -> list[nn.Module]:
        options: dict[str, Any] = {"stride": 2, "padding": 1, "output_padding": output_padding}
        if self.norm == "none":
            return [self.gating.conv_transpose2d(inputs, outputs, kernel, side=self.side, **options)]
        return [nn.ConvTranspose2d(inputs, outputs, kernel, bias=False, **options), self._norm(outputs, first=False)]

    def _norm(self, channels: int, *, first: bool) -> nn.Module:
        if self.norm == "batch":
            return self.gating.batch_norm(channels, side=self.side, first=first)
        return self.gating.group_norm(math.gcd(channels, MAX_GROUPS), channels, side=self.side, first=first)


class ResidualBlock(TakesFeatures):
    """A residual block, activation(x + body(x)): (B, C, h, w) -> (B, C, h, w)."""

    def __init__(self, body: GatedSequential, activation: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.activation = activation

    def forward(self, x: Tensor, features: Tensor | None) -> Tensor:
        """Return the activated sum."""
        return self.activation(x + self.body(x, features))


class ModulatedBlock(TakesFeatures):
    """A block 2σ(gain) ⊙ x + shift, with (gain, shift) = body(x): (B, C, h, w) -> (B, C, h, w)."""

    def __init__(self, body: GatedSequential) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor, features: Tensor | None) -> Tensor:
        """Return the scaled and shifted input."""
        return modulate(x, self.body(x, features))

    def start_as_identity(self) -> None:
        """Set the last layer to zero, so that the block returns its input."""
        for name in ("weight", "bias"):
            nn.init.zeros_(self.body[-1].get_parameter(name))


def modulate(x: Tensor, gain_and_shift: Tensor) -> Tensor:
    """Return 2σ(gain) ⊙ x + shift, for x (B, C, ...) and (gain, shift) (B, 2C, ...)."""
    gain, shift = gain_and_shift.chunk(2, dim=1)
    return torch.addcmul(shift, 2 * gain.sigmoid(), x)


class ConvEncoder(nn.Module):
    """An encoder: x (B, C, H, W) and the features of β -> mean, log σ², each (B, Z, ...)."""

    def __init__(self, layers: GatedSequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mean and log-variance of the posterior."""
        mean, log_var = self.layers(x, features).chunk(2, dim=1)
        return mean, log_var


class ConvDecoder(nn.Module):
    """A decoder: z (B, Z, ...) and the features of β -> logits or mean (B, C, H, W)."""

    def __init__(self, layers: GatedSequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, z: Tensor, features: Tensor | None) -> Tensor:
        """Return what the likelihood takes."""
        return self.layers(z, features)


def halving_kernel(size: tuple[int, int]) -> tuple[int, int]:
    """Return the kernel that, with stride 2 and padding 1, halves `size`, rounded up, and transposed restores it."""
    height, width = (3 if side % 2 else 4 for side in size)
    return height, width


def halvings(size: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """Return `size` and its `count` halves, each rounded up."""
    sizes = [size]
    for _ in range(count):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


def check_widths(widths: tuple[int, ...], depth: int) -> None:
    """Raise a ValueError if the widths or the depth of a network are not valid."""
    if not widths or min(widths) < 1:
        raise ValueError(f"widths={widths} should hold at least one width, each at least 1")
    if not 0 <= depth <= 64:
        raise ValueError(f"depth={depth} should be between 0 and 64")
