"""perceptual: a β-VAE whose distortion counts the edges of an image too, at every scale.

    L = D + WEIGHT · Σ_j 4^j |L_j(x) − L_j(x')|₁ + β · R,   L_j: the j-th level of the Laplacian pyramid

A squared error hardly notices whether an edge is sharp. To use a network of features such as LPIPS instead, put it in
the place of `pyramid_distance`.

Letters: b examples, C, H, W image.
Source of the term: Bojanowski et al., "Optimizing the Latent Space of Generative Networks", ICML 2018 (Lap1).
"""

import torch.nn.functional as F
from torch import Tensor

from mrvae_zoo.plugins import GlobalBatch, Objective, VAEOutput

WEIGHT = 0.1


def pyramid_distance(a: Tensor, b: Tensor) -> Tensor:
    """The distance of images (b, C, H, W): (b,)."""
    difference = a - b  # the levels of a pyramid are linear, so that of the difference will do
    distance, weight = difference.new_zeros(len(difference)), 1.0
    while min(difference.shape[-2:]) > 1:
        coarse = F.avg_pool2d(difference, 2, ceil_mode=True, count_include_pad=False)
        fine = difference - F.interpolate(coarse, size=difference.shape[-2:], mode="nearest")
        distance = distance + weight * fine.abs().flatten(1).sum(1)
        difference, weight = coarse, 4 * weight
    return distance + weight * difference.abs().flatten(1).sum(1)


def loss(output: VAEOutput, beta: Tensor, batch: GlobalBatch) -> Tensor:
    """The loss of each example, (b,) nats."""
    assert batch.x is not None
    return output.distortion + WEIGHT * pyramid_distance(output.reconstruction, batch.x) + beta * output.rate


PERCEPTUAL = Objective(name="perceptual", loss=loss)
