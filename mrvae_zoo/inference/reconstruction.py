"""What a model makes of some images at several β, as one picture.

Letters: N images, C, H, W image.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from mrvae_zoo.common.grids import grid
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.models.curve import RDPoint
from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE

if TYPE_CHECKING:
    from PIL import Image


ROWS = 7  # β, where none are named
COLUMNS = 12  # images side by side
BATCH = 32  # images that go through the model at once


class Reconstructions(NamedTuple):
    """The picture, and rate and distortion at each β, means over the images."""

    picture: "Image.Image"
    points: tuple[RDPoint, ...]


@torch.no_grad()
def reconstruct(model: BaseVAE, x: Tensor, betas: Sequence[float] | None = None, *, seed: int = 0) -> Reconstructions:
    """Draw images, and below them their reconstructions, a row for each β; more images than a row holds follow below.

    The picture shows the decoded mean of the posterior; the distortion is that of a draw from it.

    Args:
        model: in eval mode.
        x: (N, C, H, W) as the model takes them, C 1 or 3.
        betas: rising; None for seven over the range, or for the one β of a model that has one.
        seed: of the draws of z.

    Raises:
        ValueError: a β that the model does not take, or a number of channels that cannot be drawn.
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
        means = [plain(some, sample=False).reconstruction for some in x.split(BATCH)]
        rows.append(model.config.to_unit_range(torch.cat(means)))
        labels.append((f"beta {beta:g}", f"{points[-1].rate:.1f} nats"))  # Pillow's own font has no β
    blocks = [row.split(COLUMNS) for row in rows]
    picture = grid([part for block in zip(*blocks, strict=True) for part in block], labels * len(blocks[0]))
    return Reconstructions(picture, tuple(points))
