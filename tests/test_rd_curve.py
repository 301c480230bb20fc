import json
import math

import pytest

from mrvae_zoo import RDCurve, RDPoint

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
    """Here β = 0.01 spends more than 0.1 for a worse picture: the answer lies between 0.1 and 1."""
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
