"""mrvae_mlp: fully connected encoder and decoder.

    x (B, C, H, W) ─flatten─► (B, C·H·W) ─► widths ... ─► (B, 2Z) ─► mean, log σ² (B, Z)
    z (B, Z) ─► widths reversed ... ─► (B, C·H·W) ─unflatten─► logits or mean (B, C, H, W)

Letters: B batch, C, H, W image, Z latents.
"""

import itertools
import math

from torch import Tensor, nn

from mrvae_zoo.gating.base import Gating, Side
from mrvae_zoo.gating.layers import GatedSequential
from mrvae_zoo.models.architectures.blocks import ACTIVATIONS, Activation


class MLPEncoder(nn.Module):
    """An encoder: x (B, C, H, W) and the features of β -> mean, log σ², each (B, Z)."""

    def __init__(self, layers: GatedSequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mean and log-variance of the posterior."""
        mean, log_var = self.layers(x.flatten(1), features).chunk(2, dim=-1)
        return mean, log_var


class MLPDecoder(nn.Module):
    """A decoder: z (B, Z) and the features of β -> logits or mean (B, C, H, W)."""

    def __init__(self, layers: GatedSequential, output_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layers = layers
        self.output_shape = output_shape

    def forward(self, z: Tensor, features: Tensor | None) -> Tensor:
        """Return what the likelihood takes."""
        return self.layers(z, features).unflatten(-1, self.output_shape)


def build(
    input_shape: tuple[int, int, int],
    latent_dim: int,
    gating: Gating,
    *,
    widths: tuple[int, ...] = (512, 512),
    activation: Activation = "silu",
) -> tuple[MLPEncoder, MLPDecoder]:
    """Build the encoder and the decoder, whose hidden widths are those of the encoder reversed.

    Raises:
        ValueError: There is no width, or a width is below 1.
    """
    if not widths or min(widths) < 1:
        raise ValueError(f"widths={widths} should hold at least one width, each at least 1")
    size = math.prod(input_shape)
    encoder = perceptron((size, *widths, 2 * latent_dim), gating, "encoder", activation)
    decoder = perceptron((latent_dim, *reversed(widths), size), gating, "decoder", activation)
    return MLPEncoder(encoder), MLPDecoder(decoder, input_shape)


def perceptron(sizes: tuple[int, ...], gating: Gating, side: Side, activation: Activation) -> GatedSequential:
    """Make Linear layers from each size to the next, with an activation after each but the last.

    The last layer of an encoder outputs mean and log σ²; the first layer of a decoder takes z.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes[:-1]):
        reads_latents = side == "decoder" and not layers
        layer = (
            gating.latent_reader(inputs, outputs)
            if reads_latents
            else gating.linear(inputs, outputs, side=side, first=not layers)
        )
        layers += [layer, ACTIVATIONS[activation]()]
    inputs, outputs = sizes[-2:]
    if side == "encoder":
        return GatedSequential(*layers, gating.latent_writer(inputs, outputs // 2))
    return GatedSequential(*layers, gating.linear(inputs, outputs, side=side, head=True))
