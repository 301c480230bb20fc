import math
from statistics import NormalDist

import pytest
import torch
from helpers import make_model

from mrvae_zoo.evaluation.estimates import RESAMPLES, estimate, resampling
from mrvae_zoo.evaluation.metrics.base import Metric, Part, from_callable

NETWORK = make_model("mrvae_mlp", "affine").at(1.0)


def part(values) -> Part:
    return Part(beta=1.0, mean=values, log_var=values, rate=values[:, 0].double(), network=NETWORK, seed=3)


VALUES = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0)) + 5
MEAN = Metric(name="mean", title="mean", prepare=lambda fit: lambda part: part.mean[:, 0])


def test_the_bootstrap_of_a_mean_is_its_standard_error():
    found = estimate(MEAN, MEAN.scorer(part(VALUES)), part(VALUES))
    expected = VALUES.std().item() / math.sqrt(2000)
    assert found.value == pytest.approx(VALUES.mean().item())
    assert found.error == pytest.approx(expected, rel=0.12)
    half = NormalDist().inv_cdf(0.975) * expected
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.3 * expected)


def test_the_jackknife_of_a_number_is_the_same_standard_error():
    metric = from_callable(lambda part: float(part.mean.mean()))
    found = estimate(metric, metric.scorer(part(VALUES)), part(VALUES))
    groups = torch.stack([VALUES[i::10].mean() for i in range(10)])
    assert found.error == pytest.approx(groups.std().item() / math.sqrt(10), rel=1e-4)  # exact for a mean
    assert found.high - found.value == pytest.approx(found.value - found.low)
    assert found.high - found.value == pytest.approx(2.262 * found.error, rel=1e-3)


def test_resamples_are_drawn_with_replacement_and_repeatable():
    weights = resampling(50, 1)
    assert weights.shape == (RESAMPLES, 50)
    assert (weights.sum(1) == 50).all()
    assert weights.max() > 2
    assert not torch.equal(weights[0], weights[1])
    resampling.cache_clear()
    assert torch.equal(weights, resampling(50, 1))
    assert not torch.equal(weights, resampling(50, 2))


def test_what_is_no_finite_number_is_an_error():
    bad = from_callable(lambda part: part.mean[:, 0] * math.nan)
    with pytest.raises(ValueError, match=r"at beta=1 is nan; expected a finite number"):
        estimate(bad, bad.scorer(part(VALUES)), part(VALUES))
    number = from_callable(lambda part: 1.0)
    with pytest.raises(ValueError, match="10 examples are too few for an interval; take at least 20 in each part"):
        estimate(number, number.scorer(part(VALUES)), part(VALUES[:10]))
