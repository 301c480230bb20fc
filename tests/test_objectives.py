import math

import pytest
import torch

from mrvae_zoo import Posterior, VAEOutput, sample_beta
from mrvae_zoo.objectives import beta_vae_loss


def test_beta_is_stratified_and_log_uniform():
    """One draw in each of n equal parts of log β, uniform within it, in random order."""
    generator = torch.Generator().manual_seed(0)
    within = []
    for _ in range(500):
        beta = sample_beta(20, (0.01, 10.0), generator)
        assert beta.shape == (20,)
        assert beta.dtype == torch.float32
        position = (beta.double().log() - math.log(0.01)) / math.log(1000) * 20
        stratum = position.floor().clamp(0, 19)
        assert torch.equal(stratum.sort().values, torch.arange(20, dtype=torch.float64))
        within.append(position - stratum)
    within = torch.cat(within)
    assert within.mean().item() == pytest.approx(0.5, abs=0.01)
    assert within.var().item() == pytest.approx(1 / 12, abs=0.003)
    assert not torch.equal(beta, beta.sort().values)


def test_a_generator_makes_beta_repeatable():
    draws = [sample_beta(8, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_beta_stays_in_the_range_that_a_model_checks():
    beta = sample_beta(100_000, (0.01, 10.0), torch.Generator().manual_seed(0))
    assert beta.min() >= torch.tensor(0.01)
    assert beta.max() <= 10.0


@pytest.mark.parametrize(("n", "beta_range"), [(0, (0.1, 1)), (4, (0, 1)), (4, (1, 1)), (4, (1, math.inf))])
def test_a_wrong_range_is_an_error(n, beta_range):
    with pytest.raises(ValueError, match="should be"):
        sample_beta(n, beta_range)


def test_the_loss_is_weighted_by_a_power_of_beta():
    nothing = torch.zeros(2, 1)
    rate, distortion = torch.tensor([10.0, 4.0]), torch.tensor([50.0, 100.0])
    output = VAEOutput(nothing, Posterior(nothing, nothing), nothing, rate, distortion)
    beta = torch.tensor([1.0, 16.0])
    assert beta_vae_loss(output, beta, weighting=0.0).item() == pytest.approx((60 + 164) / 2)
    assert beta_vae_loss(output, beta, weighting=0.25).item() == pytest.approx((60 + 164 / 2) / 2)
