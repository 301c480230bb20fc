import math

import pytest
import torch
from torch.distributions import Bernoulli as BernoulliDistribution
from torch.distributions import Normal

from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.likelihoods import Bernoulli, Gaussian, make_likelihood


def test_bernoulli_is_minus_the_log_probability():
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(4, 2, 3, 3, generator=generator, dtype=torch.float64)
    x = torch.bernoulli(torch.full_like(logits, 0.4), generator=generator)
    expected = -BernoulliDistribution(logits=logits).log_prob(x).sum((1, 2, 3))
    assert torch.allclose(Bernoulli().distortion(logits, x), expected, rtol=1e-12)
    assert torch.allclose(Bernoulli().mean(logits), logits.sigmoid())


def test_bernoulli_of_grey_pixels_is_the_cross_entropy():
    """Which is the expected distortion of the binarised image."""
    logits, x = torch.tensor([[[[0.7]]]]), torch.tensor([[[[0.25]]]])
    p = 1 / (1 + math.exp(-0.7))
    expected = -(0.25 * math.log(p) + 0.75 * math.log(1 - p))
    assert Bernoulli().distortion(logits, x).item() == pytest.approx(expected, rel=1e-6)


def test_gaussian_is_minus_the_log_probability_without_the_constant():
    generator = torch.Generator().manual_seed(0)
    mean, x = torch.randn(2, 4, 2, 3, 3, generator=generator, dtype=torch.float64)
    likelihood = Gaussian(0.7, None)
    constant = 18 * math.log(0.7 * math.sqrt(2 * math.pi))
    expected = -Normal(mean, 0.7).log_prob(x).sum((1, 2, 3)) - constant
    assert torch.allclose(likelihood.distortion(mean, x), expected, rtol=1e-12)
    assert torch.equal(likelihood.mean(mean), mean)


def test_half_a_variance_gives_the_sum_of_squared_errors():
    mean, x = torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0, 0.5], [0.0, 0.25]]]])
    assert Gaussian(math.sqrt(0.5), (0.0, 1.0)).distortion(mean, x).item() == pytest.approx(1.3125)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.5, (0.0, 1.0))])
def test_distortion_is_float32_for_half_precision(likelihood):
    """Summing 50,000 pixels in bfloat16 would lose most of them."""
    output = torch.full((1, 1, 250, 200), 0.3).bfloat16()
    x = torch.ones(1, 1, 250, 200)
    distortion = likelihood.distortion(output, x)
    assert distortion.dtype == torch.float32
    assert distortion.item() == pytest.approx(likelihood.distortion(output.double(), x.double()).item(), rel=1e-4)


def test_the_config_names_the_likelihood():
    shape = {"architecture": "mrvae_mlp", "input_shape": (1, 2, 2)}
    assert make_likelihood(ModelConfig(**shape)) == Bernoulli()
    assert make_likelihood(ModelConfig(**shape, likelihood="gaussian", sigma=0.3)) == Gaussian(0.3, (0.0, 1.0))
