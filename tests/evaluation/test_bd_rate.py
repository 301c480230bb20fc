"""Bjøntegaard differences, against integrals that can be done by hand."""

import math
import sys

import numpy as np
import pytest

from mrvae_zoo import MissingExtraError, RDCurve, RDPoint, bd_distortion, bd_psnr, bd_rate


def make_curve(rates, distortions, psnrs=None) -> RDCurve:
    """Points at rising β, from high rates to low ones."""
    psnrs = [None] * len(rates) if psnrs is None else psnrs
    points = [
        RDPoint(beta=0.1 * (i + 1), rate=rate, distortion=distortion, psnr=psnr)
        for i, (rate, distortion, psnr) in enumerate(zip(rates, distortions, psnrs, strict=True))
    ]
    return RDCurve(points=tuple(points))


A = make_curve([80.0, 40.0, 20.0, 10.0], [10.0, 20.0, 30.0, 40.0])  # log rate is linear in distortion


def test_a_curve_of_nine_tenths_of_the_rate_saves_a_tenth():
    b = make_curve([72.0, 36.0, 18.0, 9.0], [10.0, 20.0, 30.0, 40.0])
    assert bd_rate(A, b) == pytest.approx(-0.1)
    assert bd_rate(b, A) == pytest.approx(1 / 0.9 - 1)
    assert bd_rate(A, A) == 0.0
    # Log R is −D·log 2 / 10 + a constant, so that a tenth less rate is 10·log(1/0.9)/log 2 nats less distortion.
    assert bd_distortion(A, b) == pytest.approx(10 * math.log(0.9) / math.log(2))


def test_straight_lines_that_cover_each_other_in_part():
    """Log R of b is log 80 − log 2 · (D − 15) / 5: half of the range is shared, and the mean is that of its middle."""
    b = make_curve([80.0, 40.0, 20.0, 10.0], [15.0, 20.0, 25.0, 30.0])
    middle = (15 + 30) / 2
    first, second = math.log(80) - math.log(2) * (middle - 10) / 10, math.log(80) - math.log(2) * (middle - 15) / 5
    assert bd_rate(A, b) == pytest.approx(math.exp(second - first) - 1)
    # At equal rate: from 80 to 10, D of a is 10 + 10·t and of b 15 + 5·t for t from 0 to 3 halvings.
    assert bd_distortion(A, b) == pytest.approx(5 - 5 * 1.5)


def hermite(x, y):
    """The integral of PCHIP over three points by hand: Fritsch and Butland's slopes, and the integral of each cubic."""
    h, d = np.diff(x), np.diff(y) / np.diff(x)
    w1, w2 = 2 * h[1] + h[0], h[1] + 2 * h[0]
    inner = (w1 + w2) / (w1 / d[0] + w2 / d[1])

    def end(h0, h1, d0, d1):
        slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
        assert np.sign(slope) == np.sign(d0)
        assert abs(slope) <= 3 * abs(d0)
        return slope

    slopes = [end(h[0], h[1], d[0], d[1]), inner, end(h[1], h[0], d[1], d[0])]
    return sum(h[i] * (y[i] + y[i + 1]) / 2 + h[i] ** 2 * (slopes[i] - slopes[i + 1]) / 12 for i in range(2))


def test_bent_curves_are_integrated_as_cubics():
    distortions = [10.0, 22.0, 40.0]
    rates, others = [90.0, 30.0, 12.0], [100.0, 25.0, 11.0]
    a, b = make_curve(rates, distortions), make_curve(others, distortions)
    mean = [hermite(np.array(distortions), np.log(some)) / 30 for some in (rates, others)]
    assert bd_rate(a, b) == pytest.approx(math.exp(mean[1] - mean[0]) - 1, rel=1e-10)


def test_where_all_points_have_a_psnr_it_is_what_counts():
    a = make_curve([80.0, 40.0, 20.0], [10.0, 50.0, 90.0], [30.0, 27.0, 24.0])
    b = make_curve([80.0, 40.0, 20.0], [10.0, 60.0, 90.0], [31.0, 28.0, 25.0])
    assert bd_rate(a, b) == pytest.approx(2 ** (-1 / 3) - 1)  # 3 dB are twice the rate
    assert bd_psnr(a, b) == pytest.approx(1.0)
    half = make_curve([80.0, 40.0, 20.0], [10.0, 60.0, 90.0], [31.0, None, 25.0])
    assert bd_rate(a, half) != pytest.approx(2 ** (-1 / 3) - 1)
    with pytest.raises(ValueError, match="a point of these curves has no PSNR; bd_distortion compares"):
        bd_psnr(a, half)


def test_points_that_others_beat_do_not_count():
    """A curve that turns back, and one that ends without any rate."""
    turned = make_curve([80.0, 45.0, 40.0, 20.0, 21.0, 10.0, 0.0], [10.0, 25.0, 20.0, 30.0, 35.0, 40.0, 41.0])
    assert bd_rate(A, turned) == pytest.approx(0.0, abs=1e-12)
    assert bd_distortion(A, turned) == pytest.approx(0.0, abs=1e-12)


def test_what_has_no_difference(monkeypatch):
    far = make_curve([80.0, 40.0], [100.0, 200.0])
    with pytest.raises(ValueError, match=r"no range of distortion in common: they cover \[10, 40\] and \[100, 200\]"):
        bd_rate(A, far)
    costly = make_curve([800.0, 400.0], [10.0, 40.0])
    with pytest.raises(ValueError, match=r"no range of rate in common: they cover \[10, 80\] and \[400, 800\]"):
        bd_distortion(A, costly)
    psnr = make_curve([80.0, 40.0], [1.0, 2.0], [30.0, 27.0]), make_curve([80.0, 40.0], [1.0, 2.0], [20.0, 17.0])
    with pytest.raises(ValueError, match=r"no range of PSNR in common: they cover \[27, 30\] and \[17, 20\]"):
        bd_rate(*psnr)
    with pytest.raises(ValueError, match="takes curves of two points or more; one has 1"):
        bd_rate(A, make_curve([80.0], [10.0]))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "scipy.interpolate", raising=False)
    with pytest.raises(MissingExtraError, match=r"scipy is not installed; install it with: pip install .*\[plots\]"):
        bd_rate(A, A)
