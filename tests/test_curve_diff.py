import pytest

from mrvae_zoo import RDCurve, RDPoint
from mrvae_zoo.models.curve import compare_curves


def curve(*points: tuple[float, float, float]) -> RDCurve:
    return RDCurve(points=tuple(RDPoint(beta=beta, rate=rate, distortion=dist) for beta, rate, dist in points))


def test_two_curves_at_the_same_betas():
    a, b = curve((0.1, 20, 80), (1, 10, 90)), curve((0.1, 30, 70), (1, 10, 95))
    low, high = compare_curves(a, b)
    assert (low.a, low.b, low.interpolated) == (a.points[0], b.points[0], "")
    assert low.loss_change == pytest.approx((73 - 82) / 82)
    assert high.loss_change == pytest.approx(0.05)


def test_a_beta_that_one_lacks_is_interpolated_in_log_beta():
    a, b = curve((0.01, 20, 80), (1, 10, 90)), curve((0.1, 30, 70), (10, 10, 95))
    first, second = compare_curves(a, b)  # 0.01 and 10 are beyond one of them
    assert (first.a.beta, second.a.beta) == (0.1, 1)
    assert (first.interpolated, second.interpolated) == ("a", "b")
    assert (first.a.rate, first.a.distortion) == (pytest.approx(15), pytest.approx(85))
    assert first.b == b.points[0]
    assert second.b.rate == pytest.approx(20)


def test_curves_without_a_beta_in_common_are_told():
    with pytest.raises(ValueError, match=r"no β in common: they were measured over \[0.1, 0.1\] and \[1, 1\]"):
        compare_curves(curve((0.1, 1, 1)), curve((1, 1, 1)))


def test_a_loss_of_zero_has_no_share():
    (one,) = compare_curves(curve((1, 0, 0)), curve((1, 1, 0)))
    assert one.loss_change is None
