"""The parts of the rate, against enumeration, closed forms and themselves. In float64."""

import itertools
import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from mrvae_zoo import Posterior
from mrvae_zoo.evaluation.total_correlation import decompose


def make_posterior(n, latents=3, *, seed=0):
    """Posteriors that overlap, of different widths."""
    generator = torch.Generator().manual_seed(seed)
    mean, log_var = torch.randn(2, n, latents, generator=generator, dtype=torch.float64)
    return Posterior(mean, log_var - 0.5)


def enumerated(z, mean, log_var):
    """log q(z) (b,) and log q(z_j) (b, Z), with q the even mixture of all posteriors."""
    even = Categorical(torch.ones(len(mean), dtype=z.dtype))
    parts = Normal(mean, (0.5 * log_var).exp())
    together = MixtureSameFamily(even, Independent(parts, 1)).log_prob(z)
    mixtures = [
        MixtureSameFamily(even, Normal(parts.loc[:, j], parts.scale[:, j])).log_prob(z[:, j]) for j in range(z.shape[1])
    ]
    return together, torch.stack(mixtures, dim=1)


def log_posterior(z, mean, log_var):
    return Normal(mean, (0.5 * log_var).exp()).log_prob(z).sum(1)


def log_prior(z):
    return Normal(torch.zeros_like(z), torch.ones_like(z)).log_prob(z)


def close(value, reference):
    return torch.allclose(value, reference, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_mean_density_over_all_batches_with_an_example_is_exact(size):
    """Also of each latent, and wherever in the batch the example stands."""
    n = 6
    mean, log_var = make_posterior(n)
    z = Posterior(mean, log_var).sample(torch.Generator().manual_seed(1))
    exact, exact_each = enumerated(z, mean, log_var)
    for example in range(n):
        own = z[example : example + 1]
        densities, each = [], []
        for batch in itertools.combinations(range(n), size):
            if example not in batch:
                continue
            index = torch.tensor(batch)
            where = {"examples": n, "start": batch.index(example)}
            information, _, _ = decompose(own, mean[index], log_var[index], **where)
            densities.append((log_posterior(own, mean[example], log_var[example]) - information).exp())
            kls = [decompose(own[:, [j]], mean[index][:, [j]], log_var[index][:, [j]], **where)[2] for j in range(3)]
            each.append((torch.cat(kls) + log_prior(own)[0]).exp())
        assert len(densities) == math.comb(n - 1, size - 1)
        assert close(torch.cat(densities).mean().log(), exact[example])
        assert close(torch.stack(each).mean(0).log(), exact_each[example])


def test_with_the_data_set_as_the_batch_the_parts_are_enumerated():
    mean, log_var = make_posterior(40)
    z = Posterior(mean, log_var).sample(torch.Generator().manual_seed(1))
    together, each = enumerated(z, mean, log_var)
    parts = decompose(z, mean, log_var, examples=40)
    assert close(parts.mutual_information, log_posterior(z, mean, log_var) - together)
    assert close(parts.total_correlation, together - each.sum(1))
    assert close(parts.dimension_wise_kl, each.sum(1) - log_prior(z).sum(1))


@pytest.mark.parametrize("examples", [16, 1000])
def test_the_parts_add_up_whatever_is_estimated(examples):
    mean, log_var = make_posterior(16)
    z = Posterior(mean, log_var).sample(torch.Generator().manual_seed(1))
    parts = decompose(z, mean, log_var, examples=examples)
    assert all(part.shape == (16,) for part in parts)
    assert close(torch.stack(parts).sum(0), log_posterior(z, mean, log_var) - log_prior(z).sum(1))


def test_of_one_latent_there_is_no_total_correlation():
    mean, log_var = make_posterior(16, latents=1)
    assert decompose(mean, mean, log_var, examples=100).total_correlation.abs().max() == 0


def test_a_part_of_the_batch_has_its_share_of_the_parts():
    mean, log_var = make_posterior(12)
    z = Posterior(mean, log_var).sample(torch.Generator().manual_seed(1))
    whole = decompose(z, mean, log_var, examples=50)
    pieces = [decompose(z[i : i + 5], mean, log_var, examples=50, start=i) for i in (0, 5, 10)]
    for part, split in zip(whole, zip(*pieces, strict=True), strict=True):
        assert close(torch.cat(split), part)


def test_correlated_gaussians_have_the_parts_of_the_closed_form():
    """With means from N(0, S), evenly drawn, and posteriors of variance v, q(z) nears N(0, S + v·I)."""
    n, variance = 2048, 0.25
    spread = torch.tensor([[1.0, 0.9], [0.9, 1.5]], dtype=torch.float64)
    noise = torch.special.ndtri(torch.quasirandom.SobolEngine(4, scramble=True, seed=0).draw(n, dtype=torch.float64))
    mean = noise[:, :2] @ torch.linalg.cholesky(spread).mT
    posterior = Posterior(mean, torch.full_like(mean, math.log(variance)))
    parts = decompose(posterior.displaced(noise[:, 2:]), *posterior, examples=n)
    total = spread + variance * torch.eye(2, dtype=torch.float64)
    each = total.diagonal()
    expected = (
        0.5 * (total.logdet() - 2 * math.log(variance)),
        0.5 * (each.log().sum() - total.logdet()),
        0.5 * (each - 1 - each.log()).sum(),
    )
    assert [part.mean().item() for part in parts] == pytest.approx([value.item() for value in expected], rel=0.01)


def test_the_places_of_a_spatial_model_are_latents():
    mean, log_var = make_posterior(8, latents=12)
    flat = decompose(mean + 0.1, mean, log_var, examples=20)
    places = decompose(*(t.unflatten(1, (3, 2, 2)) for t in (mean + 0.1, mean, log_var)), examples=20)
    assert all(torch.equal(a, b) for a, b in zip(flat, places, strict=True))


def test_half_precision_is_computed_in_float32():
    mean, log_var = (t.bfloat16() for t in make_posterior(8))
    z = (mean + 0.5).bfloat16()
    parts = decompose(z, mean, log_var, examples=20)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = decompose(z, mean, log_var, examples=20)
    exact = decompose(z.double(), mean.double(), log_var.double(), examples=20)
    for part, same, reference in zip(parts, under_autocast, exact, strict=True):
        assert part.dtype == torch.float32
        assert torch.equal(part, same)
        assert torch.allclose(part.double(), reference, rtol=1e-5, atol=1e-5)


def test_an_example_that_stands_in_the_batch_twice_counts_twice():
    mean, log_var = make_posterior(5)
    z = mean + 0.3
    once = decompose(z, mean, log_var, examples=5)
    twice = decompose(z, mean.repeat(2, 1), log_var.repeat(2, 1), examples=5)
    assert all(close(a, b) for a, b in zip(once, twice, strict=True))


@pytest.mark.parametrize(
    ("z", "mean", "start", "message"),
    [
        ((1, 3), (1, 3), 0, "a batch of one example; take at least 2"),
        ((4, 3), (4, 2), 0, r"z \(4, 3\) from 0 on, mean \(4, 2\) .* do not go together"),
        ((4, 3), (6, 3), 3, "do not go together"),
        ((4, 3), (6, 3), -1, "do not go together"),
    ],
)
def test_what_does_not_go_together_is_an_error(z, mean, start, message):
    with pytest.raises(ValueError, match=message):
        decompose(torch.zeros(z), torch.zeros(mean), torch.zeros(mean), examples=10, start=start)
