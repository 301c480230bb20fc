"""mrvae_conv: convolutional encoder and decoder, for images of any size.

    x (B, C, H, W) ─conv, stride 2─► (B, w_1, H/2, W/2) ─► ... ─► (B, w_n, h, w) ─conv 3×3, depth times─► (B, w_n, h, w)
        ─flatten, Linear─► (B, 2Z) ─► mean, log σ² (B, Z)
    z (B, Z) ─Linear─► (B, w_n, h, w) ─conv 3×3, depth times─► (B, w_n, h, w) ─transposed conv, stride 2─► ...
        ─► (B, w_1, H/2, W/2) ─transposed conv, stride 2─► logits or mean (B, C, H, W)

Each halving rounds up, and the decoder undoes it exactly, so H and W may be odd.

Letters: B batch, C channels, H, W image, h, w the same after n halvings, Z latents.
"""

from collections.abc import Sequence

from torch import nn

from mrvae_zoo.gating.base import Gating
from mrvae_zoo.gating.layers import GatedSequential
from mrvae_zoo.models.architectures.blocks import (
    Activation,
    ConvBlocks,
    ConvDecoder,
    ConvEncoder,
    Norm,
    check_widths,
    halving_kernel,
    halvings,
)


def build(
    input_shape: tuple[int, int, int],
    latent_dim: int,
    gating: Gating,
    *,
    widths: tuple[int, ...] = (32, 64, 128),
    depth: int = 0,
    norm: Norm = "none",
    activation: Activation = "silu",
) -> tuple[ConvEncoder, ConvDecoder]:
    """Build the encoder and the decoder.

    Raises:
        ValueError: There is no width, a width is below 1, or the depth is not valid.
    """
    check_widths(widths, depth)
    down, up = (ConvBlocks(gating, side, norm, activation) for side in ("encoder", "decoder"))
    inner = [[module for _ in range(depth) for module in side.conv(widths[-1], widths[-1], 3)] for side in (down, up)]
    return assemble(input_shape, latent_dim, widths, down, up, inner)


def assemble(
    input_shape: tuple[int, int, int],
    latent_dim: int,
    widths: tuple[int, ...],
    down: ConvBlocks,
    up: ConvBlocks,
    inner: Sequence[Sequence[nn.Module]],
) -> tuple[ConvEncoder, ConvDecoder]:
    """Assemble encoder and decoder around their layers at the coarsest resolution: `inner` of each of the two."""
    encoder, flat, decoder = trunks(input_shape, widths, down, up, inner)
    first, last = down.gating.latent_reader(latent_dim, flat), down.gating.latent_writer(flat, latent_dim)
    return ConvEncoder(GatedSequential(*encoder, last)), ConvDecoder(GatedSequential(first, up.activation(), *decoder))


def trunks(
    input_shape: tuple[int, int, int],
    widths: tuple[int, ...],
    down: ConvBlocks,
    up: ConvBlocks,
    inner: Sequence[Sequence[nn.Module]],
) -> tuple[list[nn.Module], int, list[nn.Module]]:
    """Make what leads from x to (B, flat), the number `flat`, and what leads from it to the output."""
    channels, *size = input_shape
    sizes = halvings((size[0], size[1]), len(widths))
    height, width = sizes[-1]
    flat = widths[-1] * height * width
    encoder: list[nn.Module] = []
    for inputs, outputs, at in zip((channels, *widths[:-1]), widths, sizes, strict=False):
        encoder += down.down(inputs, outputs, at, first=not encoder)
    encoder += [*inner[0], nn.Flatten()]

    decoder: list[nn.Module] = [nn.Unflatten(1, (widths[-1], height, width)), *inner[1]]
    for i in range(len(widths) - 1, 0, -1):
        decoder += up.up(widths[i], widths[i - 1], sizes[i])
    kernel = halving_kernel(sizes[0])
    output = up.gating.conv_transpose2d(widths[0], channels, kernel, side="decoder", head=True, stride=2, padding=1)
    return encoder, flat, [*decoder, output]
