"""On the linear VAE at its optimum, where log p(x) is known in closed form."""

import math

import pytest
import torch
from helpers import make_images, make_model

from mrvae_zoo import create_model, rate_distortion
from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.evaluation.log_likelihood import importance_weighted_bound
from mrvae_zoo.models.curve import bits_of_point

SHAPE, LATENTS, SIGMA = (1, 3, 3), 4, 0.1


def correlated_images(n: int = 300) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(9, 9, generator=generator)
    pixels = torch.sigmoid(torch.randn(n, 9, generator=generator) @ maps)
    return ImageData(name="correlated", split="test", images=(pixels * 255).byte().view(n, *SHAPE))


def at_the_optimum(data: ImageData, *, inflated: float = 1.0):
    """A linear VAE with the encoder and the decoder of the β = 1 optimum, its posterior variance times `inflated`.

    Also log p(x) of each example under its decoder, from the density of the multivariate normal marginal of x.
    """
    x = torch.cat(list(data.batches(1000))).double().flatten(1)
    mean, covariance = x.mean(0), torch.cov(x.T, correction=0)
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0)[:LATENTS], vectors.flip(1)[:, :LATENTS]
    assert values[-1] > SIGMA**2
    gain = (values - SIGMA**2).sqrt()
    model = create_model(
        "mrvae_linear", input_shape=SHAPE, latent_dim=LATENTS, likelihood="gaussian", sigma=SIGMA, gating="affine"
    )
    plain = model.double().eval().at(1.0)
    with torch.no_grad():
        plain.encoder.mean.weight.copy_((vectors * gain / values).T)
        plain.encoder.mean.bias.copy_(-plain.encoder.mean.weight @ mean)
        plain.encoder.log_var.value.copy_((inflated * SIGMA**2 / values).log())
        plain.decoder.output.weight.copy_(vectors * gain)
        plain.decoder.output.bias.copy_(mean)
    decode = vectors * gain
    marginal = torch.distributions.MultivariateNormal(mean, decode @ decode.T + SIGMA**2 * torch.eye(9).double())
    return plain, marginal.log_prob(x)


def test_at_the_optimum_every_weight_is_the_likelihood_of_x():
    data = correlated_images()
    model, log_p = at_the_optimum(data)
    for samples, seed in ((1, 0), (1, 1), (7, 2)):
        bound = importance_weighted_bound(model, data, 1.0, samples=samples, seed=seed)
        assert bound == pytest.approx(log_p.mean().item(), rel=1e-6)
    one = ImageData(name="one", split="test", images=data.images[17:18])
    assert importance_weighted_bound(model, one, 1.0, samples=1) == pytest.approx(log_p[17].item(), rel=1e-6)


def test_with_an_inflated_posterior_it_rises_with_the_draws_to_the_likelihood():
    data = correlated_images()
    model, log_p = at_the_optimum(data, inflated=3.0)
    bounds = [importance_weighted_bound(model, data, 1.0, samples=samples) for samples in (1, 4, 16, 64, 1024)]
    assert bounds == sorted(bounds)
    assert bounds[-1] < log_p.mean().item()
    assert bounds[0] < log_p.mean().item() - 1.0
    assert bounds[-1] > log_p.mean().item() - 0.02


def test_one_draw_at_beta_1_is_the_negative_loss_with_its_constant():
    data = correlated_images()
    model, _ = at_the_optimum(data, inflated=2.0)
    (point,) = rate_distortion(model, data, [1.0], samples=400).points
    nats = bits_of_point(point, model.config) * 9 * math.log(2)
    draws = [importance_weighted_bound(model, data, 1.0, samples=1, seed=seed) for seed in range(100)]
    assert sum(draws) / 100 == pytest.approx(-nats, abs=0.05)


@pytest.mark.parametrize("architecture", ["mrvae_mlp", "mrvae_resnet_spatial"])
def test_it_is_the_log_mean_of_plain_weights(architecture):
    """Against densities from torch.distributions, an example and a draw at a time, at a β other than 1."""
    model = make_model(architecture, "affine", dtype=torch.float64)
    x = (make_images(model, 3) * 255).byte()
    data = ImageData(name="noise", split="test", images=x)
    bound = importance_weighted_bound(model, data, 2.5, samples=5, seed=4, batch_size=2)
    x = x.float() / 255
    shape = model.encode(x, 2.5).mean.shape
    generator = seeded_generator(4, 0)
    noises = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(5)]
    total = 0.0
    for i in range(3):
        weights = []
        for noise in noises:
            out = model(x[i : i + 1], 2.5, noise=noise[i : i + 1])
            q = torch.distributions.Normal(out.posterior.mean, (out.posterior.log_var / 2).exp())
            p = torch.distributions.Normal(0.0, 1.0)
            log_weight = -out.distortion.sum() + (p.log_prob(out.z) - q.log_prob(out.z)).sum()
            weights.append(log_weight.exp().item())
        total += math.log(sum(weights) / 5) / 3
    assert bound == pytest.approx(total, rel=1e-9)


def test_below_beta_06_it_is_not_offered():
    model = make_model("mrvae_mlp", "affine")
    data = ImageData(name="noise", split="test", images=(make_images(model, 2) * 255).byte())
    with pytest.raises(ValueError, match=r"beta=0.59 is below 0.6: the posterior there is so narrow"):
        importance_weighted_bound(model, data, 0.59)
    with pytest.raises(ValueError, match="samples=0 should be at least 1"):
        importance_weighted_bound(model, data, 1.0, samples=0)
    assert math.isfinite(importance_weighted_bound(model, data, 0.6, samples=2))
