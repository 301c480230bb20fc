"""Reconstructions of some images at several β, as one picture.

Letters: N images, C, H, W image.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from mrvae_zoo.common.grids import grid
from mrvae_zoo.data.augmentation import centre_crop
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.models.curve import RDPoint
from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE

if TYPE_CHECKING:
    from PIL import Image


ROWS = 7  # β, where none are named
COLUMNS = 12  # images side by side
BATCH = 32  # images that go through the model at once
LARGEST = (
    128  # pixels of a side, of the images of a spatial model; of larger ones a picture shows the square in the middle
)


class Reconstructions(NamedTuple):
    """The picture, and the rate and distortion at each β, averaged over the images."""

    picture: "Image.Image"
    points: tuple[RDPoint, ...]


def shown_part(model: BaseVAE, x: Tensor) -> Tensor:
    """Return what a picture shows of images (N, C, H, W): the middle of large ones, for a spatial model."""
    return centre_crop(x, LARGEST) if model.config.spatial and min(x.shape[2:]) > LARGEST else x


@torch.no_grad()
def reconstruct(model: BaseVAE, x: Tensor, betas: Sequence[float] | None = None, *, seed: int = 0) -> Reconstructions:
    """Draw images and their reconstructions below them, one row per β. Images that do not fit in a row follow below.

    The picture shows the decoded mean of the posterior; the distortion is that of a draw from it. For a spatial model
    the picture shows that draw: where most latents of a place carry nothing, the decoder counts on their noise, and the
    decoded mean has other colours.

    Args:
        model: A model in eval mode.
        x: The images, (N, C, H, W), as the model takes them, with 1 or 3 channels.
        betas: The values of β, in rising order. None takes seven over the range, or the β of a model that has only one.
        seed: The seed of the draws of z.

    Raises:
        ValueError: The model does not take a β, or images with this number of channels cannot be drawn.
    """
    if betas is None:
        betas = [model.beta] if isinstance(model, FixedRateVAE) else log_spaced(model.beta_range, ROWS)
    rows, labels, points = [model.config.to_unit_range(x)], [("input", "")], []
    for beta in betas:
        plain = model.at(beta)
        generator = torch.Generator().manual_seed(seed)
        drawn = [plain(some, generator=generator) for some in x.split(BATCH)]
        rate, distortion = (torch.cat([getattr(out, name) for out in drawn]) for name in ("rate", "distortion"))
        points.append(RDPoint(beta=beta, rate=rate.mean().item(), distortion=distortion.mean().item()))
        shown = drawn if model.config.spatial else [plain(some, sample=False) for some in x.split(BATCH)]
        rows.append(model.config.to_unit_range(torch.cat([out.reconstruction for out in shown])))
        labels.append((f"β = {beta:.4g}", f"{points[-1].rate:.1f} nats"))
    blocks = [row.split(COLUMNS) for row in rows]
    picture = grid([part for block in zip(*blocks, strict=True) for part in block], labels * len(blocks[0]))
    return Reconstructions(picture, tuple(points))
