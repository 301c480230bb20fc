"""Sprites: small images drawn from known factors, to measure disentanglement without a download.

Every combination of shape, scale, angle, x and y is one grey image with anti-aliased edges, after the idea of dSprites
(Matthey et al., "dSprites: Disentanglement testing Sprites dataset", 2017). The angles of a shape divide its own turn
(a square looks the same after 90°, an ellipse after 180°, a heart after 360°), so no two combinations look alike.

Letters: N images, F = 5 factors, S sprites (shape, scale and angle), P side of a drawn sprite in pixels.
"""

import functools
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mrvae_zoo.data.data_set import DataFacts, DataSet
from mrvae_zoo.data.recipe import Split

FACTORS = {"shape": 3, "scale": 5, "angle": 12, "x": 12, "y": 12}
SHAPES = ("square", "ellipse", "heart")
TURNS = (math.pi / 2, math.pi, 2 * math.pi)  # after which a shape looks the same
RADII = (6.0, 7.0, 8.0, 9.0, 10.0)  # pixels, of the circle around the shape
SIDE = 32  # pixels of an image
SUBPIXELS = 8  # each way; a grey value is the share of them that lie inside
PATCH = 20  # pixels, P
TEST_SHARE = 10  # one of so many images is for testing
STRIDE = 16019  # coprime to the number of images: walks through all of them, far from one to the next


def grid() -> Tensor:
    """Return the factors of all 25,920 images, by index of their values, the last factor fastest: (N, F) int64."""
    return torch.cartesian_prod(*(torch.arange(size, device="cpu") for size in FACTORS.values()))


def draw(factors: Tensor) -> Tensor:
    """Draw the images of these factors.

    Args:
        factors: The index of each factor's value, integers (N, F), in the order of `FACTORS`. From one x to the next,
            the centre moves one pixel to the right; from one y to the next, one pixel down.

    Returns:
        The images, (N, 1, 32, 32) uint8, the same on every machine.

    Raises:
        ValueError: A factor has no such value, or the shape is wrong.
    """
    sizes = torch.tensor(list(FACTORS.values()), device="cpu")
    if factors.ndim != 2 or factors.shape[1] != len(sizes) or factors.is_floating_point():
        raise ValueError(f"factors is {factors.dtype} {tuple(factors.shape)}; expected integers (N, {len(sizes)})")
    if ((factors < 0) | (factors >= sizes)).any():
        raise ValueError(f"factors should be at least 0 and below {tuple(FACTORS.values())}, one an element")
    shape, scale, angle, x, y = factors.long().unbind(1)
    sprite = (shape * FACTORS["scale"] + scale) * FACTORS["angle"] + angle
    # Moving the window left moves the sprite right. Windows are views: only what is asked for is copied.
    windows = _canvases().unfold(1, SIDE, 1).unfold(2, SIDE, 1)
    return windows[sprite, FACTORS["y"] - 1 - y, FACTORS["x"] - 1 - x].unsqueeze(1)


def split_factors(split: "Split") -> Tensor:
    """Return the factors of the images of a split, in the order of `load_sprites`: (N, F).

    A combination belongs to the test split if the sum of its indices is a multiple of ten. Every value of every factor
    is then in both splits, and a test image has its neighbours in the training split. The order mixes all factors.
    """
    factors = grid()
    factors = factors[torch.arange(len(factors), device="cpu") * STRIDE % len(factors)]
    return factors[(factors.sum(1) % TEST_SHARE == 0) == (split == "test")]


def load_sprites(root: Path, split: "Split") -> Tensor:  # noqa: ARG001 (drawn: nothing is read)
    """Load the images of a split: (N, 1, 32, 32) uint8."""
    return draw(split_factors(split))


@functools.cache
def _canvases() -> Tensor:
    """Draw each sprite in the middle of a canvas that holds every window onto it: (S, 43, 43) uint8."""
    shape, scale, angle = torch.cartesian_prod(
        *(torch.arange(FACTORS[name], device="cpu") for name in ("shape", "scale", "angle"))
    ).T
    turn = torch.tensor(TURNS, dtype=torch.float64, device="cpu")[shape] * angle / FACTORS["angle"]
    radius = torch.tensor(RADII, dtype=torch.float64, device="cpu")[scale]
    cos, sin = ((each / radius).view(-1, 1, 1) for each in (turn.cos(), turn.sin()))
    at = (torch.arange(PATCH * SUBPIXELS, dtype=torch.float64, device="cpu") + 0.5) / SUBPIXELS - PATCH / 2
    right, up = at.view(1, 1, -1), -at.view(1, -1, 1)
    u, v = cos * right + sin * up, cos * up - sin * right  # turned back: the shape is turned counterclockwise
    outside = torch.stack([f(u, v) for f in (_square, _ellipse, _heart)])[shape, torch.arange(len(shape), device="cpu")]
    # A point on the very edge is inside on every machine, whatever the rounding of the last bit.
    share = F.avg_pool2d((outside <= 1e-6).float(), SUBPIXELS)
    margin = (SIDE + FACTORS["x"] - 1 - PATCH) / 2
    padding = (math.ceil(margin), math.floor(margin))
    return F.pad((share * 255).round().byte(), padding + padding)


# The shapes in the unit circle: below 0 inside, above 0 outside.


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) - math.sqrt(0.5)


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    return u.square() + (2 * v).square() - 1


def _heart(u: Tensor, v: Tensor) -> Tensor:
    """Return the sextic (x² + y² − 1)³ = x² y³, scaled to the unit circle about a point within it."""
    x, y = 1.3 * u, 1.3 * v + 0.2
    return (x.square() + y.square() - 1) ** 3 - x.square() * y**3


SPRITES = DataSet(
    name="sprites",
    load=load_sprites,
    facts=DataFacts(title="the sprites that mrvae_zoo draws", licence="Apache-2.0"),
)
