"""Walks through the latents of a model: along each latent of an image, and from one image to another.

Letters: K latents that are walked, S steps, C, H, W image, Z latents, h, w places of a spatial model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from mrvae_zoo.common.grids import FONT_SIZE, GAP, INK, MARGIN, MIN_TILE, PAPER, grid, with_font
from mrvae_zoo.models.base import crop
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.latents import LatentTable
from mrvae_zoo.models.posterior import Posterior, standard_normal

if TYPE_CHECKING:
    from PIL import Image

LATENTS, STEPS, LIMIT = 10, 7, 3.0  # the defaults of a traversal


class Walked(Protocol):
    """What a walk needs from a model at one β."""

    config: ModelConfig

    def encode(self, x: Tensor) -> Posterior:
        """Return the posterior of images."""

    def decode(self, z: Tensor) -> Tensor:
        """Return the images of latents."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traversal:
    """What `model.traverse` returns: images along some latents of one image, the most informative latent first.

    Attributes:
        images: The images, (K, S, C, H, W) in the data range: one row per latent, one column per value.
        latents: The latents that were walked, counted from 0, (K,).
        kl: The KL divergence of each of them in nats, (K,); per place of a spatial model.
        measured: Whether `kl` is a mean over the data of the curve. If not, it is that of the image.
        values: The values that each latent was set to, (S,), in standard deviations of the prior.
        config: The description of the model.
    """

    images: Tensor
    latents: tuple[int, ...]
    kl: tuple[float, ...]
    measured: bool
    values: tuple[float, ...]
    config: ModelConfig

    def picture(self) -> "Image.Image":
        """Draw the images, with the latent and its KL divergence beside each row and the values above the columns.

        Raises:
            ValueError: Images with this number of channels cannot be drawn.
        """
        unit = "nats per place" if self.config.spatial else "nats"
        labels = [(f"latent {i}", f"{kl:.2f} {unit}") for i, kl in zip(self.latents, self.kl, strict=True)]
        drawn = grid([*self.config.to_unit_range(self.images)], labels)
        headings = [f"{value:.2g}".replace("-", "−") for value in self.values]
        return with_headings(drawn, headings, (self.images.shape[-2], self.images.shape[-1]))


def walk_latents(
    model: Walked, x: Tensor, table: LatentTable | None, *, latents: int, steps: int, limit: float
) -> Traversal:
    """Walk along the latents of an image, (C, H, W) or (1, C, H, W), ordered by a table; see `BaseVAE.traverse`."""
    if latents < 1:
        raise ValueError(f"latents={latents} should be at least 1")
    if not 0 < limit < math.inf:
        raise ValueError(f"limit={limit} should be a positive number of standard deviations of the prior")
    _check_steps(steps)
    x = one_image(x)
    posterior = model.encode(x)
    measured = _measured_kl(table, model.config.beta)
    own, start = posterior.kl_of_each()[0], _start(model, posterior)
    kl = tuple(own.reshape(len(own), -1).mean(1).tolist()) if measured is None else measured
    order = sorted(range(len(kl)), key=lambda i: -kl[i])[:latents]
    values = torch.linspace(-limit, limit, steps, dtype=torch.float32, device="cpu")
    rows = []
    for latent in order:
        z = start.repeat_interleave(steps, dim=0)
        z[:, latent] = _per_step(values, z[:, latent])
        rows.append(crop(model.decode(z), (x.shape[-2], x.shape[-1])))
    return Traversal(
        images=torch.stack(rows),
        latents=tuple(order),
        kl=tuple(kl[i] for i in order),
        measured=measured is not None,
        values=tuple(values.tolist()),
        config=model.config,
    )


def walk_between(model: Walked, a: Tensor, b: Tensor, *, steps: int) -> Tensor:
    """Decode latents on the straight line between the posterior means of two images; see `BaseVAE.interpolate`."""
    _check_steps(steps)
    a, b = one_image(a), one_image(b)
    if a.shape != b.shape:
        raise ValueError(f"the images have shapes {tuple(a.shape[1:])} and {tuple(b.shape[1:])}; pass two of one shape")
    start, end = _start(model, model.encode(torch.cat([a, b.to(a)]))).split(1)
    share = _per_step(torch.linspace(0, 1, steps, dtype=torch.float32, device="cpu"), start)
    return crop(model.decode(torch.lerp(start, end, share)), (a.shape[-2], a.shape[-1]))


def with_headings(picture: "Image.Image", headings: Sequence[str], size: tuple[int, int]) -> "Image.Image":
    """Return a grid of images of `size` (H, W) with a heading centred above each of its columns."""
    from PIL import Image, ImageDraw

    tile = size[1] * max(1, -(-MIN_TILE // min(size)))
    canvas = Image.new("RGB", (picture.width, picture.height + FONT_SIZE), PAPER)
    canvas.paste(picture, (0, FONT_SIZE))
    draw = ImageDraw.Draw(canvas)
    font, _ = with_font([])
    for number, heading in enumerate(reversed(headings)):
        middle = picture.width - MARGIN - number * (tile + GAP) - tile // 2
        draw.text((middle, MARGIN + FONT_SIZE - GAP), heading, fill=INK, font=font, anchor="mb")
    return canvas


def one_image(x: Tensor) -> Tensor:
    """Return an image, (C, H, W) or (1, C, H, W), as (1, C, H, W).

    Raises:
        ValueError: The tensor holds several images.
    """
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4 or len(x) != 1:
        raise ValueError(f"x has shape {tuple(x.shape)}; pass one image, (C, H, W) or (1, C, H, W)")
    return x


def _measured_kl(table: LatentTable | None, beta: float | None) -> tuple[float, ...] | None:
    """Return the KL divergence of each latent over the data of the curve, (Z,), or None if it is not known at β."""
    if table is None or beta is None or not table.points[0].beta <= beta <= table.points[-1].beta:
        return None
    return table.at(beta).kl


def _start(model: Walked, posterior: Posterior) -> Tensor:
    """Return where walks begin, (B, Z) or (B, Z, h, w): the posterior mean, or for a spatial model a draw.

    The decoder of a spatial model counts on the noise of places that carry nothing; the decoded mean has other colours.
    All images get the same noise.
    """
    if not model.config.spatial:
        return posterior.mode()
    like = posterior.mean[:1]
    return posterior.displaced(standard_normal(like.shape, like=like, generator=torch.Generator().manual_seed(0)))


def _check_steps(steps: int) -> None:
    if steps < 2:
        raise ValueError(f"steps={steps} should be at least 2")


def _per_step(values: Tensor, like: Tensor) -> Tensor:
    """Return values (S,) that can be combined with a tensor whose first dimension is S or 1."""
    return values.to(like).reshape(-1, *[1] * (like.ndim - 1))
