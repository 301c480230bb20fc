"""mrvae_resnet_spatial: fully convolutional, for images of any size at run time; its latents have places.

    x (B, C, H, W) ─patches of 8×8─► (B, 64·C, H/8, W/8) ─conv 3×3─► (B, w, H/8, W/8) ─modulated block, depth times─►
        (B, w, H/8, W/8) ─conv 1×1─► (B, 2Z, H/8, W/8) ─► mean, log σ² (B, Z, H/8, W/8)
    z (B, Z, H/8, W/8) ─conv 3×3─► (B, w, H/8, W/8) ─modulated block, depth times─► (B, w, H/8, W/8)
        ─conv 3×3─► (B, 64·C, H/8, W/8) ─patches side by side─► logits or mean (B, C, H, W)

    modulated block: x ──┬─conv 3×3─► (B, bottleneck, h, w) ─conv 1×1─► gain, shift ──┐
                         └────────────────────────────────────────────────────► 2σ(gain) ⊙ x + shift

A block multiplies, so that a place where nothing happens can be as good as switched off: an unused latent then costs no
rate there, and the decoder does not show its noise. Without blocks, encoder and decoder are linear transforms of
overlapping patches. The patches of a pixel are as fine as the image, so nothing is interpolated, and the 3×3
convolution in front of them blends neighbours.

The model pads H and W to multiples of 8 before, and crops after. There is no group norm: it would look at the whole
image, so an image could not be cut into tiles.

Letters: B batch, C channels, H, W image, h, w places, Z latents of a place, w width.

Source of the multiplication: Ballé et al., "Density Modeling of Images Using a Generalized Normalization
Transformation", ICLR 2016; Wainwright and Simoncelli, "Scale Mixtures of Gaussians and the Statistics of Natural
Images", NeurIPS 1999.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrvae_zoo.gating.base import Gating
from mrvae_zoo.gating.layers import GatedSequential
from mrvae_zoo.gating.optimum import start_reader, start_writer
from mrvae_zoo.models.architectures.blocks import (
    Activation,
    ConvBlocks,
    ConvDecoder,
    ConvEncoder,
    ModulatedBlock,
    check_widths,
)
from mrvae_zoo.models.principal_components import principal_components

PATCH = 8  # pixels, of a side; the model pads to multiples of it


def build(
    input_shape: tuple[int, None, None],
    latent_dim: int,
    gating: Gating,
    *,
    width: int = 192,
    depth: int = 2,
    bottleneck: int = 64,
    activation: Activation = "silu",
) -> tuple[ConvEncoder, ConvDecoder]:
    """Build the encoder and the decoder.

    Raises:
        ValueError: A width is below 1, or the depth is not valid.
    """
    check_widths((width, bottleneck), depth)
    pixels = input_shape[0] * PATCH**2
    down, up = (ConvBlocks(gating, side, "none", activation) for side in ("encoder", "decoder"))
    encoder = [
        nn.PixelUnshuffle(PATCH),
        *down.conv(pixels, width, 3, active=False, first=True),
        *(down.modulated(width, bottleneck) for _ in range(depth)),
        gating.latent_writer2d(width, latent_dim),
    ]
    head = gating.conv2d(width, pixels, 3, side="decoder", head=True, padding=1)
    assert head.bias is not None
    for parameter in (head.weight, head.bias):  # the pixels of a patch begin alike: no checkerboards of random weights
        parameter.data = parameter.data[:: PATCH**2].repeat_interleave(PATCH**2, dim=0)
    decoder = [
        gating.latent_reader2d(latent_dim, width, 3),
        *(up.modulated(width, bottleneck) for _ in range(depth)),
        head,
        nn.PixelShuffle(PATCH),
    ]
    return ConvEncoder(GatedSequential(*encoder)), ConvDecoder(GatedSequential(*decoder))


@torch.no_grad()
def start(
    encoder: ConvEncoder,
    decoder: ConvDecoder,
    images: Tensor,
    *,
    noise: float,
    beta: float,
    beta_range: tuple[float, float],
) -> None:
    """Set the network to the optimum of a linear VAE of single patches; its blocks begin as the identity.

    The first convolution of the encoder gives the principal components of a patch, each with variance 1, and the last
    one of the decoder takes them back. What is left are the overlaps and the blocks: they are what is trained.

    Args:
        encoder: The encoder.
        decoder: The decoder.
        images: The images to take patches from, (N, C, H, W), as the model takes them.
        noise: The variance σ² of the likelihood.
        beta: The β to start at; see `start_writer`.
        beta_range: The range of β.

    Raises:
        ValueError: There are fewer components, or channels, than latents.
    """
    layers = (encoder.layers[1], encoder.layers[-1], decoder.layers[0], decoder.layers[-2])
    first, writer, reader, head = (layer for layer in layers if isinstance(layer, nn.Conv2d))
    assert first.bias is not None
    assert head.bias is not None
    latents, width, pixels = reader.in_channels, first.out_channels, first.in_channels
    kept = min(width, pixels)
    if latents > kept:
        raise ValueError(f"model.latent_dim={latents} should be at most {kept}, for training.start = 'pca'")
    whole = images[..., : images.shape[-2] // PATCH * PATCH, : images.shape[-1] // PATCH * PATCH]
    rows = F.pixel_unshuffle(whole, PATCH).movedim(1, -1).flatten(0, 2)
    mean, variances, directions = principal_components(rows, kept)
    deviations = variances.clamp(min=beta * noise).sqrt()  # what is weaker than the noise is not blown up
    whitening = (directions / deviations).T

    for block in (*encoder.layers, *decoder.layers):
        if isinstance(block, ModulatedBlock):
            block.start_as_identity()
    first.weight[:kept] = centred(whitening)
    first.bias[:kept] = -(whitening @ mean)
    head.weight.zero_()
    head.weight[:, :kept] = centred(directions * deviations)
    head.bias.copy_(mean)
    strengths = variances[:latents] / noise
    one_each = torch.eye(width, latents, device=mean.device)
    weight, bias = one_each.T[..., None, None], torch.zeros_like(strengths)
    start_writer(writer, weight, bias, strengths, beta=beta, beta_range=beta_range)
    start_reader(reader, centred(one_each), torch.zeros(width, device=mean.device), strengths, beta=beta)


def centred(matrix: Tensor) -> Tensor:
    """Return a matrix (out, in) as a 3×3 kernel (out, in, 3, 3) that sees the place in its middle alone."""
    return F.pad(matrix[..., None, None], (1, 1, 1, 1))
