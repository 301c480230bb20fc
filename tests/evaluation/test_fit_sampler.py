"""Fitting mixtures: what they are fitted to, how many components they get, and what cannot be fitted."""

import importlib

import numpy as np
import pytest
import torch
from helpers import make_images, make_model

import mrvae_zoo
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.evaluation import fit_sampler as module
from mrvae_zoo.evaluation.fit_sampler import aggregated_posterior
from mrvae_zoo.models.sampler import MixtureSampler

fit_sampler = module.fit_sampler


@pytest.fixture
def model():
    return make_model("mrvae_mlp", "shrinkage")


def blobs(n, *, seed=0):
    """Draws from three Gaussians in the plane, and the log-density of their mixture."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.tensor([0.5, 0.3, 0.2])
    means = torch.tensor([[0.0, 2.0], [3.0, -1.0], [-3.0, -2.0]])
    factors = torch.tensor([[[0.5, 0.0], [0.3, 0.2]], [[0.3, 0.0], [-0.2, 0.6]], [[0.4, 0.0], [0.0, 0.4]]])
    number = torch.multinomial(weights, n, replacement=True, generator=generator)
    noise = torch.randn(n, 2, 1, generator=generator)
    z = means[number] + (factors[number] @ noise).squeeze(-1)
    density = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(weights), torch.distributions.MultivariateNormal(means, scale_tril=factors)
    )
    return z.double(), density


def test_a_mixture_is_found_again():
    """Three components of 1, 2, 4: the fit to 4 is as likely as the truth, and its gain is that of a closed form."""
    z, density = blobs(20_000)
    found = module._fit(1.0, z, 32, 0)
    assert len(found.weights) == 4  # of 1, 2, 4 and 8
    prior = torch.distributions.Normal(0.0, 1.0)
    held_out = z[:2000]
    gain = density.log_prob(held_out.float()).mean() - prior.log_prob(held_out).sum(1).mean()
    assert found.gain == pytest.approx(gain.item(), abs=0.02)
    again = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(found.weights),
        torch.distributions.MultivariateNormal(found.means, scale_tril=found.cholesky),
    )
    other, _ = blobs(5000, seed=1)
    assert (again.log_prob(other.float()) - density.log_prob(other.float())).mean().abs() < 0.02
    assert len(module._fit(1.0, z, 2, 0).weights) == 2


def test_latents_that_are_the_prior_get_the_prior():
    z = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0)).double()
    found = module._fit(1.0, z, 32, 0)
    assert (found.weights.tolist(), found.gain) == ([1.0], 0.0)
    assert torch.equal(found.means, torch.zeros(1, 3))
    assert torch.equal(found.cholesky, torch.eye(3)[None])
    wider = module._fit(1.0, 1.2 * z, 32, 0)  # a Gaussian too, but another one
    assert len(wider.weights) == 1
    assert (wider.cholesky @ wider.cholesky.mT - 1.44 * torch.eye(3)).abs().max() < 0.1
    assert wider.gain == pytest.approx(3 * (0.22 - np.log(1.2)), abs=0.08)
    narrow = module._fit(1.0, 1.05 * z, 32, 0)  # hardly another one: not worth it
    assert narrow.gain == 0.0


def test_one_component_has_the_moments_of_the_draws(model, monkeypatch):
    monkeypatch.setattr(module, "WORTHWHILE", -100.0)  # of an untrained model, the latents are hardly unlike the prior
    x = make_images(model, 4000)
    sampler = fit_sampler(model, x, [0.02, 0.05], components=1)
    drawn = aggregated_posterior(model, x, [0.02, 0.05])
    assert sampler.betas == (0.02, 0.05)
    for mixture, z in zip(sampler.mixtures, drawn.double(), strict=True):
        order = torch.randperm(4000, generator=module.seeded_generator(0, 4000))
        kept = z[order][400:].numpy()
        assert mixture.means[0].numpy() == pytest.approx(kept.mean(0), abs=1e-5)
        covariance = (mixture.cholesky @ mixture.cholesky.mT)[0].numpy()
        assert covariance == pytest.approx(np.cov(kept.T, bias=True), abs=1e-5)


def test_draws_are_those_of_the_aggregated_posterior(model):
    """Their mean and spread are those that are measured with a curve: mean and standard deviation of q(z)."""
    x = make_images(model, 4000)
    betas = [0.05, 0.5, 5.0]
    z = aggregated_posterior(model, x, betas).double()
    assert z.shape == (3, 4000, 6)
    for measured, drawn in zip(mrvae_zoo.rate_distortion(model, x, betas).latents.points, z, strict=True):
        std = torch.tensor(measured.std).double()
        assert ((drawn.mean(0) - torch.tensor(measured.mean)).abs() < 5 * std / 4000**0.5).all()
        assert drawn.std(0).tolist() == pytest.approx(std.tolist(), rel=0.06)
    assert torch.equal(aggregated_posterior(model, x, betas[1:], examples=300), z[1:, :300].float())


def test_training_images_are_as_in_training_and_chosen_from_all(own_root):
    """Grey images of a recipe that binarises are binarised; of more images than wanted some are chosen."""
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 8, 8), latent_dim=3, widths=(8,)).eval()
    recipe = DataRecipe(name="mine", binarize="dynamic")
    data = mrvae_zoo.load_data(recipe, "train", own_root, model.input_shape)
    images = torch.cat([*module._training_images(data, model, 150, 0)])
    assert images.shape == (150, 1, 8, 8)
    data.images.fill_(100)
    drawn = torch.cat([*module._training_images(data, model, 400, 0)])
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert drawn.mean() == pytest.approx(100 / 255, abs=0.02)
    assert not torch.equal(drawn[:100], drawn[256:356])  # another draw in every chunk


def test_the_same_seed_gives_the_same_mixtures_and_progress_ends_at_one(model, monkeypatch):
    monkeypatch.setattr(module, "WORTHWHILE", -100.0)
    x, shares = make_images(model, 400), []
    first = fit_sampler(model, x, [0.02], components=1, progress=shares.append)
    for seed, same in ((0, True), (1, False)):
        again = fit_sampler(model, x, [0.02], components=1, seed=seed)
        assert torch.equal(first.mixtures[0].means, again.mixtures[0].means) == same
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_beta_are_those_of_the_curve_or_of_a_folded_model(model):
    x = make_images(model, 60)
    assert len(fit_sampler(model, x, components=1).betas) == 13
    model.curve = mrvae_zoo.rate_distortion(model, x, [0.1, 2.0])
    assert fit_sampler(model, x, components=1).betas == (0.1, 2.0)
    assert fit_sampler(model.at(0.7), x, components=1).betas == (0.7,)


def test_what_cannot_be_fitted(model, monkeypatch):
    spatial = make_model("mrvae_resnet_spatial", "shrinkage")
    for source, images, options, message in (
        (spatial, make_images(spatial, 2), {}, "this model has latents at many places of an image"),
        (model, make_images(model, 19), {}, "fitted to at least 20 images, but there are 19"),
        (model, make_images(model, 30)[:0], {}, "data holds no examples"),
        (model, make_images(model, 30), {"components": 0}, "components=0 should be at least 1"),
        (model, make_images(model, 30), {"examples": 0}, "examples=0 should be at least 1"),
        (model, make_images(model, 30), {"betas": []}, "betas is empty"),
        (model, make_images(model, 30), {"betas": [20.0]}, "beta=20.0 is outside this model's range"),
        (model, make_images(model, 30), {"betas": [1.0, 0.1]}, "sorted by rising β"),
        (model, make_images(model, 30)[:, :, :3], {}, "x has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_sampler(source, images, **options)
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "sklearn" else real(name, *rest)
    )
    with pytest.raises(mrvae_zoo.MissingExtraError, match=r"scikit-learn is not installed; .*mrvae-zoo\[sweep\]"):
        fit_sampler(model, make_images(model, 30))


def test_samples_of_a_mixture_are_nearer_to_the_data_than_those_of_the_prior(own_root):
    """Of a model of bars at a low β, which hardly uses the prior: by the distance to the nearest image of the data."""
    torch.manual_seed(0)
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 8, 8), latent_dim=3, widths=(32,)).train()
    data = mrvae_zoo.load_data("mine", "train", own_root, model.input_shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for x in [*data.batches(100)] * 40:
        out = model(x, 0.01)
        optimizer.zero_grad()
        (out.distortion + 0.01 * out.rate).mean().backward()
        optimizer.step()
    model.eval().sampler = fit_sampler(model, data, [0.01])
    assert isinstance(model.sampler, MixtureSampler)
    assert model.sampler.mixtures[0].gain > 0.5
    bars = torch.cat([*data.batches(400)]).flatten(1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        far = {
            name: torch.cdist(model.sample(400, 0.01, sampler=name, generator=generator).flatten(1), bars)
            .amin(1)
            .mean()
            for name in ("mixture", "prior")
        }
    assert far["mixture"] < 0.6 * far["prior"]
