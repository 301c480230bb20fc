"""RDCurve: the measured rate-distortion curve of a model, as stored in rd_curve.json. Needs no torch."""

import html
import itertools
import json
import logging
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mrvae_zoo.common.face import public
from mrvae_zoo.common.layout import CURVE
from mrvae_zoo.common.schema import check_value, from_mapping, to_plain
from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.models.latents import LatentTable, between

if TYPE_CHECKING:
    from mrvae_zoo.models.config import ModelConfig


DATA_KEYS: dict[str, Any] = {  # the keys that a curve may hold about its data
    "name": str,
    "split": str,
    "examples": int,
    "binarize": Literal["none", "static", "dynamic"],
    "binarize_seed": int,
    "size": tuple[int, int],
    "held_out": int,
    "limit": int,
    "selection_seed": int,
    "stratified": bool,
}
FIGURES = {  # the further figures of a point: their names and formats in a table
    "samples": ("draws", "d"),
    "active_units": ("active_units", "d"),
    "psnr": ("psnr", ".2f"),
    "total_correlation": ("total_correlation", ".2f"),
    "mutual_information_gap": ("mutual_information_gap", ".3f"),
}
LOOP = 1e-3  # relative: how far a figure may move the wrong way in a curve that still counts as monotone

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RDPoint:
    """One point of a curve, at one β. Figures that were not measured are None and are not in the file.

    Attributes:
        beta: The β of the point.
        rate: The rate R in nats per example, averaged over the data.
        distortion: The distortion D in nats per example, averaged over the data.
        active_units: The number of latents in use (see `mrvae_zoo.rate_distortion`).
        psnr: The peak signal-to-noise ratio in dB, averaged over the images. Only Gaussian models with a data range
            have it.
        total_correlation: The total correlation KL(q(z) ‖ Π q(z_i)) in nats.
        mutual_information_gap: The mutual information gap on the sprites (see `mrvae_zoo.evaluation.disentanglement`).
        samples: The number of draws of z per example, if it differs from that of the curve.
        standard_error: The standard error of D, and so of L, due to the draws of z, in nats: how much another seed
            would change it. The data stay the same; other images would change the figures by more.
    """

    beta: float
    rate: float
    distortion: float
    active_units: int | None = None
    psnr: float | None = None
    total_correlation: float | None = None
    mutual_information_gap: float | None = None
    samples: int | None = None
    standard_error: float | None = None

    def __post_init__(self) -> None:
        optional = (self.psnr, self.total_correlation, self.mutual_information_gap, self.standard_error)
        figures = (self.beta, self.rate, self.distortion, *(figure for figure in optional if figure is not None))
        if not all(map(math.isfinite, figures)) or self.beta <= 0:
            raise ValueError(f"{self} should hold finite numbers and a positive beta")
        if self.active_units is not None and self.active_units < 0:
            raise ValueError(f"active_units={self.active_units} should be at least 0")
        if self.samples is not None and self.samples < 1:
            raise ValueError(f"samples={self.samples} should be at least 1")

    @property
    def loss(self) -> float:
        """The loss L_β = D + β·R in nats."""
        return self.distortion + self.beta * self.rate

    def __repr__(self) -> str:
        """Return the figures that were measured."""
        measured = [f"{key}={value:.6g}" for key in self.__slots__ if (value := getattr(self, key)) is not None]
        return f"RDPoint({', '.join(measured)})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RDCurve:
    """Rate and distortion as functions of β.

    Attributes:
        points: The points, in rising order of β.
        data: A description of the data that the curve was measured on, for example {"name": "mnist", "split": "test",
            "examples": 10000}.
        samples: The number of draws of z per example and β. If points have their own numbers, this is the largest.
        seed: The seed of these draws.
        latents: The statistics of the latents that were measured with the curve, or None. They are stored in a file of
            their own, latents.json.
    """

    points: tuple[RDPoint, ...]
    data: dict[str, Any] = field(default_factory=dict)
    samples: int = 1
    seed: int = 0
    latents: LatentTable | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("points is empty; a curve has at least one")
        if any(low.beta >= high.beta for low, high in itertools.pairwise(self.points)):
            raise ValueError("points should be sorted by rising beta")

    @property
    def draws(self) -> tuple[int, ...]:
        """The number of draws of z per example at each β."""
        return tuple(self.samples if point.samples is None else point.samples for point in self.points)

    @property
    def betas(self) -> tuple[float, ...]:
        """The measured values of β, in rising order."""
        return tuple(point.beta for point in self.points)

    @property
    def is_monotone(self) -> bool:
        """Whether a higher β always means a lower rate and a higher distortion (to within 0.1%).

        This holds at the optimum. The curve of a model that was trained for too short a time can turn back.
        """
        return all(
            high.rate <= low.rate + LOOP * abs(low.rate)
            and high.distortion >= low.distortion - LOOP * abs(low.distortion)
            for low, high in itertools.pairwise(self.points)
        )

    @property
    def exchange(self) -> tuple[float, ...]:
        """What a nat of rate buys between two neighbouring β, as a multiple of what it is worth there.

        It is −ΔD/ΔR divided by the geometric mean of the two β, and about 1 at the optimum, where dD = −β·dR. A value
        near 0 at the low end of a range means that rate is spent there for nothing: the range should begin higher. A
        value above 1 at the low end means that a lower β, or a longer training, would pay. Where the rate does not
        change it is infinite.
        """
        return tuple(
            math.inf
            if low.rate == high.rate
            else (high.distortion - low.distortion) / (low.rate - high.rate) / math.sqrt(low.beta * high.beta)
            for low, high in itertools.pairwise(self.points)
        )

    def columns(self) -> dict[str, list[str]]:
        """Return the curve as the columns of a table, by heading. Figures that no point has are left out."""
        columns = {
            "beta": [f"{point.beta:g}" for point in self.points],
            "rate": [f"{point.rate:.2f}" for point in self.points],
            "distortion": [f"{point.distortion:.2f}" for point in self.points],
            "loss": [f"{point.loss:.2f}" for point in self.points],
        }
        for key, (heading, style) in FIGURES.items():
            figures = [getattr(point, key) for point in self.points]
            if any(figure is not None for figure in figures):
                columns[heading] = ["" if figure is None else format(figure, style) for figure in figures]
        return columns

    def __repr__(self) -> str:
        """Return a heading and one line per β; figures are in nats per example."""
        columns = self.columns()
        shown = {key: columns[key] for key in ("beta", "rate", "distortion", "loss")}
        rows = [tuple(shown), *zip(*shown.values(), strict=True)]
        table = "\n".join("  ".join(cell.rjust(10) for cell in row) for row in rows)
        return f"RDCurve of {len(self.points)} β{self._measured_on()}, in nats per example\n{table}"

    def _repr_html_(self) -> str:
        """Return the table, and the plot if matplotlib is installed, for a notebook."""
        columns = self.columns()
        heading = "".join(f"<th>{html.escape(key)}</th>" for key in columns)
        rows = zip(*columns.values(), strict=True)
        cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
        table = f"<table><tr>{heading}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
        try:
            plot = public("draw_curve")(self, title="Rate and distortion", kind="svg").decode()
        except MissingExtraError:
            plot = ""
        return f"{plot[max(0, plot.find('<svg')) :]}{table}"

    def _measured_on(self) -> str:
        """Return a phrase like " on mnist (test)", or an empty string if the data are unknown."""
        name, split = (str(self.data[key]) if key in self.data else "" for key in ("name", "split"))
        return f" on {name}{f' ({split})' if split else ''}" if name else ""

    def at(self, beta: float) -> RDPoint:
        """Return the point at this β: a measured one, or rate and distortion interpolated between two.

        Between two measured points the curve is a straight line in log β, so it never leaves the range between them.
        `beta_for` is its inverse wherever the rate (or the distortion) changes strictly with β. The other figures are
        known only at measured points.

        Raises:
            ValueError: β is outside the curve.
        """
        low, high = self.betas[0], self.betas[-1]
        if not low <= beta <= high:
            raise ValueError(f"beta={beta} is outside the curve's [{low:g}, {high:g}]")
        right, share = between(self.betas, beta)
        after = self.points[right]
        if share == 1:
            return after
        before = self.points[right - 1]
        rate, distortion = (
            (1 - share) * first + share * second
            for first, second in ((before.rate, after.rate), (before.distortion, after.distortion))
        )
        return RDPoint(beta=beta, rate=rate, distortion=distortion)

    def beta_for(self, *, rate: float | None = None, distortion: float | None = None) -> float:
        """Return the β at which the model has this rate (or this distortion), in nats per example.

        Between two measured points the curve is a straight line in log β. If the curve is not monotone, several β can
        have this rate. The one with the lowest distortion (or the lowest rate) is returned, and a message is logged.

        Raises:
            ValueError: Neither or both are given, or the curve does not reach the value.
        """
        if (rate is None) == (distortion is None):
            raise ValueError("beta_for takes rate= or distortion=, and one of them")
        if rate is not None:
            return self._best_beta("rate", rate, cost="distortion")
        assert distortion is not None
        return self._best_beta("distortion", distortion, cost="rate")

    def _best_beta(self, name: str, target: float, *, cost: str) -> float:
        """Find all β at which the curve has `target`, and return the one where the other figure, `cost`, is lowest."""
        values = [getattr(point, name) for point in self.points]
        if not min(values) <= target <= max(values):
            raise ValueError(f"{name}={target} is outside the curve's [{min(values):.2f}, {max(values):.2f}] nats")
        found = [beta for beta, value in zip(self.betas, values, strict=True) if value == target]
        for (low, high), (before, after) in zip(
            itertools.pairwise(self.betas), itertools.pairwise(values), strict=True
        ):
            if (before - target) * (after - target) < 0:
                found.append(low * (high / low) ** ((target - before) / (after - before)))
        if not self.is_monotone:
            logger.warning(
                "this curve is not monotone in β, so several β can have one %s; the best of them is taken. A longer "
                "training gives a monotone curve",
                name,
            )
        return min(found, key=lambda beta: (getattr(self.at(beta), cost), -beta))

    def to_json(self) -> str:
        """Return the text of rd_curve.json."""
        return json.dumps(self.to_plain(), indent=1) + "\n"

    def to_plain(self) -> dict[str, Any]:
        """Return the curve as the plain data of rd_curve.json."""
        plain: dict[str, Any] = to_plain(replace(self, latents=None))
        del plain["latents"]
        plain["points"] = [{k: v for k, v in point.items() if v is not None} for point in plain["points"]]
        return plain

    @classmethod
    def from_json(cls, text: str, *, where: str = CURVE) -> "RDCurve":
        """Read a curve from the text of rd_curve.json; `where` names the file in messages.

        Raises:
            ValueError: The text is not JSON, or not a curve; the message names the key.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError(f"{where} is not JSON") from None
        if not isinstance(data, dict):
            raise ValueError(f"{where} should hold an object, with points")
        if "latents" in data:
            raise ValueError(f"{where}: unknown key latents; they have a file of their own")
        curve = from_mapping(cls, data, where=where)
        for key, kind in DATA_KEYS.items():
            if key in curve.data:
                check_value(curve.data[key], kind, where=where, key=f"data.{key}")
        return curve

    @classmethod
    def read(cls, path: Path) -> "RDCurve":
        """Read a curve from a file."""
        return cls.from_json(path.read_text(encoding="utf-8"), where=str(path))


def bits_of_point(point: RDPoint, config: "ModelConfig") -> float:
    """Return D + R of a point at β = 1 in bits per pixel and channel; see `mrvae_zoo.bits_per_dimension`.

    Raises:
        ValueError: The point is at another β, or the model takes images of any size.
    """
    if not math.isclose(point.beta, 1.0, rel_tol=1e-6):
        raise ValueError(f"beta={point.beta}: bits per dimension are a bound on -log p(x), which L is at beta=1 only")
    channels, height, width = config.input_shape
    if height is None or width is None:
        raise ValueError(f"input_shape={config.input_shape}: without a size there is no number of dimensions")
    dimensions = channels * height * width
    nats = point.distortion + point.rate
    if config.sigma is not None:
        nats += dimensions / 2 * math.log(2 * math.pi * config.sigma**2)
    return nats / (dimensions * math.log(2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The points of two curves at one β.

    Attributes:
        a: The point of the first curve, interpolated if it was not measured at this β.
        b: The point of the second curve, interpolated if it was not measured at this β.
        interpolated: The letters of the interpolated points: "", "a", "b" or "ab".
    """

    a: RDPoint
    b: RDPoint
    interpolated: str

    @property
    def loss_change(self) -> float | None:
        """The relative change in L_β from the first curve to the second: negative if the second is better.

        (L_β of the second − L_β of the first) / L_β of the first; None if that is 0.
        """
        return (self.b.loss - self.a.loss) / abs(self.a.loss) if self.a.loss else None


def compare_curves(a: RDCurve, b: RDCurve) -> list[Difference]:
    """Compare two curves at every β that one of them was measured at and both cover, in rising order.

    Raises:
        ValueError: The curves have no β in common.
    """
    low, high = max(a.betas[0], b.betas[0]), min(a.betas[-1], b.betas[-1])
    betas = sorted(beta for beta in {*a.betas, *b.betas} if low <= beta <= high)
    if not betas:
        spans = " and ".join(f"[{curve.betas[0]:g}, {curve.betas[-1]:g}]" for curve in (a, b))
        raise ValueError(f"the curves have no β in common: they were measured over {spans}")
    return [
        Difference(
            a=a.at(beta),
            b=b.at(beta),
            interpolated="".join(name for name, curve in (("a", a), ("b", b)) if beta not in curve.betas),
        )
        for beta in betas
    ]
