import math
from dataclasses import replace

import pytest
import torch

from mrvae_zoo import RDCurve, RDPoint, create_model
from mrvae_zoo.data.sprites import FACTORS, draw, grid
from mrvae_zoo.evaluation.disentanglement import gap, latent_information, mutual_information_gap, with_gaps
from mrvae_zoo.models.posterior import Posterior

SIZES = {"colour": 3, "size": 4, "place": 5}
GRID = torch.cartesian_prod(*(torch.arange(size) for size in SIZES.values())).double()
NARROW = -12.0


Latent = tuple[torch.Tensor, torch.Tensor | float]


def posteriors(*latents: Latent) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log-variance (N, Z) of latents given each by its own."""
    mean = torch.stack([means for means, _ in latents], dim=1)
    return mean, torch.stack([torch.zeros_like(means) + log_var for means, log_var in latents], dim=1)


def by_quadrature(latent: Latent, factor: int) -> float:
    """I(z; v) of one latent, the entropies integrated over z."""
    mean, log_var = (each[:, 0] for each in posteriors(latent))
    z = torch.linspace(mean.min() - 14, mean.max() + 14, 40_001, dtype=torch.float64)
    density = torch.distributions.Normal(mean.unsqueeze(1), (log_var / 2).exp().unsqueeze(1)).log_prob(z).exp()

    def entropy(weights: torch.Tensor) -> float:
        mixture = weights @ density / weights.sum()
        return -torch.trapezoid(torch.xlogy(mixture, mixture), z).item()

    values = GRID[:, factor]
    groups = [(values == value).double() for value in values.unique()]
    return entropy(torch.ones(len(GRID), dtype=torch.float64)) - sum(map(entropy, groups)) / len(groups)


def test_the_information_is_the_difference_of_the_entropies():
    """For latents that tell two factors partly and overlap, against quadrature."""
    colour, size, place = GRID.T
    latents = [(1.5 * colour + 0.4 * place, 0.0), (torch.sin(size * place), -2.0), (0.1 * place, colour - 2 * size / 3)]
    found = latent_information(*posteriors(*latents), SIZES, samples=60_000, seed=1)
    for k, values in enumerate(found.values()):
        for latent, value in zip(latents, values.tolist(), strict=True):
            assert value == pytest.approx(by_quadrature(latent, k), abs=0.015)
    assert min(found["colour"][0], found["place"][1], found["size"][2]) > 0.05  # not a comparison of zeros


def test_one_latent_a_factor_has_the_full_gap():
    """Also where others hold noise, and in any order."""
    latents = [(GRID[:, k], NARROW) for k in (2, 0, 1)] + [(torch.zeros(len(GRID)).double(), 0.0)]
    information = latent_information(*posteriors(*latents), SIZES, samples=500)
    result = gap(information, SIZES)
    assert result.score == pytest.approx(1, abs=1e-6)
    for (name, size), own in zip(SIZES.items(), (1, 2, 0), strict=True):
        for j, value in enumerate(result.information[name]):
            assert value == pytest.approx(math.log(size) if j == own else 0, abs=0.01)


def test_a_factor_that_two_latents_share_has_no_gap():
    latents = [(GRID[:, k], NARROW) for k in (0, 0, 1, 1, 2)]
    result = gap(latent_information(*posteriors(*latents), SIZES, samples=600), SIZES)
    assert (result.gaps["colour"], result.gaps["size"]) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    assert result.gaps["place"] == pytest.approx(1, abs=1e-6)
    assert result.score == pytest.approx(1 / 3, abs=1e-6)


def test_latents_that_all_hold_the_same_mixture_have_no_gap():
    mixture = GRID @ torch.tensor([1.0, 3.1, 12.7], dtype=torch.float64)
    result = gap(latent_information(*posteriors(*[(mixture, NARROW)] * 4), SIZES, samples=600), SIZES)
    assert result.score == pytest.approx(0, abs=1e-9)
    assert min(result.information["place"]) > 1  # each tells of everything


def test_noise_tells_nothing():
    nothing = torch.zeros(len(GRID)).double()
    result = gap(latent_information(*posteriors((nothing, 0.0), (nothing + 2, -1.0)), SIZES, samples=300), SIZES)
    assert result.score == pytest.approx(0, abs=1e-12)
    assert max(map(max, result.information.values())) < 1e-12


def test_draws_are_repeatable_and_their_seed_matters():
    latents = posteriors((GRID[:, 0], 0.0), (GRID[:, 1], 0.0))
    first, second, other = (latent_information(*latents, SIZES, samples=70, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first["colour"], second["colour"])
    assert not torch.equal(first["colour"], other["colour"])


def test_a_model_that_reads_the_factors_off_the_sprites_has_the_full_gap(monkeypatch):
    """An encoder that knows every image, its latents at narrow places: encoding keeps the order of the grid."""
    model = create_model("mrvae_mlp", input_shape=(1, 32, 32), latent_dim=6, widths=(4,)).eval()
    weights = torch.rand(32 * 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    keys, order = (draw(grid()).flatten(1).double() @ weights).sort()

    def encode(network, x):
        at = torch.searchsorted(keys, (x * 255).round().flatten(1).double() @ weights - 1e-6)
        means = torch.cat([grid()[order[at]].float(), torch.zeros(len(x), 1)], dim=1)
        return Posterior(means, torch.full_like(means, NARROW))

    monkeypatch.setattr("mrvae_zoo.models.vae.FixedRateVAE.encode", encode)
    shares = []
    result = mutual_information_gap(model, 1.0, samples=100, progress=shares.append)
    assert list(result.gaps) == list(FACTORS)
    assert result.score == pytest.approx(1, abs=1e-5)
    assert shares[-1] == 1


def test_an_untrained_model_has_nearly_none():
    torch.manual_seed(0)
    model = create_model("mrvae_mlp", input_shape=(1, 32, 32), latent_dim=3, widths=(8,)).eval()
    assert 0 <= mutual_information_gap(model, 0.1, samples=64).score < 0.01


@pytest.mark.slow
def test_a_curve_gains_the_gap_at_each_beta():
    torch.manual_seed(0)
    model = create_model("mrvae_mlp", input_shape=(1, 32, 32), latent_dim=2, widths=(8,)).eval()
    points = tuple(RDPoint(beta=beta, rate=1.0, distortion=2.0, psnr=3.0) for beta in (0.1, 1.0))
    shares = []
    curve = with_gaps(model, RDCurve(points=points, seed=4), seed=1, progress=shares.append)
    for before, point in zip(points, curve.points, strict=True):
        gap_here = mutual_information_gap(model, point.beta, seed=1).score
        assert point == replace(before, mutual_information_gap=gap_here)
    assert curve.seed == 4
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_what_it_cannot_measure_is_an_error():
    model = create_model("mrvae_mlp", input_shape=(1, 28, 28), latent_dim=3, widths=(8,)).eval()
    with pytest.raises(ValueError, match=r"measured on the sprites, .*this model takes \(1, 28, 28\)"):
        mutual_information_gap(model, 1.0)
    with pytest.raises(ValueError, match="the model has one"):
        gap({"colour": torch.ones(1)}, {"colour": 3})
    mean = torch.zeros(7, 2)
    with pytest.raises(ValueError, match=r"there are 7 posteriors; the grid of factors \(3, 4, 5\) has 60"):
        latent_information(mean, mean, SIZES, samples=1)
    with pytest.raises(ValueError, match="samples=0 should be at least 1"):
        latent_information(torch.zeros(60, 2), torch.zeros(60, 2), SIZES, samples=0)
