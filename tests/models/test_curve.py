import json
import math

import pytest
import torch

from mrvae_zoo import ModelConfig, RDCurve, RDPoint
from mrvae_zoo.evaluation.bits import bits_per_dimension
from mrvae_zoo.models.curve import compare_curves

CURVE = RDCurve(
    points=(
        RDPoint(beta=0.01, rate=100.0, distortion=50.0),
        RDPoint(beta=0.1, rate=60.0, distortion=52.0),
        RDPoint(beta=1.0, rate=25.0, distortion=68.0),
        RDPoint(beta=10.0, rate=4.0, distortion=145.0),
    ),
    data={"name": "mnist", "split": "test", "examples": 10000},
    samples=2,
    seed=3,
)


def test_the_loss_is_distortion_plus_beta_times_rate():
    assert CURVE.points[2].loss == 93.0
    assert CURVE.points[3].loss == 185.0
    assert CURVE.betas == (0.01, 0.1, 1.0, 10.0)


@pytest.mark.parametrize(
    ("rate", "beta"),
    [(100.0, 0.01), (60.0, 0.1), (4.0, 10.0), (80.0, math.sqrt(0.001)), (14.5, math.sqrt(10.0))],
)
def test_beta_for_a_rate_is_linear_in_log_beta(rate, beta):
    assert CURVE.beta_for(rate=rate) == pytest.approx(beta, rel=1e-9)


def test_beta_for_a_distortion():
    assert CURVE.beta_for(distortion=60.0) == pytest.approx(math.sqrt(0.1), rel=1e-9)
    assert CURVE.beta_for(distortion=50.0) == pytest.approx(0.01)
    betas = [CURVE.beta_for(distortion=d) for d in (50.5, 52, 67.9, 68.1, 100, 144)]
    assert betas == sorted(betas)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"rate": 101.0}, r"rate=101.0 is outside the curve's \[4.00, 100.00\] nats"),
        ({"rate": 3.9}, "outside the curve"),
        ({"rate": math.nan}, "outside the curve"),
        ({"distortion": 40.0}, r"distortion=40.0 is outside the curve's \[50.00, 145.00\]"),
        ({}, "rate= or distortion="),
        ({"rate": 20.0, "distortion": 70.0}, "one of them"),
    ],
)
def test_what_the_curve_cannot_answer_is_an_error(question, message):
    with pytest.raises(ValueError, match=message):
        CURVE.beta_for(**question)


def test_a_point_that_a_higher_beta_beats_is_left_out():
    """Here β = 0.01 spends more than 0.1 for a worse reconstruction: the answer lies between 0.1 and 1."""
    points = (RDPoint(beta=0.01, rate=110.0, distortion=53.0), *CURVE.points[1:])
    curve = RDCurve(points=points)
    assert curve.beta_for(distortion=60.0) == CURVE.beta_for(distortion=60.0)
    assert curve.beta_for(distortion=52.0) == pytest.approx(0.1)
    assert curve.beta_for(rate=110.0) == pytest.approx(0.01)
    with pytest.raises(ValueError, match=r"distortion=51.0 is outside the curve's \[52.00, 145.00\]"):
        curve.beta_for(distortion=51.0)


def test_a_curve_of_one_point_answers_for_it_alone():
    curve = RDCurve(points=CURVE.points[1:2])
    assert curve.beta_for(rate=60.0) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="outside"):
        curve.beta_for(rate=59.0)


def test_json_goes_both_ways_and_is_plain():
    text = CURVE.to_json()
    assert RDCurve.from_json(text) == CURVE
    assert json.loads(text)["points"][1] == {"beta": 0.1, "rate": 60.0, "distortion": 52.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "f.json is not JSON"),
        ("[" * 100_000, "f.json is not JSON"),
        ("[]", "should hold an object"),
        ("{}", "points is missing"),
        ('{"points": []}', "points is empty"),
        ('{"points": [{"beta": 1, "rate": 1}]}', r"points\[0\].distortion is missing"),
        ('{"points": [{"beta": 1, "rate": NaN, "distortion": 1}]}', "finite numbers"),
        ('{"points": [{"beta": -1, "rate": 1, "distortion": 1}]}', "positive beta"),
        ('{"points": [{"beta": 1, "rate": 1, "distortion": 1}], "more": 1}', "unknown key more"),
        (
            '{"points": [{"beta": 1, "rate": 1, "distortion": 1}, {"beta": 1, "rate": 2, "distortion": 1}]}',
            "sorted by rising beta",
        ),
    ],
)
def test_what_is_no_curve_is_an_error_that_names_the_file(text, message):
    with pytest.raises(ValueError, match=message) as error:
        RDCurve.from_json(text, where="f.json")
    assert "f.json" in str(error.value)


def test_a_curve_between_its_points_is_a_straight_line_in_log_beta():
    point = CURVE.at(math.sqrt(0.1))
    assert (point.rate, point.distortion) == (pytest.approx(42.5), pytest.approx(60.0))
    assert point.beta == math.sqrt(0.1)
    assert CURVE.at(0.1 * 10**0.25).rate == pytest.approx(60 - 35 / 4)
    for measured in CURVE.points:
        assert CURVE.at(measured.beta) is measured


def test_at_and_beta_for_are_inverse_and_monotone():
    betas = [0.01 * 1000 ** (i / 50) for i in range(1, 50)]
    points = [CURVE.at(beta) for beta in betas]
    assert [p.rate for p in points] == sorted((p.rate for p in points), reverse=True)
    assert [p.distortion for p in points] == sorted(p.distortion for p in points)
    for beta, point in zip(betas, points, strict=True):
        assert CURVE.beta_for(rate=point.rate) == pytest.approx(beta, rel=1e-9)
        assert CURVE.beta_for(distortion=point.distortion) == pytest.approx(beta, rel=1e-9)


@pytest.mark.parametrize("beta", [0.0099, 10.1, math.nan, 0.0, -1.0])
def test_a_beta_beyond_the_curve_is_an_error(beta):
    with pytest.raises(ValueError, match=r"outside the curve's \[0.01, 10\]"):
        CURVE.at(beta)


def test_figures_that_were_not_measured_are_not_in_the_file():
    known = RDPoint(beta=1.0, rate=1.0, distortion=2.0, active_units=0, psnr=20.5, total_correlation=0.0)
    curve = RDCurve(points=(RDPoint(beta=0.5, rate=1.0, distortion=2.0), known))
    plain = json.loads(curve.to_json())["points"]
    assert plain[0] == {"beta": 0.5, "rate": 1.0, "distortion": 2.0}
    assert plain[1]["active_units"] == 0
    assert (plain[1]["psnr"], plain[1]["total_correlation"]) == (20.5, 0.0)
    assert RDCurve.from_json(curve.to_json()) == curve


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("active_units", "3.5", "active_units=3.5 should be an integer"),
        ("active_units", "-1", "active_units=-1 should be at least 0"),
        ("psnr", "Infinity", "finite numbers"),
        ("total_correlation", "NaN", "finite numbers"),
        ("mutual_information_gap", "NaN", "finite numbers"),
    ],
)
def test_further_figures_are_checked(key, value, message):
    text = f'{{"points": [{{"beta": 1, "rate": 1, "distortion": 1, "{key}": {value}}}]}}'
    with pytest.raises(ValueError, match=message):
        RDCurve.from_json(text)


def test_bits_per_dimension_are_the_bound_in_bits():
    point = RDPoint(beta=1.0, rate=20.0, distortion=70.0)
    config = ModelConfig(architecture="a", input_shape=(2, 5, 3))
    assert bits_per_dimension(point, config) == pytest.approx(90 / 30 / math.log(2))


def test_bits_per_dimension_keep_the_constant_of_the_gaussian():
    """Against the entropy of white noise of the model's own variance: what D + R is for the best model of it."""
    sigma, dimensions = 0.05, 12
    config = ModelConfig(architecture="a", input_shape=(3, 2, 2), likelihood="gaussian", sigma=sigma)
    point = RDPoint(beta=1.0, rate=0.0, distortion=dimensions / 2)
    entropy = torch.distributions.Normal(0.0, sigma).entropy().item() / math.log(2)
    assert bits_per_dimension(point, config) == pytest.approx(entropy, rel=1e-6)
    assert entropy < 0


def test_bits_per_dimension_are_refused_where_they_are_none():
    config = ModelConfig(architecture="a", input_shape=(1, 2, 2))
    with pytest.raises(ValueError, match=r"beta=0.9: bits per dimension .* at beta=1 only"):
        bits_per_dimension(RDPoint(beta=0.9, rate=1.0, distortion=1.0), config)
    anywhere = ModelConfig(architecture="a", input_shape=(1, None, None))
    with pytest.raises(ValueError, match="without a size"):
        bits_per_dimension(RDPoint(beta=1.0, rate=1.0, distortion=1.0), anywhere)


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


def test_a_nat_of_an_optimal_linear_vae_buys_what_it_is_worth():
    """One latent of strength λ: R = ½ log(λ/β), D = β/2 (σ² = 1), so −ΔD/ΔR is the logarithmic mean of two β."""
    betas = (0.01, 0.011, 1.0, 1.1)
    curve = RDCurve(points=tuple(RDPoint(beta=b, rate=math.log(30 / b) / 2, distortion=b / 2) for b in betas))
    assert curve.exchange[0] == pytest.approx(1, abs=0.001)
    assert curve.exchange[1] == pytest.approx(0.989 / math.log(1 / 0.011) / math.sqrt(0.011))
    wasted = RDCurve(
        points=(RDPoint(beta=0.1, rate=20.0, distortion=9.0), RDPoint(beta=0.4, rate=10.0, distortion=9.0))
    )
    assert wasted.exchange == (0.0,)
    flat = RDCurve(points=(RDPoint(beta=0.1, rate=1.0, distortion=9.0), RDPoint(beta=0.4, rate=1.0, distortion=9.0)))
    assert flat.exchange == (math.inf,)
