"""A linear path past the convolutions of a network: components of the whole image, which the convolutions modulate.

    x (B, C, H, W) ─flatten, Linear─► signals (B, K) ───────────────────────────► 2σ(gain) ⊙ signals + shift ─Linear─►
        └─trunk: convolutions─► (B, flat) ─Linear─► ─Linear─► gain, shift (B, K) ──┘     (B, 2Z) ─► mean, log σ² (B, Z)
    z (B, Z) ─Linear─► signals (B, K) ─► 2σ(gain) ⊙ signals + shift ─Linear─► (B, C, H, W) ─► (+) ─► logits or mean
        │                ├─Linear─► ─Linear─► gain, shift (B, K) ──┘                            │
        │                └─Linear─► (B, flat) ─► trunk: convolutions ─► (B, C, H, W) ───────────┘

It is for images whose detail a few layers of convolutions learn slowly: a training can start at the linear VAE that is
optimal for the images, so that only what is not linear is left to learn. Factors let an image be bright or dull as a
whole; see `mrvae_zoo.models.architectures.resnet_spatial`.

Letters: B batch, C channels, H, W image, D = C·H·W, K components, Z latents.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.base import Side
from mrvae_zoo.gating.layers import GatedSequential, call
from mrvae_zoo.gating.optimum import start_reader, start_writer
from mrvae_zoo.models.architectures.blocks import ConvBlocks, modulate
from mrvae_zoo.models.principal_components import principal_components


class LinearPathEncoder(nn.Module):
    """An encoder with a linear path: x (B, C, H, W) and the features of β -> mean, log σ², each (B, Z)."""

    def __init__(self, path: nn.Linear, trunk: GatedSequential, writer: nn.Linear) -> None:
        super().__init__()
        self.path, self.trunk, self.writer = path, trunk, writer

    def forward(self, x: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mean and log-variance of the posterior."""
        signals = modulate(call(self.path, x.flatten(1), features), self.trunk(x, features))
        mean, log_var = call(self.writer, signals, features).chunk(2, dim=1)
        return mean, log_var


class LinearPathDecoder(nn.Module):
    """A decoder with a linear path: z (B, Z) and the features of β -> logits or mean (B, C, H, W)."""

    def __init__(self, reader: nn.Linear, modulation: GatedSequential, path: nn.Linear, trunk: GatedSequential) -> None:
        super().__init__()
        self.reader, self.modulation, self.path, self.trunk = reader, modulation, path, trunk

    def forward(self, z: Tensor, features: Tensor | None) -> Tensor:
        """Return what the likelihood takes."""
        signals = call(self.reader, z, features)
        image = self.trunk(signals, features)
        signals = modulate(signals, self.modulation(signals, features))
        return image + call(self.path, signals, features).view_as(image)


def with_linear_path(
    input_shape: tuple[int, int, int],
    latent_dim: int,
    components: int,
    bottleneck: int,
    blocks: tuple[ConvBlocks, ConvBlocks],
    trunks: tuple[Sequence[nn.Module], Sequence[nn.Module]],
    flat: int,
) -> tuple[LinearPathEncoder, LinearPathDecoder]:
    """Put a linear path beside the trunks of an encoder, to (B, flat), and of a decoder, from it.

    Raises:
        ValueError: There are fewer components than latents, or more than pixels.
    """
    pixels = math.prod(input_shape)
    if not latent_dim <= components <= pixels:
        raise ValueError(f"components={components} should be from latent_dim={latent_dim} to the {pixels} pixels, or 0")
    down, up = blocks

    def two(side: Side, inputs: int) -> list[nn.Module]:
        """Gain and shift from `inputs`."""
        by = down if side == "encoder" else up
        narrow = by.gating.linear(inputs, bottleneck, side=side)
        return [narrow, by.activation(), by.gating.linear(bottleneck, 2 * components, side=side)]

    encoder = LinearPathEncoder(
        down.gating.linear(pixels, components, side="encoder", first=True),
        GatedSequential(*trunks[0], *two("encoder", flat)),
        down.gating.latent_writer(components, latent_dim),
    )
    decoder = LinearPathDecoder(
        up.gating.latent_reader(latent_dim, components),
        GatedSequential(*two("decoder", components)),
        up.gating.linear(components, pixels, side="decoder", head=True),
        GatedSequential(up.gating.linear(components, flat, side="decoder"), up.activation(), *trunks[1]),
    )
    return encoder, decoder


@torch.no_grad()
def start(
    encoder: nn.Module,
    decoder: nn.Module,
    images: Tensor,
    *,
    noise: float,
    beta: float,
    beta_range: tuple[float, float],
) -> None:
    """Set a network with a linear path to the optimum of a linear VAE of whole images; its trunks begin at zero.

    The arguments are those of `mrvae_zoo.models.architectures.resnet_spatial.start`.

    Raises:
        ValueError: The network has no linear path.
    """
    if not isinstance(encoder, LinearPathEncoder) or not isinstance(decoder, LinearPathDecoder):
        raise ValueError('training.start = "pca" needs a linear path, model.components')
    for trunk in (encoder.trunk, decoder.modulation, decoder.trunk):
        for parameter in (trunk[-1].get_parameter("weight"), trunk[-1].get_parameter("bias")):
            parameter.zero_()
    components, latents = encoder.path.out_features, decoder.reader.in_features
    mean, variances, directions = principal_components(images.flatten(1), components)
    deviations = variances.clamp(min=beta * noise).sqrt()
    encoder.path.weight.copy_((directions / deviations).T)
    encoder.path.bias.copy_(-(mean @ directions) / deviations)
    decoder.path.weight.copy_(directions * deviations)
    decoder.path.bias.copy_(mean)
    one_each = torch.eye(components, latents, device=mean.device)
    strengths = variances[:latents] / noise
    none = torch.zeros(components, device=mean.device)
    start_writer(encoder.writer, one_each.T, none[:latents], strengths, beta=beta, beta_range=beta_range)
    start_reader(decoder.reader, one_each, none, strengths, beta=beta)
