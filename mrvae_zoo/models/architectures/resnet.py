"""mrvae_resnet: convolutions with residual blocks at the coarsest resolution, for images of any size.

    x (B, C, H, W) ─conv, stride 2─► (B, w_1, H/2, W/2) ─► ... ─► (B, w_n, h, w) ─residual block, depth times─►
        (B, w_n, h, w) ─flatten, Linear─► (B, 2Z) ─► mean, log σ² (B, Z)
    z (B, Z) ─Linear─► (B, w_n, h, w) ─residual block, depth times─► (B, w_n, h, w) ─transposed conv, stride 2─► ...
        ─► (B, w_1, H/2, W/2) ─transposed conv, stride 2─► logits or mean (B, C, H, W)

    residual block: x ──┬─conv 3×3─► (B, bottleneck, h, w) ─conv 1×1─► (+) ─► (B, w_n, h, w)
                        └──────────────────────────────────────────────┘

Letters: B batch, C channels, H, W image, h, w the same after n halvings, Z latents.
"""

from mrvae_zoo.gating.base import Gating
from mrvae_zoo.models.architectures.blocks import Activation, ConvBlocks, ConvDecoder, ConvEncoder, Norm, check_widths
from mrvae_zoo.models.architectures.conv import assemble


def build(
    input_shape: tuple[int, int, int],
    latent_dim: int,
    gating: Gating,
    *,
    widths: tuple[int, ...] = (64, 128, 128),
    depth: int = 2,
    bottleneck: int = 32,
    norm: Norm = "none",
    activation: Activation = "silu",
) -> tuple[ConvEncoder, ConvDecoder]:
    """Build the encoder and the decoder.

    Raises:
        ValueError: There is no width, a width is below 1, or the depth is not valid.
    """
    check_widths(widths, depth)
    if bottleneck < 1:
        raise ValueError(f"bottleneck={bottleneck} should be at least 1")
    down, up = (ConvBlocks(gating, side, norm, activation) for side in ("encoder", "decoder"))
    inner = [[side.residual(widths[-1], bottleneck) for _ in range(depth)] for side in (down, up)]
    return assemble(input_shape, latent_dim, widths, down, up, inner)
