"""mrvae_resnet: convolutions with residual blocks, for images of any size.

The layout "mirrored" has the residual blocks at the coarsest resolution:

    x (B, C, H, W) ─conv, stride 2─► (B, w_1, H/2, W/2) ─► ... ─► (B, w_n, h, w) ─residual block, depth times─►
        (B, w_n, h, w) ─flatten, Linear─► (B, 2Z) ─► mean, log σ² (B, Z)
    z (B, Z) ─Linear─► (B, w_n, h, w) ─residual block, depth times─► (B, w_n, h, w) ─transposed conv, stride 2─► ...
        ─► (B, w_1, H/2, W/2) ─transposed conv, stride 2─► logits or mean (B, C, H, W)

    block "narrow": x ──┬─conv 3×3─► (B, bottleneck, h, w) ─conv 1×1─► (+) ─► (B, w_n, h, w)
                        └──────────────────────────────────────────────┘
    block "basic":  x ──┬─conv 3×3─► (B, w_n, h, w) ─conv 3×3─► (+) ─► (B, w_n, h, w)
                        └─────────────────────────────────────────┘

The layout "published" is that of Bae et al. (2023), for three sizes of images. `PUBLISHED` has its kernels. The encoder
is as above. In the decoder no activation follows the Linear layer, and the last halving of the encoder is undone before
the residual blocks (at 32×32 the last convolution has stride 1, and there is nothing to undo):

    z (B, Z) ─Linear─► (B, w_n, h, w) ─transposed conv, stride 2─► (B, w_n-1, 7, 7) ─residual block, depth times─►
        (B, w_n-1, 7, 7) ─transposed conv, stride 2─► ... ─► (B, w_1, H/2, W/2) ─transposed conv, stride 2─►
        logits or mean (B, C, H, W)

Letters: B batch, C channels, H, W image, h, w the coarsest resolution, Z latents.

Source: Chadebec et al., "Pythae: Unifying Generative Autoencoders in Python", 2022, for the narrow blocks; Bae et al.,
"Multi-Rate VAE: Train Once, Get the Full Rate-Distortion Curve", ICLR 2023, for the published layout with basic blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from mrvae_zoo.gating.base import Gating
from mrvae_zoo.gating.layers import GatedSequential
from mrvae_zoo.models.architectures.blocks import Activation, ConvBlocks, ConvDecoder, ConvEncoder, Norm, check_widths
from mrvae_zoo.models.architectures.conv import assemble, trunks
from mrvae_zoo.models.architectures.linear_path import (
    LinearPathDecoder,
    LinearPathEncoder,
    with_linear_path,
)


@dataclass(frozen=True, slots=True)
class Stage:
    """A convolution of the published encoder, and the transposed convolution that undoes it. All have padding 1.

    Attributes:
        down: The kernel of the convolution.
        up: The kernel of the transposed convolution, of stride 2. None if the convolution has stride 1 and not 2.
        output_padding: The output padding of the transposed convolution.
    """

    down: int
    up: int | None
    output_padding: int = 0

    @property
    def stride(self) -> int:
        """The stride of the convolution."""
        return 1 if self.up is None else 2

    def shrunk(self, side: int) -> int:
        """Return the side of the image behind the convolution."""
        return (side + 2 - self.down) // self.stride + 1


PUBLISHED = {
    (28, 28): (Stage(4, 3, 1), Stage(4, 3, 1), Stage(3, 3)),
    (32, 32): (Stage(4, 4), Stage(4, 4), Stage(3, None)),
    (64, 64): (Stage(4, 4), Stage(4, 5, 1), Stage(3, 5), Stage(3, 3)),
}

Blocks = Callable[[ConvBlocks, int], list[nn.Module]]


def build(
    input_shape: tuple[int, int, int],
    latent_dim: int,
    gating: Gating,
    *,
    widths: tuple[int, ...] = (64, 128, 128),
    depth: int = 2,
    block: Literal["narrow", "basic"] = "narrow",
    bottleneck: int = 32,
    layout: Literal["mirrored", "published"] = "mirrored",
    sigmoid: bool = False,
    components: int = 0,
    norm: Norm = "none",
    activation: Activation = "silu",
) -> tuple[ConvEncoder | LinearPathEncoder, ConvDecoder | LinearPathDecoder]:
    """Build the encoder and the decoder.

    `bottleneck` is the width of narrow blocks. `sigmoid` puts a sigmoid behind the output, for a Gaussian likelihood of
    images in [0, 1]. `components` is the number K of components on a linear path past the convolutions (see
    `mrvae_zoo.models.architectures.linear_path`); 0 is for none.

    Raises:
        ValueError: There is no width, a width is below 1, or the depth is not valid. Images of this size have no
            published layout, or one with another number of widths. There are fewer components than latents, or there is
            a linear path in another layout or with a sigmoid.
    """
    check_widths(widths, depth)
    if bottleneck < 1:
        raise ValueError(f"bottleneck={bottleneck} should be at least 1")
    down, up = (ConvBlocks(gating, side, norm, activation) for side in ("encoder", "decoder"))

    def blocks(side: ConvBlocks, width: int) -> list[nn.Module]:
        return [side.basic(width) if block == "basic" else side.residual(width, bottleneck) for _ in range(depth)]

    if components and (layout == "published" or sigmoid):
        raise ValueError(f"components={components} is for layout='mirrored' without a sigmoid; leave it out")
    if components:
        inner = (blocks(down, widths[-1]), blocks(up, widths[-1]))
        below, flat, above = trunks(input_shape, widths, down, up, inner)
        return with_linear_path(input_shape, latent_dim, components, bottleneck, (down, up), (below, above), flat)
    if layout == "published":
        encoder, decoder = published(input_shape, latent_dim, widths, down, up, blocks)
    else:
        inner = (blocks(down, widths[-1]), blocks(up, widths[-1]))
        encoder, decoder = assemble(input_shape, latent_dim, widths, down, up, inner)
    if sigmoid:
        decoder.layers.append(nn.Sigmoid())
    return encoder, decoder


def published(
    input_shape: tuple[int, int, int],
    latent_dim: int,
    widths: tuple[int, ...],
    down: ConvBlocks,
    up: ConvBlocks,
    blocks: Blocks,
) -> tuple[ConvEncoder, ConvDecoder]:
    """Build the encoder and the decoder of the published layout, with residual blocks from `blocks`."""
    channels, *size = input_shape
    stages = find_stages((size[0], size[1]), widths)
    gating, coarsest = down.gating, widths[-1]

    encoder: list[nn.Module] = []
    side = size[0]
    for stage, inputs, outputs in zip(stages, (channels, *widths[:-1]), widths, strict=True):
        encoder += down.shrink(inputs, outputs, stage.down, stage.stride, first=not encoder)
        side = stage.shrunk(side)
    flat = coarsest * side * side
    encoder += [*blocks(down, coarsest), nn.Flatten(), gating.latent_writer(flat, latent_dim)]

    decoder: list[nn.Module] = [gating.latent_projection(latent_dim, flat), nn.Unflatten(1, (coarsest, side, side))]
    inputs = coarsest
    for i in range(len(stages) - 1, 0, -1):
        stage = stages[i]
        if stage.up is not None:
            decoder += up.grow(inputs, widths[i - 1], stage.up, stage.output_padding)
            inputs = widths[i - 1]
        if i == len(stages) - 1:
            decoder += blocks(up, inputs)
    first = stages[0]
    assert first.up is not None
    options: dict[str, Any] = {"stride": 2, "padding": 1, "output_padding": first.output_padding}
    decoder.append(gating.conv_transpose2d(inputs, channels, first.up, side="decoder", head=True, **options))
    return ConvEncoder(GatedSequential(*encoder)), ConvDecoder(GatedSequential(*decoder))


def find_stages(size: tuple[int, int], widths: tuple[int, ...]) -> tuple[Stage, ...]:
    """Return the stages of the published layout for images of a size, a ValueError if they do not fit."""
    if size not in PUBLISHED:
        sizes = ", ".join(f"{height}×{width}" for height, width in PUBLISHED)
        raise ValueError(f"layout='published' is for images of {sizes}, not {size[0]}×{size[1]}; take 'mirrored'")
    stages = PUBLISHED[size]
    if len(widths) != len(stages):
        raise ValueError(f"widths={widths} should hold {len(stages)} for layout='published' at {size[0]}×{size[1]}")
    return stages
