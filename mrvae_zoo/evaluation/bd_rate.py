"""Bjøntegaard differences: how much rate one curve saves against another, as one number. Needs scipy.

Source: Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001, with the piecewise
cubic interpolation (PCHIP) that took the place of its polynomials in practice.
"""

import importlib.util
import math
from typing import Literal, NamedTuple

from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.models.curve import RDCurve

Quality = Literal["distortion", "psnr"]
FEWEST = 2  # points of a line


class _Front(NamedTuple):
    """The points of a curve that none of its others beats: cost strictly rises, and the logarithm of the rate falls.

    The cost is the distortion, or the negative PSNR.
    """

    cost: tuple[float, ...]
    log_rate: tuple[float, ...]


def bd_rate(a: RDCurve, b: RDCurve) -> float:
    """Return the mean relative change in rate from the first curve to the second at equal distortion (BD-rate).

    A value of −0.05 means that the second curve needs 5% fewer nats. It is exp(mean of log R_b − log R_a) − 1, where
    the mean is over the range of distortions that both curves cover. If all points of both curves have a PSNR, the mean
    is over PSNR instead, as is usual in compression. Between its points, log R is interpolated by monotone cubic pieces
    (PCHIP). Points with a rate of 0 are left out, and so are points that another point of the same curve beats.

    Example:
        change = mrvae_zoo.bd_rate(first.curve, second.curve)

    Raises:
        ValueError: The curves have no range of distortion in common, or one has fewer than two points.
        MissingExtraError: scipy is not installed.
    """
    quality = quality_of(a, b)
    fronts = (_front(a, quality), _front(b, quality))
    first, second = fronts
    low, high = max(first.cost[0], second.cost[0]), min(first.cost[-1], second.cost[-1])
    if low >= high:
        spans = (sorted(abs(end) for end in (front.cost[0], front.cost[-1])) for front in fronts)
        raise ValueError(_apart("PSNR" if quality == "psnr" else "distortion", *spans))
    means = [_mean(front.cost, front.log_rate, low, high) for front in fronts]
    return math.expm1(means[1] - means[0])


def bd_distortion(a: RDCurve, b: RDCurve) -> float:
    """Return the mean change in distortion from the first curve to the second at equal rate, in nats per example.

    Negative is better. The mean is over log R, in the range of rates that both curves cover; see `bd_rate`.

    Raises:
        ValueError: The curves have no range of rates in common, or one has fewer than two points.
        MissingExtraError: scipy is not installed.
    """
    return _at_equal_rate(_front(a, "distortion"), _front(b, "distortion"))


def bd_psnr(a: RDCurve, b: RDCurve) -> float:
    """Return the mean change in PSNR from the first curve to the second at equal rate, in dB.

    Positive is better. The mean is over log R, in the range of rates that both curves cover; see `bd_rate`.

    Raises:
        ValueError: A point has no PSNR, the curves have no range of rates in common, or one has fewer than two points.
        MissingExtraError: scipy is not installed.
    """
    if quality_of(a, b) != "psnr":
        raise ValueError("a point of these curves has no PSNR; bd_distortion compares their distortion")
    return -_at_equal_rate(_front(a, "psnr"), _front(b, "psnr"))


def quality_of(a: RDCurve, b: RDCurve) -> Quality:
    """Return what `bd_rate` compares two curves over: "psnr" if all their points have one, else "distortion"."""
    return "psnr" if all(point.psnr is not None for point in (*a.points, *b.points)) else "distortion"


def _front(curve: RDCurve, quality: Quality) -> _Front:
    points = [
        (point.distortion if quality == "distortion" or point.psnr is None else -point.psnr, point.rate)
        for point in curve.points
    ]
    kept: list[tuple[float, float]] = []
    for cost, rate in sorted(points):
        if rate > 0 and (not kept or math.log(rate) < kept[-1][1]):
            kept.append((cost, math.log(rate)))
    if len(kept) < FEWEST:
        raise ValueError(f"a Bjøntegaard difference takes curves of two points or more; one has {len(kept)}")
    return _Front(*zip(*kept, strict=True))


def _at_equal_rate(first: _Front, second: _Front) -> float:
    """Return the mean difference in cost over the log rates that both cover."""
    low, high = max(first.log_rate[-1], second.log_rate[-1]), min(first.log_rate[0], second.log_rate[0])
    if low >= high:
        spans = ([math.exp(front.log_rate[-1]), math.exp(front.log_rate[0])] for front in (first, second))
        raise ValueError(_apart("rate", *spans))
    means = [_mean(front.log_rate[::-1], front.cost[::-1], low, high) for front in (first, second)]
    return means[1] - means[0]


def _mean(x: tuple[float, ...], y: tuple[float, ...], low: float, high: float) -> float:
    """Return the mean of y over x from low to high."""
    if importlib.util.find_spec("scipy") is None:
        raise MissingExtraError("scipy", "plots")
    from scipy.interpolate import PchipInterpolator

    return float(PchipInterpolator(x, y).integrate(low, high)) / (high - low)


def _apart(name: str, first: list[float], second: list[float]) -> str:
    spans = " and ".join(f"[{low:.4g}, {high:.4g}]" for low, high in (first, second))
    return f"the curves have no range of {name} in common: they cover {spans}"
