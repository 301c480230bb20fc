"""The inverse question for single images: the β at which each of them has a given rate or distortion.

Letters: B images, C, H, W image.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from mrvae_zoo.gating.beta import Beta, log_spaced
from mrvae_zoo.inference.tiling import encode_tiled
from mrvae_zoo.models.posterior import standard_normal
from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE, unwrap

SCAN = 9  # β over the range, between which the bisection begins
STEPS = 22  # halvings of an interval between two of them; float32 tells no more β apart
TOLERANCE = 1e-4  # relative: how near to the target is near enough
DRAWS = 8  # of z per image, of which its distortion is the mean


class BetaForEach(NamedTuple):
    """What `beta_for_each` finds.

    Attributes:
        beta: The β of each image, (B,), at least float32.
        nats: The rate (or the distortion) of each image at its β, (B,).
        reached: Whether the image reaches the target, (B,). If not, its β is the end of the range that comes nearest.
    """

    beta: Tensor
    nats: Tensor
    reached: Tensor


@torch.no_grad()
def beta_for_each(
    model: BaseVAE, x: Tensor, *, rate: float | None = None, distortion: float | None = None, draws: int = DRAWS
) -> BetaForEach:
    """Find for every image the β at which it has this rate (or this distortion), in nats.

    It bisects in log β, all images at once, until each is within 0.01% of the target. An image that does not reach the
    target within the model's range of β gets the end of the range that comes nearest to it. If an image has a rate at
    several β, the lowest is taken, which has the lowest distortion. For a distortion it is the highest.

    Example:
        found = mrvae_zoo.beta_for_each(model, x, rate=20)
        posterior = model.encode(x, found.beta)

    Args:
        model: A model in eval mode with a range of β.
        x: The images, (B, C, H, W), as the model takes them.
        rate: The rate that each image should have.
        distortion: The distortion that each image should have, as a mean over draws of z with fixed noise.
        draws: The number of these draws. The distortion over one draw deviates by about 5%.

    Raises:
        ValueError: Neither or both are given, the target is not a positive number, or the model does not take x or has
            one β only.
    """
    inner = unwrap(model)
    target = check_target(inner, rate, distortion)
    if draws < 1:
        raise ValueError(f"draws={draws} should be at least 1")
    if rate is not None:
        return search(lambda beta: _rates(inner, x, beta), target, inner.beta_range, lowest=True)
    noise = _fixed_noise(inner, x, draws)
    return search(lambda beta: _distortions(inner, x, beta, noise), target, inner.beta_range, lowest=False)


def check_target(model: BaseVAE, rate: float | None, distortion: float | None) -> float:
    """Return the rate or the distortion that is given; errors are those of `beta_for_each`."""
    target = distortion if rate is None else rate
    if target is None or None not in (rate, distortion):
        raise ValueError("beta_for_each takes rate= or distortion=, and one of them")
    if not 0 < target < math.inf:
        raise ValueError(f"{'distortion' if rate is None else 'rate'}={target} should be a positive number of nats")
    if isinstance(model, FixedRateVAE):
        raise ValueError(f"this model was folded at β={model.beta} and has no other; take one with a range of β")
    return target


def _rates(model: BaseVAE, x: Tensor, beta: Beta) -> Tensor:
    """Return the rate of each image in nats, (B,); large images go through a spatial model tile by tile."""
    return (encode_tiled(model, x, beta) if model.config.spatial else model.encode(x, beta)).kl()


def _distortions(model: BaseVAE, x: Tensor, beta: Beta, noise: Tensor) -> Tensor:
    """Return the distortion of each image in nats as a mean over draws, (B,); the noise is (draws, 1, Z, ...)."""
    drawn = [model(x, beta, noise=one.expand(len(x), *one.shape[1:])).distortion for one in noise]
    return torch.stack(drawn).mean(0)


def _fixed_noise(model: BaseVAE, x: Tensor, draws: int) -> Tensor:
    """Draw the same noise for every image and every β, so that the β of an image does not depend on its neighbours."""
    shape = (draws, 1, *model.latent_shape((x.shape[-2], x.shape[-1])))
    return standard_normal(shape, like=next(model.parameters()), generator=torch.Generator().manual_seed(0))


def search(
    measure: Callable[[Beta], Tensor], target: float, beta_range: tuple[float, float], *, lowest: bool
) -> BetaForEach:
    """Find the β at which a figure of each image, `measure(beta)` (B,), crosses the target.

    If there are several, `lowest` says which: the lowest or the highest.
    """
    grid = log_spaced(beta_range, SCAN)
    scanned = torch.stack([measure(beta) for beta in grid])  # (SCAN, B)
    betas = torch.tensor(grid, dtype=scanned.dtype, device=scanned.device)
    above = scanned >= target
    crossings = above[1:] != above[:-1]
    first = crossings.int().argmax(0) if lowest else len(grid) - 2 - crossings.flip(0).int().argmax(0)
    start_above = above.gather(0, first[None])[0]
    low, high = betas[first].log(), betas[first + 1].log()
    ends = scanned[[0, -1]]
    nearer = (ends - target).abs().argmin(0)
    inside = crossings.any(0)
    beta = torch.where(inside, betas[first], betas[[0, -1]][nearer])
    nats = torch.where(inside, scanned.gather(0, first[None])[0], ends.gather(0, nearer[None])[0])
    for _ in range(STEPS):
        open_ = inside & ((nats - target).abs() > TOLERANCE * target)
        if not open_.any():
            break
        middle = (low + high) / 2
        beta = torch.where(open_, middle.exp().clamp(*beta_range), beta)
        found = measure(beta)
        nats = torch.where(open_, found, nats)
        before = (found >= target) == start_above
        low, high = torch.where(before, middle, low), torch.where(before, high, middle)
    return BetaForEach(beta, nats, inside | ((nats - target).abs() <= TOLERANCE * target))
