"""mrvae_resnet_spatial: fully convolutional, for images of any size at run time; its latents have places.

    x (B, C, H, W) ─conv, stride 2, three times─► (B, w_3, H/8, W/8) ─residual block, depth times─► (B, w_3, H/8, W/8)
        ─conv 1×1─► (B, 2Z, H/8, W/8) ─► mean, log σ² (B, Z, H/8, W/8)
    z (B, Z, H/8, W/8) ─conv 3×3─► (B, w_3, H/8, W/8) ─residual block, depth times─► (B, w_3, H/8, W/8)
        ─transposed conv, stride 2, three times─► logits or mean (B, C, H, W)

The model pads H and W to multiples of 8 before, and crops after. There is no group norm: it would look at the whole
image, so an image could not be cut into tiles.

Letters: B batch, C channels, H, W image, Z latents of a place.
"""

from typing import Literal

from torch import nn

from mrvae_zoo.gating.base import Gating
from mrvae_zoo.gating.layers import GatedSequential
from mrvae_zoo.models.architectures.blocks import Activation, ConvBlocks, ConvDecoder, ConvEncoder, check_widths

EVEN = (8, 8)  # each halving sees even sizes, the model pads to multiples of 8


def build(
    input_shape: tuple[int, None, None],
    latent_dim: int,
    gating: Gating,
    *,
    widths: tuple[int, int, int] = (64, 128, 128),
    depth: int = 2,
    bottleneck: int = 32,
    norm: Literal["none", "batch"] = "none",
    activation: Activation = "silu",
) -> tuple[ConvEncoder, ConvDecoder]:
    """Build the encoder and the decoder.

    Raises:
        ValueError: A width is below 1, or the depth is not valid.
    """
    check_widths((*widths, bottleneck), depth)
    channels, coarsest = input_shape[0], widths[-1]
    down, up = (ConvBlocks(gating, side, norm, activation) for side in ("encoder", "decoder"))

    encoder: list[nn.Module] = []
    for inputs, outputs in zip((channels, *widths[:-1]), widths, strict=True):
        encoder += down.down(inputs, outputs, EVEN, first=not encoder)
    encoder += [down.residual(coarsest, bottleneck) for _ in range(depth)]
    encoder.append(gating.latent_writer2d(coarsest, latent_dim))

    if norm == "none":
        decoder: list[nn.Module] = [gating.latent_reader2d(latent_dim, coarsest, 3), up.activation()]
    else:  # it is what is gated
        decoder = up.conv(latent_dim, coarsest, 3, first=True)
    decoder += [up.residual(coarsest, bottleneck) for _ in range(depth)]
    for inputs, outputs in zip(widths[:0:-1], widths[-2::-1], strict=True):
        decoder += up.up(inputs, outputs, EVEN)
    decoder.append(gating.conv_transpose2d(widths[0], channels, 4, side="decoder", head=True, stride=2, padding=1))
    return ConvEncoder(GatedSequential(*encoder)), ConvDecoder(GatedSequential(*decoder))
