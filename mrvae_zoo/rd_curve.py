"""RDCurve: the measured rate-distortion curve of a model, as it stands in rd_curve.json. Needs no torch."""

import bisect
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrvae_zoo.typed import from_mapping, to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class RDPoint:
    """One β of a curve: rate and distortion in nats per example, means over the data."""

    beta: float
    rate: float
    distortion: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.beta, self.rate, self.distortion))) or self.beta <= 0:
            raise ValueError(f"{self} should hold finite numbers and a positive beta")

    @property
    def loss(self) -> float:
        """L_β = D + β·R in nats."""
        return self.distortion + self.beta * self.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class RDCurve:
    """Rate and distortion over β.

    Attributes:
        points: by rising β.
        data: what the curve was measured on, such as {"name": "mnist", "split": "test", "examples": 10000}.
        samples: draws of z for an example and β.
        seed: of these draws.
    """

    points: tuple[RDPoint, ...]
    data: dict[str, Any] = field(default_factory=dict)
    samples: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("points is empty; a curve has at least one")
        if any(low.beta >= high.beta for low, high in itertools.pairwise(self.points)):
            raise ValueError("points should be sorted by rising beta")

    @property
    def betas(self) -> tuple[float, ...]:
        """The β that were measured, rising."""
        return tuple(point.beta for point in self.points)

    def beta_for(self, *, rate: float | None = None, distortion: float | None = None) -> float:
        """The β at which the model has this rate (or this distortion), in nats per example.

        The curve between two measured points is a straight line in log β. A point that a higher β beats (with a
        distortion as low, or a rate as high) is left out, so that the answer is unique.

        Raises:
            ValueError: neither or both are given, or the curve does not reach the value.
        """
        if (rate is None) == (distortion is None):
            raise ValueError("beta_for takes rate= or distortion=, and one of them")
        if rate is not None:
            return self._invert("rate", [-point.rate for point in self.points], -rate)
        assert distortion is not None
        return self._invert("distortion", [point.distortion for point in self.points], distortion)

    def _invert(self, name: str, values: Sequence[float], target: float) -> float:
        """The log-β position of `target` on the part of `values` that rises with β."""
        log_betas: list[float] = []
        rising: list[float] = []
        for value, beta in zip(reversed(values), reversed(self.betas), strict=True):
            if not rising or value < rising[0]:
                rising.insert(0, value)
                log_betas.insert(0, math.log(beta))
        if not rising[0] <= target <= rising[-1]:
            ends = sorted((abs(rising[0]), abs(rising[-1])))
            raise ValueError(f"{name}={abs(target)} is outside the curve's [{ends[0]:.2f}, {ends[1]:.2f}] nats")
        right = bisect.bisect_left(rising, target)
        if target == rising[right]:
            return math.exp(log_betas[right])
        share = (target - rising[right - 1]) / (rising[right] - rising[right - 1])
        return math.exp(log_betas[right - 1] + share * (log_betas[right] - log_betas[right - 1]))

    def to_json(self) -> str:
        """The text of rd_curve.json."""
        return json.dumps(to_plain(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str = "rd_curve.json") -> "RDCurve":
        """The curve in a text of rd_curve.json; `where` names the file in messages.

        Raises:
            ValueError: the text is not JSON, or not a curve; the message names the key.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError(f"{where} is not JSON") from None
        if not isinstance(data, dict):
            raise ValueError(f"{where} should hold an object, with points")
        return from_mapping(cls, data, where=where)

    @classmethod
    def read(cls, path: Path) -> "RDCurve":
        """The curve in a file."""
        return cls.from_json(path.read_text(encoding="utf-8"), where=str(path))
