import itertools
import math

import pytest
import torch
from helpers import make_images, make_model

import mrvae_zoo
from mrvae_zoo.evaluation.linear_optimum import LinearMaps, exact_loss, latents_in_use, linear_maps, optimal_loss

SIGMA, LATENTS, SHAPE, STEPS = math.sqrt(0.2), 6, (1, 2, 4), 3000


@pytest.fixture(scope="module")
def gaussian() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean (D,), covariance (D, D) and its eigenvalues, a factor 2 apart, of Gaussian data."""
    generator = torch.Generator().manual_seed(0)
    eigenvalues = 1.6 * 2.0 ** -torch.arange(8, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64, generator=generator)).Q
    mean = torch.randn(8, dtype=torch.float64, generator=generator)
    return mean, (rotation * eigenvalues) @ rotation.T, eigenvalues


@pytest.fixture(scope="module")
def trained(gaussian) -> mrvae_zoo.MultiRateVAE:
    """One training for every β, on the loss in closed form."""
    mean, covariance, _ = gaussian
    model = make_linear()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, betas=(0.9, 0.9))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        beta = mrvae_zoo.sample_beta(32, model.beta_range, torch.Generator().manual_seed(step)).double()
        maps = linear_maps(model, beta)
        loss = exact_loss(maps, beta, sigma=SIGMA, mean=mean, covariance=covariance)
        optimizer.zero_grad()
        (loss * beta**-0.5).mean().backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def make_linear() -> mrvae_zoo.MultiRateVAE:
    torch.manual_seed(0)
    options = {"likelihood": "gaussian", "sigma": SIGMA, "data_range": None}
    return mrvae_zoo.create_model("mrvae_linear", input_shape=SHAPE, latent_dim=LATENTS, **options).double()


@pytest.mark.slow
@torch.no_grad()
def test_one_training_reaches_the_optimum_at_every_beta(trained, gaussian):
    mean, covariance, eigenvalues = gaussian
    beta = torch.logspace(-2, 1, 10, dtype=torch.float64)
    losses = exact_loss(linear_maps(trained, beta), beta, sigma=SIGMA, mean=mean, covariance=covariance)
    for one, loss in zip(beta.tolist(), losses.tolist(), strict=True):
        optimum = optimal_loss(eigenvalues, one, sigma=SIGMA, latent_dim=LATENTS)
        assert optimum * (1 - 1e-9) <= loss <= optimum * 1.01, one


@pytest.mark.slow
def test_the_latents_in_use_are_those_that_theory_says(trained, gaussian):
    """At every β of the range that lies midway, in log, between two of the values at which a latent is given up."""
    _, _, eigenvalues = gaussian
    thresholds = (eigenvalues / SIGMA**2).tolist()
    betas = [math.sqrt(high * low) for high, low in itertools.pairwise(thresholds)]
    betas = [beta for beta in betas if 0.01 <= beta <= 10]
    expected = [latents_in_use(eigenvalues, beta, sigma=SIGMA, latent_dim=LATENTS) for beta in betas]
    assert len(set(expected)) >= 6
    for beta, count in zip(betas, expected, strict=True):
        plain = trained.at(beta)
        used_by_decoder = plain.decoder.output.weight.square().sum(0) > 0
        used_by_encoder = plain.encoder.mean.weight.square().sum(1) > 0
        informative = plain.encoder.log_var.value < 0
        assert used_by_decoder.sum() == used_by_encoder.sum() == informative.sum() == count, beta


@pytest.mark.parametrize("gating", ["linear", "affine", "paper", "paper_open"])
@torch.no_grad()
def test_the_exact_loss_is_what_sampling_approaches(gaussian, gating):
    mean, covariance, _ = gaussian
    options = {"likelihood": "gaussian", "sigma": SIGMA, "data_range": None, "gating": gating}
    torch.manual_seed(0)
    model = mrvae_zoo.create_model("mrvae_linear", input_shape=SHAPE, latent_dim=LATENTS, **options).double()
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    beta, generator = torch.tensor([0.7], dtype=torch.float64), torch.Generator().manual_seed(0)
    noise = torch.randn(400_000, len(mean), dtype=torch.float64, generator=generator)
    x = mean + noise @ torch.linalg.cholesky(covariance).T
    out = model(x.view(-1, *SHAPE), beta[0], generator=generator)
    losses = out.distortion + beta * out.rate
    standard_error = float(losses.std()) / math.sqrt(len(losses))
    exact = exact_loss(linear_maps(model, beta), beta, sigma=SIGMA, mean=mean, covariance=covariance)
    assert exact.item() == pytest.approx(losses.mean().item(), abs=4 * standard_error)


@pytest.mark.parametrize("beta", [0.01, 0.3, 2.0, 10.0])
@torch.no_grad()
def test_the_closed_form_optimum_is_that_of_the_optimal_network(gaussian, beta):
    """The network with the gains that theory gives; any other near it is worse."""
    mean, covariance, eigenvalues = gaussian
    noise = beta * SIGMA**2
    kept = latents_in_use(eigenvalues, beta, sigma=SIGMA, latent_dim=LATENTS)
    vectors = torch.linalg.eigh(covariance).eigenvectors.flip(-1)[:, :LATENTS]
    gain, log_var = torch.zeros(2, LATENTS, dtype=torch.float64)
    gain[:kept] = (eigenvalues[:kept] - noise).sqrt()
    log_var[:kept] = (noise / eigenvalues[:kept]).log()
    encode = (vectors * gain / eigenvalues[:LATENTS]).T
    maps = LinearMaps(*(m.unsqueeze(0) for m in (encode, -encode @ mean, log_var, vectors * gain, mean)))
    given = {"sigma": SIGMA, "mean": mean, "covariance": covariance}
    optimum = optimal_loss(eigenvalues, beta, sigma=SIGMA, latent_dim=LATENTS)
    assert exact_loss(maps, torch.tensor([beta]), **given).item() == pytest.approx(optimum, rel=1e-6)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        moved = (m + 0.01 * torch.randn(m.shape, generator=generator, dtype=m.dtype) for m in maps)
        assert exact_loss(LinearMaps(*moved), torch.tensor([beta]), **given).item() > optimum


def test_the_exact_response_is_open_at_every_beta_at_initialisation():
    model = mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 28, 28))
    assert model.config.gating == "linear"
    for beta in (0.01, 10.0):
        features = model.gating.features(model._check_beta(beta, None))
        assert model.encoder.mean.gate(features)[0].min() > 0.5
        assert model.decoder.output.gate(features)[0].min() > 0.5
        assert model.encoder.log_var(features).max() < 0


@pytest.mark.parametrize("gating", ["linear", "affine", "paper", "paper_open"])
def test_the_log_variance_depends_on_beta_alone(gating):
    model = make_model("mrvae_linear", gating)
    log_var = model.encode(make_images(model, 3), 0.3).log_var
    assert torch.equal(log_var[0], log_var[1])
    assert not torch.equal(log_var[0], model.encode(make_images(model, 3), 3.0).log_var[0])
