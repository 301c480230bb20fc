"""The interval of a gap, against the bootstrap, against figures worked out by hand, and in a simulation."""

import sys

import numpy as np
import pytest
import torch

from mrvae_zoo.comparison.interval import NORMAL_95, check_scipy, intervals, relative_gap, student_95
from mrvae_zoo.errors import MissingExtraError


def losses(n=600, seed=0):
    """L of each image of two models: alike, and harder for one image than for another."""
    rng = np.random.default_rng(seed)
    dedicated = rng.lognormal(4.5, 0.3, n)
    ours = dedicated * 1.01 + rng.normal(0, 2, n)
    return torch.from_numpy(ours), torch.from_numpy(dedicated)


def test_the_gap_is_that_of_the_means():
    ours, dedicated = losses()
    assert relative_gap(ours, dedicated)[0] == pytest.approx(
        ours.mean().item() / dedicated.mean().item() - 1, rel=1e-12
    )


def test_the_error_is_that_of_the_bootstrap_over_images():
    ours, dedicated = losses()
    rng = np.random.default_rng(1)
    gaps = []
    for _ in range(4000):
        drawn = torch.from_numpy(rng.integers(0, len(ours), len(ours)))
        gaps.append(ours[drawn].mean().item() / dedicated[drawn].mean().item() - 1)
    width = np.subtract(*np.quantile(gaps, (0.975, 0.025)))
    assert 2 * NORMAL_95 * relative_gap(ours, dedicated)[1] == pytest.approx(width, rel=0.06)  # a quantile: about 2%


def test_what_images_have_in_common_adds_no_error():
    _, dedicated = losses()
    for factor in (1.0, 1.1):
        gap, error = relative_gap(factor * dedicated, dedicated)
        assert gap == pytest.approx(factor - 1, abs=1e-12)
        assert error < 1e-12
    unpaired = dedicated[torch.randperm(len(dedicated), generator=torch.Generator().manual_seed(0))]
    expected = (2**0.5) * dedicated.std().item() / len(dedicated) ** 0.5 / dedicated.mean().item()
    assert relative_gap(unpaired, dedicated)[1] == pytest.approx(expected, rel=0.1)


def test_one_image_has_no_spread():
    assert relative_gap(torch.tensor([3.0]).double(), torch.tensor([2.0]).double()) == (0.5, 0.0)


def test_the_half_width_by_hand():
    """Spreads of 3% and 4% over three seeds at two β: pooled √((9 + 16) / 2)%, and t of 4 degrees is 2.776."""
    (low, high), other = intervals((0.01, -0.02), (0.001, 0.02), (0.03, 0.04), seeds=3)
    over_trainings = 2.7764451 * (0.00125**0.5) / 3**0.5
    half = ((1.959964 * 0.001) ** 2 + over_trainings**2) ** 0.5
    assert (low, high) == pytest.approx((0.01 - half, 0.01 + half), rel=1e-6)
    assert half == pytest.approx(0.0567, abs=1e-4)
    half = ((1.959964 * 0.02) ** 2 + over_trainings**2) ** 0.5
    assert other == pytest.approx((-0.02 - half, -0.02 + half), rel=1e-6)


@pytest.mark.parametrize(("degrees", "end"), [(1, 12.7062), (2, 4.3027), (18, 2.1009), (10_000, 1.9602)])
def test_student(degrees, end):
    """From a printed table."""
    assert student_95(degrees) == pytest.approx(end, abs=1e-4)


def test_the_interval_holds_the_gap_as_often_as_it_says():
    """Two seeds at ten β, as in a real comparison, of a true gap of 1%."""
    rng, spread, error, held = np.random.default_rng(0), 0.005, 0.002, 0
    for _ in range(400):
        seeds = 0.01 + rng.normal(0, spread, (2, 10))
        found = seeds.mean(0) + rng.normal(0, error, 10)
        each = intervals(found, [error] * 10, seeds.std(0, ddof=1), seeds=2)
        held += sum(low <= 0.01 <= high for low, high in each)
    assert held / 4000 == pytest.approx(0.95, abs=0.015)


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    for call in (check_scipy, lambda: intervals((0.0,), (0.0,), (0.0,), seeds=2)):
        with pytest.raises(MissingExtraError, match=r"scipy is not installed; .*mrvae-zoo\[plots\]"):
            call()
