"""What the latents of a model are like at each β: mean, standard deviation and KL divergence over data. Needs no torch.

Stored in latents.json beside the curve that they were measured with.

Letters: Z latents.
"""

import bisect
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrvae_zoo.common.layout import LATENTS
from mrvae_zoo.common.schema import from_mapping, to_plain

DIGITS = 6  # significant ones, of a stored figure


def between(betas: Sequence[float], beta: float) -> tuple[int, float]:
    """Return the index of the first of rising `betas` that is not below β, and how near β is to it in log β, in [0, 1].

    0 is the value before it, and 1 that value itself. β lies within `betas`.
    """
    right = bisect.bisect_left(betas, beta)
    if betas[right] == beta:
        return right, 1.0
    return right, math.log(beta / betas[right - 1]) / math.log(betas[right] / betas[right - 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentStatistics:
    """The latents at one β, over data. For a spatial model the figures are means over places as well.

    Attributes:
        beta: The β.
        mean: The mean of each latent over the data, (Z,).
        std: The standard deviation of each latent over the data and the posterior, (Z,): that of the aggregated
            posterior q(z). A diffusion model on the latents scales them by its inverse.
        kl: The mean KL divergence of each latent in nats, (Z,). Their sum is the rate (per place of a spatial model).
    """

    beta: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kl: tuple[float, ...]

    def __post_init__(self) -> None:
        figures = (self.beta, *self.mean, *self.std, *self.kl)
        if not len(self.mean) == len(self.std) == len(self.kl) > 0 or not all(map(math.isfinite, figures)):
            raise ValueError(f"the latents at beta={self.beta} should have a finite mean, std and kl each")
        if self.beta <= 0 or min(self.std) < 0:
            raise ValueError(f"the latents at beta={self.beta} should have a positive beta, and no negative std")

    @property
    def order(self) -> tuple[int, ...]:
        """The latents by what they carry, the highest KL divergence first."""
        return tuple(sorted(range(len(self.kl)), key=lambda i: -self.kl[i]))


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentTable:
    """The statistics of the latents at several β, in rising order."""

    points: tuple[LatentStatistics, ...]

    def __post_init__(self) -> None:
        if not self.points or any(low.beta >= high.beta for low, high in itertools.pairwise(self.points)):
            raise ValueError("points should be at least one, sorted by rising beta")
        if len({len(point.kl) for point in self.points}) > 1:
            raise ValueError("points should all have the same number of latents")

    def at(self, beta: float) -> LatentStatistics:
        """Return the statistics at this β, interpolated linearly in log β between the two nearest.

        Raises:
            ValueError: β is outside of what was measured.
        """
        betas = [point.beta for point in self.points]
        if not betas[0] <= beta <= betas[-1]:
            raise ValueError(f"beta={beta} is outside of [{betas[0]:g}, {betas[-1]:g}], where latents were measured")
        right, share = between(betas, beta)
        after = self.points[right]
        if share == 1:
            return after
        before = self.points[right - 1]

        def mixed(name: str) -> tuple[float, ...]:
            pairs = zip(getattr(before, name), getattr(after, name), strict=True)
            return tuple((1 - share) * low + share * high for low, high in pairs)

        return LatentStatistics(beta=beta, mean=mixed("mean"), std=mixed("std"), kl=mixed("kl"))

    def to_json(self) -> str:
        """Return the text of latents.json."""
        plain = to_plain(self)
        for point in plain["points"]:
            for name in ("mean", "std", "kl"):
                point[name] = [float(f"{figure:.{DIGITS}g}") for figure in point[name]]
        rows = ",\n".join(f"  {json.dumps(point)}" for point in plain["points"])
        return f'{{\n "points": [\n{rows}\n ]\n}}\n'

    @classmethod
    def from_json(cls, text: str, *, where: str = LATENTS) -> "LatentTable":
        """Read the text of latents.json; `where` names the file in messages.

        Raises:
            ValueError: The text is not JSON, or not such a table; the message names the key.
        """
        try:
            data: Any = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError(f"{where} is not JSON") from None
        if not isinstance(data, dict):
            raise ValueError(f"{where} should hold an object, with points")
        return from_mapping(cls, data, where=where)

    @classmethod
    def read(cls, path: Path) -> "LatentTable":
        """Read the table in a file; errors are those of `from_json`."""
        return cls.from_json(path.read_text(encoding="utf-8"), where=str(path))
