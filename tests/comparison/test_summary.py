import numpy as np
import pytest
import torch

from mrvae_zoo.comparison.summary import relative_gap


def losses(n=600, seed=0):
    """L of each image of two models: alike, and harder for one image than for another."""
    rng = np.random.default_rng(seed)
    dedicated = rng.lognormal(4.5, 0.3, n)
    ours = dedicated * 1.01 + rng.normal(0, 2, n)
    return torch.from_numpy(ours), torch.from_numpy(dedicated)


def test_the_gap_is_that_of_the_means():
    ours, dedicated = losses()
    gap, (low, high) = relative_gap(ours, dedicated)
    assert gap == pytest.approx(ours.mean().item() / dedicated.mean().item() - 1, rel=1e-12)
    assert (low + high) / 2 == pytest.approx(gap, rel=1e-9)


def test_the_interval_is_that_of_the_bootstrap_over_images():
    ours, dedicated = losses()
    gap, (low, high) = relative_gap(ours, dedicated)
    rng = np.random.default_rng(1)
    gaps = []
    for _ in range(4000):
        drawn = torch.from_numpy(rng.integers(0, len(ours), len(ours)))
        gaps.append(ours[drawn].mean().item() / dedicated[drawn].mean().item() - 1)
    width = np.subtract(*np.quantile(gaps, (0.975, 0.025)))
    assert high - low == pytest.approx(width, rel=0.06)  # a quantile of 4000 is good to about 2%
    assert low < gap < high


def test_what_images_have_in_common_does_not_widen_the_interval():
    _, dedicated = losses()
    for factor in (1.0, 1.1):
        gap, (low, high) = relative_gap(factor * dedicated, dedicated)
        assert gap == pytest.approx(factor - 1, abs=1e-12)
        assert high - low < 1e-12
    unpaired = dedicated[torch.randperm(len(dedicated), generator=torch.Generator().manual_seed(0))]
    low, high = relative_gap(unpaired, dedicated)[1]
    expected = 2 * 1.96 * (2**0.5) * dedicated.std().item() / len(dedicated) ** 0.5 / dedicated.mean().item()
    assert high - low == pytest.approx(expected, rel=0.1)


def test_one_image_has_no_spread():
    assert relative_gap(torch.tensor([3.0]).double(), torch.tensor([2.0]).double()) == (0.5, (0.5, 0.5))
