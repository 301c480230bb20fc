"""mrvae_autoencoder_kl: the network of diffusers' AutoencoderKL, as in Stable Diffusion, with gated layers.

    x (B, C, H, W) ─conv─► [residual blocks ─halve─►]… ─middle─► norm, conv, quant_conv ─► mean, log σ² (B, Z, h, w)
    z (B, Z, h, w) ─post_quant_conv, conv─► middle ─► [residual blocks ─double─►]… ─► norm, conv ─► (B, C, H, W)

    middle: residual block ─ attention over all places ─ residual block

The layers have the names that they have in diffusers, so weights go from one to the other as they are. There are
levels − 1 halvings, so one place of the latents stands for 2^(levels − 1) pixels each way. Nothing closes latents, as
in other architectures: at first, the network is the plain one at every β, whatever weights it is given.

Letters: B batch, C channels, H, W image, h, w places, Z latents of a place.

Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from mrvae_zoo.gating.base import Gating, Side
from mrvae_zoo.gating.layers import TakesFeatures, call

ActivationName = Literal["silu", "swish", "mish", "gelu", "relu"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "gelu": F.gelu,
    "relu": F.relu,
}
EPSILON = 1e-6
SIDES: tuple[Side, Side] = ("encoder", "decoder")


@dataclass(frozen=True, slots=True)
class Layers:
    """Makes the layers of one side of the network."""

    gating: Gating
    side: Side
    groups: int
    activation: str

    def conv(self, inputs: int, outputs: int, size: int = 3, *, head: bool = False, first: bool = False) -> nn.Conv2d:
        """Make a convolution that keeps the size."""
        return self.gating.conv2d(inputs, outputs, size, side=self.side, head=head, first=first, padding=size // 2)

    def norm(self, channels: int) -> nn.GroupNorm:
        """Make a group norm."""
        norm = self.gating.group_norm(self.groups, channels, side=self.side)
        norm.eps = EPSILON
        return norm

    def linear(self, channels: int) -> nn.Linear:
        """Make a Linear layer that keeps the width."""
        return self.gating.linear(channels, channels, side=self.side)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What both sides share: C, Z, the widths of the levels, the blocks of one, and whether there is attention."""

    channels: int
    latents: int
    widths: tuple[int, ...]
    depth: int
    attention: bool


class ResidualBlock(TakesFeatures):
    """Two convolutions behind a norm and an activation each, added to x: (B, in, h, w) -> (B, out, h, w)."""

    def __init__(self, layers: Layers, inputs: int, outputs: int) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[layers.activation]
        self.norm1 = layers.norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)  # norm2 would undo a gate
        self.norm2 = layers.norm(outputs)
        self.conv2 = layers.conv(outputs, outputs)
        self.conv_shortcut = layers.conv(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, features: Tensor | None) -> Tensor:
        """Return the sum."""
        y = self.conv1(self.activation(call(self.norm1, x, features)))
        y = call(self.conv2, self.activation(call(self.norm2, y, features)), features)
        return y + (x if self.conv_shortcut is None else call(self.conv_shortcut, x, features))


class Attention(TakesFeatures):
    """Attention with one head over all places, added to x: (B, C, h, w) -> (B, C, h, w)."""

    def __init__(self, layers: Layers, channels: int) -> None:
        super().__init__()
        self.group_norm = layers.norm(channels)
        self.to_q, self.to_k, self.to_v = (layers.linear(channels) for _ in range(3))
        self.to_out = nn.ModuleList([layers.linear(channels)])

    def forward(self, x: Tensor, features: Tensor | None) -> Tensor:
        """Return the sum."""
        places = call(self.group_norm, x, features).flatten(2).transpose(1, 2)  # (B, h·w, C)
        query, key, value = (call(layer, places, features).unsqueeze(1) for layer in (self.to_q, self.to_k, self.to_v))
        mixed = F.scaled_dot_product_attention(query, key, value).squeeze(1)
        return x + call(self.to_out[0], mixed, features).transpose(1, 2).reshape(x.shape)


class Middle(TakesFeatures):
    """Residual block, attention unless it is left out, residual block: (B, C, h, w) -> (B, C, h, w)."""

    def __init__(self, layers: Layers, channels: int, *, attention: bool) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([Attention(layers, channels)] if attention else [])
        self.resnets = nn.ModuleList([ResidualBlock(layers, channels, channels) for _ in range(2)])

    def forward(self, x: Tensor, features: Tensor | None) -> Tensor:
        """Apply them in order."""
        for block in (self.resnets[0], *self.attentions, self.resnets[1]):
            x = call(block, x, features)
        return x


class Downsampler(TakesFeatures):
    """A convolution that halves the size: (B, C, 2h, 2w) -> (B, C, h, w)."""

    def __init__(self, layers: Layers, channels: int) -> None:
        super().__init__()
        self.conv = layers.gating.conv2d(channels, channels, 3, side=layers.side, stride=2)

    def forward(self, x: Tensor, features: Tensor | None) -> Tensor:
        """Return the smaller one; zeros are added below and on the right."""
        return call(self.conv, F.pad(x, (0, 1, 0, 1)), features)


class Upsampler(TakesFeatures):
    """Doubling of the size by repetition, and a convolution: (B, C, h, w) -> (B, C, 2h, 2w)."""

    def __init__(self, layers: Layers, channels: int) -> None:
        super().__init__()
        self.conv = layers.conv(channels, channels)

    def forward(self, x: Tensor, features: Tensor | None) -> Tensor:
        """Return the larger one."""
        return call(self.conv, F.interpolate(x, scale_factor=2.0, mode="nearest"), features)


class Level(TakesFeatures):
    """Residual blocks at one resolution, and a change of the resolution behind them unless it is the last level."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, depth: int, *, last: bool) -> None:
        super().__init__()
        widths = [inputs, *[outputs] * depth]
        self.resnets = nn.ModuleList([ResidualBlock(layers, *pair) for pair in itertools.pairwise(widths)])
        down, up = (not last and layers.side == side for side in ("encoder", "decoder"))
        self.downsamplers = nn.ModuleList([Downsampler(layers, outputs)] if down else [])
        self.upsamplers = nn.ModuleList([Upsampler(layers, outputs)] if up else [])

    def forward(self, x: Tensor, features: Tensor | None) -> Tensor:
        """Apply them in order."""
        for block in (*self.resnets, *self.downsamplers, *self.upsamplers):
            x = call(block, x, features)
        return x


class KLEncoder(nn.Module):
    """The encoder: x (B, C, H, W) and the features of β -> mean, log σ², each (B, Z, h, w).

    Attributes:
        stride: The pixels of an image, each way, for one place of the latents.
        reach: How many places away an image matters to the convolutions; its norms and attention see all of it.
    """

    def __init__(self, layers: Layers, sizes: Sizes, *, quant: bool) -> None:
        super().__init__()
        channels, latents, widths, depth = sizes.channels, sizes.latents, sizes.widths, sizes.depth
        self.stride = 2 ** (len(widths) - 1)
        self.reach = 2 * (2 * depth + 3) + 6  # of the decoder, which sees further: its levels are 1, ½, ¼ … as wide
        self.conv_in = layers.conv(channels, widths[0], first=True)
        pairs = list(itertools.pairwise((widths[0], *widths)))
        self.down_blocks = nn.ModuleList(
            [Level(layers, *pair, depth, last=i == len(pairs) - 1) for i, pair in enumerate(pairs)]
        )
        self.mid_block = Middle(layers, widths[-1], attention=sizes.attention)
        self.conv_norm_out = layers.norm(widths[-1])
        self.conv_out = layers.conv(widths[-1], 2 * latents, head=not quant)
        self.quant_conv = layers.conv(2 * latents, 2 * latents, 1, head=True) if quant else None

    def forward(self, x: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mean and log-variance of the posterior."""
        x = call(self.conv_in, x, features)
        for block in (*self.down_blocks, self.mid_block):
            x = call(block, x, features)
        x = call(self.conv_out, F.silu(call(self.conv_norm_out, x, features)), features)
        mean, log_var = (x if self.quant_conv is None else call(self.quant_conv, x, features)).chunk(2, dim=1)
        return mean, log_var


class KLDecoder(nn.Module):
    """The decoder: z (B, Z, h, w) and the features of β -> logits or mean (B, C, H, W)."""

    def __init__(self, layers: Layers, sizes: Sizes, *, quant: bool) -> None:
        super().__init__()
        channels, latents, widths, depth = sizes.channels, sizes.latents, sizes.widths, sizes.depth + 1
        self.post_quant_conv = layers.conv(latents, latents, 1, first=True) if quant else None
        self.conv_in = layers.conv(latents, widths[-1], first=not quant)
        self.mid_block = Middle(layers, widths[-1], attention=sizes.attention)
        pairs = list(itertools.pairwise((widths[-1], *reversed(widths))))
        self.up_blocks = nn.ModuleList(
            [Level(layers, *pair, depth, last=i == len(pairs) - 1) for i, pair in enumerate(pairs)]
        )
        self.conv_norm_out = layers.norm(widths[0])
        self.conv_out = layers.conv(widths[0], channels, head=True)

    def forward(self, z: Tensor, features: Tensor | None) -> Tensor:
        """Return what the likelihood takes."""
        y = z if self.post_quant_conv is None else call(self.post_quant_conv, z, features)
        y = call(self.conv_in, y, features)
        for block in (self.mid_block, *self.up_blocks):
            y = call(block, y, features)
        return call(self.conv_out, F.silu(call(self.conv_norm_out, y, features)), features)


def build(
    input_shape: tuple[int, None, None],
    latent_dim: int,
    gating: Gating,
    *,
    block_out_channels: tuple[int, ...] = (32, 64, 64),
    layers_per_block: int = 1,
    norm_num_groups: int = 32,
    act_fn: ActivationName = "silu",
    mid_block_add_attention: bool = True,
    use_quant_conv: bool = True,
    use_post_quant_conv: bool = True,
    sample_size: int = 32,
    force_upcast: bool = True,
) -> tuple[KLEncoder, KLDecoder]:
    """Build the encoder and the decoder; the arguments have the names and meaning that they have in diffusers.

    Args:
        input_shape: The shape (C, None, None) of an image of any size.
        latent_dim: The number of latents of a place, Z.
        gating: The gating of the layers.
        block_out_channels: The widths of the levels, from the image to the latents; each level halves the size.
        layers_per_block: The number of residual blocks of a level of the encoder; the decoder has one more.
        norm_num_groups: The number of groups of every norm, which divides every width.
        act_fn: The activation in residual blocks; that in front of the last convolution is always SiLU.
        mid_block_add_attention: Whether there is attention in the middle.
        use_quant_conv: Whether the encoder ends in one more convolution.
        use_post_quant_conv: Whether the decoder begins with one more convolution.
        sample_size: The size of a tile in diffusers. It does not change the network.
        force_upcast: Whether pipelines of diffusers compute in float32. It does not change the network.

    Raises:
        ValueError: A width is not a multiple of the number of groups, or a number is below 1.
    """
    del sample_size, force_upcast
    if not block_out_channels or norm_num_groups < 1 or any(c < 1 or c % norm_num_groups for c in block_out_channels):
        raise ValueError(
            f"block_out_channels={block_out_channels} should be multiples of norm_num_groups={norm_num_groups}"
        )
    if not 1 <= layers_per_block <= 64:
        raise ValueError(f"layers_per_block={layers_per_block} should be between 1 and 64")
    down, up = (Layers(gating, side, norm_num_groups, act_fn) for side in SIDES)
    sizes = Sizes(input_shape[0], latent_dim, block_out_channels, layers_per_block, mid_block_add_attention)
    return KLEncoder(down, sizes, quant=use_quant_conv), KLDecoder(up, sizes, quant=use_post_quant_conv)
