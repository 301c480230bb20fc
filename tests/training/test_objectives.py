import math
import re

import numpy as np
import pytest
import torch
from helpers import make_images, make_model
from torch.distributions import Normal

from mrvae_zoo import Posterior, VAEOutput, sample_beta
from mrvae_zoo.common.noise import Noise
from mrvae_zoo.evaluation.total_correlation import decompose
from mrvae_zoo.training.batches import draw_beta
from mrvae_zoo.training.objectives import GlobalBatch, beta_tcvae, beta_vae, weigh
from mrvae_zoo.training.recipe import ObjectiveRecipe, recipe_from_table
from mrvae_zoo.training.train import train


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


@pytest.mark.parametrize("beta_range", [(0.01, 10.0), (0.5, 7.3), (1e-3, 100.0)])
def test_shares_at_the_ends_are_exact_and_the_rest_is_log_uniform(beta_range):
    low, high = (torch.tensor(end) for end in beta_range)
    given = {"progress": 1.0, "min_share": (0.9, 0.3), "max_share": 1 / 7}
    beta = sample_beta(1000, beta_range, torch.Generator().manual_seed(0), **given)
    assert beta.dtype == torch.float32
    assert ((beta == low).sum().item(), (beta == high).sum().item()) == (300, 100)
    assert not torch.equal(beta, beta.sort().values)
    between = beta[(beta != low) & (beta != high)].double().sort().values
    position = (between.log() - math.log(low)) / math.log(high / low)
    assert (position * 600 - torch.arange(600) - 0.5).abs().max() < 0.51  # one in each of 600 equal parts


@pytest.mark.parametrize("skew", [0.5, 0.8, 2.0])
def test_between_the_ends_the_place_of_beta_is_a_power_of_a_uniform_one(skew):
    """Stratified before the power: the k-th of 600 lies between (k/600)^skew and ((k+1)/600)^skew."""
    given = {"progress": 0.0, "min_share": (0.3, 0.1), "max_share": 1 / 7, "skew": skew}
    beta = sample_beta(1000, (0.01, 10.0), torch.Generator().manual_seed(0), **given)
    low = torch.tensor(0.01)
    assert ((beta == low).sum().item(), (beta == 10).sum().item()) == (300, 100)
    between = beta[(beta != low) & (beta != 10)].double().sort().values
    uniform = ((between.log() - math.log(0.01)) / math.log(1000)) ** (1 / skew)
    assert (uniform * 600 - torch.arange(600) - 0.5).abs().max() < 0.51


def test_a_batch_that_holds_no_whole_share_has_it_on_average():
    """Of 8 examples 0.9 and 2.6 are at the ends: some batches one more than others."""
    generator, counts = torch.Generator().manual_seed(0), torch.zeros(2)
    for _ in range(2000):
        shares = {"min_share": (0.9 / 8, 0.9 / 8), "max_share": 2.6 / 7.1}
        beta = sample_beta(8, generator=generator, progress=0.5, **shares)
        low, high = (beta == torch.tensor(0.01)).sum().item(), (beta == 10).sum().item()
        assert low in (0, 1)
        assert high in (2, 3)
        counts += torch.tensor([low, high])
    assert (counts / 2000).tolist() == pytest.approx([0.9, 2.6], abs=0.05)


@pytest.mark.parametrize("n", [1, 7, 128])
def test_without_shares_the_draw_is_what_it_was(n):
    """Its log-uniform formula, to the last bit."""
    for seed in range(50):
        generator = torch.Generator().manual_seed(seed)
        stratum = torch.randperm(n, generator=generator)
        position = (stratum + torch.rand(n, generator=generator)) / n
        before = (math.log(0.01) + (math.log(10) - math.log(0.01)) * position).exp().clamp(0.01, 10.0)
        for given in ({}, {"progress": 0.7, "min_share": (0.0, 0.0), "max_share": 0.0, "skew": 1.0}):
            assert torch.equal(sample_beta(n, (0.01, 10.0), torch.Generator().manual_seed(seed), **given), before)


@pytest.mark.parametrize(
    ("given", "shares"),
    [
        ({}, [0.95, 0.7375, 0.525, 0.3125, 0.1]),
        ({"min_share": (0.8, 0.0)}, [0.8, 0.6, 0.4, 0.2, 0.0]),
        ({"min_share": (0.8, 0.0), "max_share": 0.0}, [0.8, 0.6, 0.4, 0.2, 0.0]),
        ({"min_share": (1.0, 0.2), "min_fall": "cosine"}, [1.0, 0.6 + 0.4 / 2**0.5, 0.6, 0.6 - 0.4 / 2**0.5, 0.2]),
    ],
)
def test_the_share_at_the_lowest_beta_falls_with_the_progress_of_a_training(given, shares):
    generator, low = torch.Generator().manual_seed(0), torch.tensor(0.01)
    for progress, share in zip((0.0, 0.25, 0.5, 0.75, 1.0), shares, strict=True):
        beta = sample_beta(10_000, generator=generator, progress=progress, **given)
        assert (beta == low).sum().item() == pytest.approx(10_000 * share, abs=1)
        at_max = 10_000 * (1 - share) * given.get("max_share", 0.1)
        assert (beta == 10).sum().item() == pytest.approx(at_max, abs=1)
        between = beta[(beta != low) & (beta != 10)].double().sort().values
        position = (between.log() - math.log(0.01)) / math.log(1000)
        even = (torch.arange(len(position)) + 0.5) / max(1, len(position))
        assert torch.allclose(position, even.double(), atol=2 / max(1, len(position)))  # the rest is log-uniform


@pytest.mark.parametrize("progress", [-0.1, 1.1, math.nan])
def test_a_progress_that_is_none_is_an_error(progress):
    with pytest.raises(ValueError, match=f"progress={progress} should be between 0 and 1"):
        sample_beta(4, progress=progress)


def draws(sampling, count, *, batch, first=0, size=None, progress=0.0, **density):
    """The β of a batch, or of a part of it, at each of the first steps."""
    uniform = {"beta_min_share": (0.0, 0.0), "beta_max_share": 0.0}
    objective = ObjectiveRecipe(beta_sampling=sampling, **uniform | density)
    seed = torch.tensor(0)
    noises = (Noise(seed, torch.tensor(step), size or batch, first) for step in range(count))
    done = torch.tensor(progress)
    return torch.stack([draw_beta(noise, objective, (0.01, 10.0), batch, done) for noise in noises])


def test_batches_of_one_beta_are_at_the_ends_as_often():
    drawn = draws("batch", 2000, batch=3, progress=0.5, beta_min_share=(0.4, 0.2), beta_max_share=1 / 7)
    assert (drawn == drawn[:, :1]).all()
    assert (drawn[:, 0] == torch.tensor(0.01)).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert (drawn[:, 0] == 10).float().mean().item() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("min_share", [(-0.1, 0.0), (0.0, -0.1), (1.1, 0.0), (math.nan, 0.0), (0.0, math.nan)])
def test_shares_that_are_none_are_an_error(min_share):
    message = f"beta_min_share={list(min_share)} should be two shares between 0 and 1, at the start and at the end"
    with pytest.raises(ValueError, match=re.escape(message)):
        sample_beta(4, progress=0.5, min_share=min_share)


@pytest.mark.parametrize("max_share", [-0.1, 1.1, math.nan])
def test_a_share_at_the_highest_beta_that_is_none_is_an_error(max_share):
    message = f"beta_max_share={max_share} should be a share between 0 and 1"
    with pytest.raises(ValueError, match=message):
        sample_beta(4, progress=0.5, min_share=(0.5, 0.1), max_share=max_share)


@pytest.mark.parametrize("skew", [0.0, -1.0, math.inf, math.nan])
def test_a_skew_that_is_none_is_an_error(skew):
    with pytest.raises(ValueError, match=f"beta_skew={skew} should be a number above 0"):
        sample_beta(4, skew=skew)


def test_one_beta_a_batch_is_log_uniform():
    beta = draws("batch", 2000, batch=3)
    assert beta.shape == (2000, 3)
    assert beta.dtype == torch.float32
    assert (beta == beta[:, :1]).all()
    drawn = (beta[:, 0].log() - math.log(0.01)) / math.log(1000)
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.02)
    assert drawn.var().item() == pytest.approx(1 / 12, abs=0.005)


def test_a_stratified_draw_has_one_beta_in_each_part():
    position = (draws("stratified", 200, batch=9).log() - math.log(0.01)) / math.log(1000) * 9
    assert torch.equal(position.floor().clamp(0, 8).sort(dim=1).values, torch.arange(9.0).expand(200, 9))
    assert len(position.floor().argsort(dim=1)[:, 0].unique()) == 9  # in random order
    assert (position % 1).mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("sampling", ["stratified", "batch"])
def test_a_part_of_a_batch_has_its_part_of_the_betas(sampling):
    density = {"beta_min_share": (0.4, 0.3), "beta_max_share": 0.3, "beta_skew": 0.7}
    whole = draws(sampling, 5, batch=9, **density)
    for first in (0, torch.tensor(6)):
        part = draws(sampling, 5, batch=9, first=first, size=3, **density)
        assert torch.equal(part, whole[:, int(first) : int(first) + 3])


def test_the_density_is_that_of_sample_beta():
    given = {"progress": 0.3, "min_share": (0.6, 0.1), "max_share": 0.3, "skew": 0.7, "min_fall": "cosine"}
    theirs = sample_beta(900, (0.01, 10.0), torch.Generator().manual_seed(0), **given).sort().values
    density = {f"beta_{name}": value for name, value in given.items() if name != "progress"}
    ours = draws("stratified", 1, batch=900, progress=0.3, **density)[0].sort().values
    assert torch.allclose(ours.log(), theirs.log(), atol=0.2)


def test_the_loss_is_weighted_by_a_power_of_beta():
    beta = torch.tensor([1.0, 16.0])
    loss = beta_vae.loss(make_output(2), beta, GlobalBatch(examples=2))
    assert loss.tolist() == [50.0 + 10.0, 49.0 + 16 * 9.0]
    assert weigh(loss, beta, 0.0).item() == pytest.approx((60 + 193) / 2)
    assert weigh(loss, beta, 0.25).item() == pytest.approx((60 + 193 / 2) / 2)


@pytest.mark.parametrize("shape", [(), (4, 1), (2,)])
def test_what_an_objective_gives_is_one_loss_an_example(shape):
    with pytest.raises(ValueError, match=r"expected \(4,\), one loss an example"):
        weigh(torch.zeros(shape), torch.ones(4), 0.0)


# β-TCVAE


def make_output(n: int, *, seed: int = 0) -> VAEOutput:
    """What a model of three latents might give, in float64: rates from 10 nats down, distortions from 50."""
    generator = torch.Generator().manual_seed(seed)
    mean, log_var, noise = torch.randn(3, n, 3, generator=generator, dtype=torch.float64)
    posterior = Posterior(mean.requires_grad_(), log_var.requires_grad_())
    falling = torch.arange(n, dtype=torch.float64)
    return VAEOutput(torch.zeros(n, 1), posterior, posterior.displaced(noise), 10 - falling, 50 - falling)


def part_of(output: VAEOutput, part: slice) -> VAEOutput:
    """The output of a process that has this part of the batch."""
    reconstruction, (mean, log_var), z, rate, distortion = output
    posterior = Posterior(mean[part], log_var[part])
    return VAEOutput(reconstruction[part], posterior, z[part], rate[part], distortion[part])


def test_beta_weighs_the_total_correlation_alone():
    output, batch = make_output(6), GlobalBatch(examples=40)
    information, correlation, kl = decompose(output.z, *output.posterior, examples=40)
    assert correlation.abs().min() > 1e-3
    for beta in (1.0, 7.0):
        loss = beta_tcvae.loss(output, torch.full((6,), beta), batch)
        assert torch.allclose(loss, output.distortion + information + beta * correlation + kl, rtol=1e-12)


def test_at_beta_one_it_is_a_one_sample_estimate_of_distortion_and_rate():
    output = make_output(6)
    loss = beta_tcvae.loss(output, torch.ones(6), GlobalBatch(examples=40))
    mean, log_var = output.posterior
    rate = (Normal(mean, (0.5 * log_var).exp()).log_prob(output.z) - Normal(0, 1).log_prob(output.z)).sum(1)
    assert torch.allclose(loss, output.distortion + rate, rtol=1e-12)


def test_the_loss_of_an_example_reaches_the_posteriors_of_all():
    output = make_output(6)
    beta_tcvae.loss(output, torch.full((6,), 5.0), GlobalBatch(examples=40))[2].backward()
    for tensor in output.posterior:
        assert (tensor.grad.abs().sum(1) > 0).all()


def test_two_processes_have_the_losses_and_the_gradient_of_one():
    beta = torch.full((6,), 5.0)
    whole = make_output(6)
    expected = beta_tcvae.loss(whole, beta, GlobalBatch(examples=40))
    expected.sum().backward()
    halves = make_output(6)
    mean, log_var = halves.posterior
    losses = []
    for part in (slice(0, 2), slice(2, 6)):

        def gather(own, part=part):
            (whole,) = (tensor for tensor in (mean, log_var) if torch.equal(tensor[part], own))
            return whole

        batch = GlobalBatch(examples=40, start=part.start, gather=gather)
        losses.append(beta_tcvae.loss(part_of(halves, part), beta[part], batch))
    torch.cat(losses).sum().backward()
    assert torch.allclose(torch.cat(losses), expected, rtol=1e-12)
    for ours, theirs in zip(halves.posterior, whole.posterior, strict=True):
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("architecture", ["mrvae_mlp", "mrvae_resnet_spatial"])
def test_every_parameter_of_a_model_has_a_finite_gradient(architecture):
    model = make_model(architecture, "affine")
    x, beta = make_images(model, 4), torch.full((4,), 5.0)
    beta_tcvae.loss(model(x, beta), beta, GlobalBatch(examples=100)).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert all(model.encoder.get_parameter(name).grad.any() for name, _ in model.encoder.named_parameters())


@pytest.mark.slow
def test_beta_tcvae_loses_correlation_where_the_beta_vae_loses_information(tmp_path):
    """Images of a row and a column, each one of four; 60 epochs of 8 steps."""
    n, generator = 512, torch.Generator().manual_seed(0)
    row, column = torch.randint(4, (2, n, 1, 1), generator=generator)
    places = torch.arange(8) // 2
    images = ((places.view(8, 1) == row) ^ (places == column)).numpy().astype("uint8")
    (tmp_path / "BinarizedMNIST").mkdir()
    for split in ("train", "test"):
        np.savez(tmp_path / "BinarizedMNIST" / f"{split}.npz", images=images)

    parts = {}
    for name in ("beta_vae", "beta_tcvae"):
        table = {
            "model": {"architecture": "mrvae_mlp", "input_shape": [1, 8, 8], "latent_dim": 4, "widths": [64]},
            "data": {"name": "binarized_mnist"},
            "objective": {"name": name, "beta_sampling": "batch", "beta_min_share": [0.0, 0.0], "beta_max_share": 0.0},
            "training": {"epochs": 60, "batch_size": 64, "learning_rate": 5e-3, "ema": 0.99},
        }
        table["model"]["beta_range"] = [1.0, 20.0]
        model = train(recipe_from_table(table, where=name), tmp_path, tmp_path / name)
        x = torch.from_numpy(images).unsqueeze(1).float()
        for beta in (1.0, 20.0):
            with torch.no_grad():
                output = model(x, beta, generator=torch.Generator().manual_seed(0))
            exact = decompose(output.z, *output.posterior, examples=n)
            parts[name, beta] = [part.mean().item() for part in exact[:2]]
    for name in ("beta_vae", "beta_tcvae"):
        (information, before), (kept, after) = parts[name, 1.0], parts[name, 20.0]
        assert after < 0.25 * before
        assert information > 0.6 * math.log(16)
        if name == "beta_tcvae":
            assert kept > 0.5 * math.log(16)
        else:
            assert kept < 0.2 * math.log(16)
