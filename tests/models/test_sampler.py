"""Drawing from mixtures: where the draws lie, which mixture is used, and what a file of mixtures must hold."""

import copy
import math

import pytest
import torch
from helpers import make_model, off_by

import mrvae_zoo
from mrvae_zoo.models.sampler import LatentMixture, MixtureSampler

Z = 6  # latents of the models of `make_model`


def make_mixture(beta, *, components=3, latents=Z, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(components, generator=generator) + 0.2
    factors = torch.randn(components, latents, latents, generator=generator).tril(-1) * 0.3
    return LatentMixture(
        beta=beta,
        gain=1.5,
        weights=weights / weights.sum(),
        means=torch.randn(components, latents, generator=generator),
        cholesky=factors + torch.diag(torch.linspace(0.1, 1.0, latents)),
    )


@pytest.fixture
def sampler():
    return MixtureSampler(mixtures=tuple(make_mixture(beta, seed=i) for i, beta in enumerate((0.1, 1.0, 10.0))))


@pytest.fixture
def model(sampler):
    model = make_model("mrvae_mlp", "shrinkage")
    model.sampler = sampler
    return model


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def test_draws_have_the_moments_of_the_mixture(sampler):
    n = 200_000
    z = sampler.draw(torch.full((n,), 1.0), seeded()).double()
    mixture = sampler.mixtures[1]
    weights, means, factors = (each.double() for each in (mixture.weights, mixture.means, mixture.cholesky))
    mean = weights @ means
    centred = means - mean
    covariance = (weights[:, None, None] * (factors @ factors.mT + centred[:, :, None] * centred[:, None, :])).sum(0)
    spread = covariance.diagonal().sqrt()
    assert ((z.mean(0) - mean).abs() < 5 * spread / math.sqrt(n)).all()
    assert ((z.T.cov() - covariance).abs() < 0.02 * spread[:, None] * spread).all()


def test_each_component_is_drawn_as_often_as_it_weighs():
    """Against torch.distributions, with components so far apart that each draw tells its own."""
    mixture = LatentMixture(
        beta=1.0,
        gain=0.0,
        weights=torch.tensor([0.1, 0.0, 0.6, 0.3]),
        means=torch.tensor([[0.0], [100.0], [200.0], [300.0]]),
        cholesky=torch.ones(4, 1, 1),
    )
    z = MixtureSampler(mixtures=(mixture,)).draw(torch.full((20_000,), 1.0), seeded())
    found = (z / 100).round().long().flatten().bincount(minlength=4) / len(z)
    assert found.tolist() == pytest.approx([0.1, 0.0, 0.6, 0.3], abs=0.02)
    uniform = torch.tensor([0.0, 0.0999, 0.1001, 0.6999, 0.7001, 1 - 2**-24])
    assert (mixture.placed(uniform, torch.zeros(6, 1)) / 100).flatten().tolist() == [0, 0, 2, 2, 3, 3]


def test_the_nearest_in_log_beta_is_used(sampler):
    found = [sampler.nearest(beta).beta for beta in (0.01, 0.31, 0.32, 1.0, 3.16, 3.17, 50.0)]
    assert found == [0.1, 0.1, 1.0, 1.0, 1.0, 10.0, 10.0]
    assert sampler.at(0.3).betas == (0.1,)


def test_a_model_with_mixtures_draws_from_them_and_else_from_the_prior(model, sampler):
    for beta in (0.2, 5.0):
        expected = model.decode(sampler.draw(torch.full((5,), beta), seeded()), beta)
        assert torch.equal(model.sample(5, beta, generator=seeded()), expected)
        assert torch.equal(model.sample(5, beta, sampler="mixture", generator=seeded()), expected)
        prior = model.decode(torch.randn(5, Z, generator=seeded()), beta)
        assert torch.equal(model.sample(5, beta, sampler="prior", generator=seeded()), prior)
        assert off_by(expected, prior) > 0.01
    model.sampler = None
    assert torch.equal(
        model.sample(5, 0.2, generator=seeded()), model.sample(5, 0.2, sampler="prior", generator=seeded())
    )


def test_one_beta_per_image_is_one_call_per_beta(model):
    betas = torch.tensor([0.05, 9.0, 0.05, 1.1])
    together = model.sample(4, betas, generator=seeded())
    for beta in (0.05, 9.0, 1.1):
        rows = torch.isclose(betas, torch.tensor(beta))
        assert off_by(together[rows], model.sample(4, beta, generator=seeded())[rows]) < 1e-5


def test_a_folded_model_keeps_the_mixture_of_its_beta(model, tmp_path):
    plain = model.at(0.5)
    assert plain.sampler.betas == (1.0,)
    expected = model.sample(4, 0.5, generator=seeded())
    assert off_by(plain.sample(4, generator=seeded()), expected) < 1e-5
    mrvae_zoo.save_pretrained(plain, tmp_path)
    loaded = mrvae_zoo.load_pretrained(f"local-dir:{tmp_path}")
    assert torch.equal(loaded.sample(4, generator=seeded()), plain.sample(4, generator=seeded()))
    assert torch.equal(copy.deepcopy(plain).sample(4, generator=seeded()), plain.sample(4, generator=seeded()))


def test_half_precision_and_a_generator_of_its_own_do(model):
    assert model.to(torch.bfloat16).sample(3, 1.0, generator=seeded()).dtype == torch.bfloat16
    torch.manual_seed(0)
    first, second = model.sample(3, 1.0), model.sample(3, 1.0)
    assert not torch.equal(first, second)


def test_what_cannot_be_drawn(model):
    spatial = make_model("mrvae_resnet_spatial", "shrinkage")
    with pytest.raises(ValueError, match=r"has no mixture .*use sampler='prior'; its latents have places"):
        spatial.sample(1, 1.0, size=(16, 16), sampler="mixture")
    with pytest.raises(ValueError, match="sampler='normal' should be one of 'mixture', 'prior', or None"):
        model.sample(1, 1.0, sampler="normal")
    for n, beta, size, message in (
        (0, 1.0, None, "n=0 should be at least 1"),
        (2, 11.0, None, r"beta=11.* is outside this model's range"),
        (2, None, None, "beta is missing"),
        (2, [1.0, 1.0, 1.0], None, r"beta"),
        (2, 1.0, (8, 8), "this model has a size of its own"),
    ):
        with pytest.raises(ValueError, match=message):
            model.sample(n, beta, size=size)
    model.sampler = None
    with pytest.raises(ValueError, match=r"this model has no mixture .*; fit one with model\.sampler ="):
        model.sample(1, 1.0, sampler="mixture")
    with pytest.raises(ValueError, match="sorted by rising β"):
        MixtureSampler(mixtures=(make_mixture(1.0), make_mixture(0.1)))
    with pytest.raises(ValueError, match="same number of latents"):
        MixtureSampler(mixtures=(make_mixture(0.1), make_mixture(1.0, latents=5)))
    assert repr(MixtureSampler(mixtures=(make_mixture(0.1),))) == "MixtureSampler(1 mixtures, β from 0.1 to 0.1, Z = 6)"


def test_tensors_hold_all_of_a_sampler(sampler):
    tensors = sampler.to_tensors()
    assert set(tensors) == {"betas", "gains", *(f"{k}.{i}" for k in ("weights", "means", "cholesky") for i in range(3))}
    assert all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in tensors.values())
    assert tensors["cholesky.0"].shape == (3, Z * (Z + 1) // 2)
    again = MixtureSampler.from_tensors(tensors, Z)
    assert again.betas == pytest.approx(sampler.betas)
    for ours, theirs in zip(again.mixtures, sampler.mixtures, strict=True):
        assert ours.gain == theirs.gain
        for name in ("weights", "means", "cholesky"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))


def without(name):
    return lambda tensors: tensors.pop(name)


def put(name, change):
    return lambda tensors: tensors.update({name: change(tensors.get(name))})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("betas"), "tensor betas is missing"),
        (without("gains"), "tensor gains is missing"),
        (without("weights.1"), r"tensor weights\.1 is missing"),
        (without("means.2"), r"tensor means\.2 is missing"),
        (without("cholesky.0"), r"tensor cholesky\.0 is missing"),
        (put("more", lambda _: torch.zeros(1)), "tensor more is not part of a sampler with 3 β"),
        (put("weights.3", lambda _: torch.ones(1)), r"tensor weights\.3 is not part of a sampler with 3 β"),
        (put("means.0", lambda old: old[:, :5]), r"tensor means\.0 has shape \(3, 5\); expected \(3, 6\)"),
        (put("cholesky.0", lambda old: old[:2]), r"tensor cholesky\.0 has shape \(2, 21\); expected \(3, 21\)"),
        (put("weights.0", lambda old: old[None]), r"tensor weights\.0 has shape \(1, 3\); expected \(3,\)"),
        (put("gains", lambda old: old[:2]), r"tensor gains has shape \(2,\); expected \(3,\)"),
        (put("betas", lambda old: old[:0]), r"tensor betas has shape \(0,\); expected \(M,\), at least one"),
        (put("betas", lambda old: old.flip(0)), "tensor betas is .*; expected rising positive numbers"),
        (put("betas", lambda old: -old.flip(0)), "tensor betas is .*; expected rising positive numbers"),
        (put("means.1", lambda old: old.double()), r"tensor means\.1 is torch\.float64; expected torch\.float32"),
        (put("means.1", lambda old: old * math.nan), r"tensor means\.1 holds values that are not finite"),
        (put("weights.1", lambda old: old * 2), r"tensor weights\.1 should hold weights that sum to 1"),
        (put("weights.1", lambda old: torch.tensor([1.5, -0.5, 0.0])), r"tensor weights\.1 should hold weights"),
        (put("cholesky.1", lambda old: -old), r"tensor cholesky\.1 should have a positive diagonal"),
    ],
)
def test_other_tensors_are_an_error_that_names_them(sampler, spoil, message):
    tensors = sampler.to_tensors()
    spoil(tensors)
    with pytest.raises(ValueError, match=message):
        MixtureSampler.from_tensors(tensors, Z)
