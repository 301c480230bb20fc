"""How well latents stand for known factors: the mutual information gap, DCI, and the metric of FactorVAE.

Letters: N examples of a part, Z latents, F factors, V votes, M repetitions, R resamples.
"""

import numpy as np
import torch
from torch import Tensor

from mrvae_zoo.common.noise import seed_of
from mrvae_zoo.data.sprites import FACTORS, draw, grid
from mrvae_zoo.evaluation.disentanglement import check_takes_sprites, latent_information
from mrvae_zoo.evaluation.metrics.base import Metric, Part, Score, as_figures, factors_of
from mrvae_zoo.evaluation.transfers import upload

REPEATS, DRAWS = 10, 100  # of the mutual information, and draws of z for each
ENCODED = 500  # sprites that are encoded at once
TREES = 20
VOTES, VOTERS = 500, 64  # the number of votes, and of the examples that share one value for each
DEAD = 0.05  # the variance below which a latent does not vote


def mig(fit: Part) -> Score:
    """Measure the mutual information of latents and factors over all sprites, a few draws at a time: (M, F, Z) nats.

    Raises:
        ValueError: The model does not take images like the sprites.
    """
    network = fit.network
    check_takes_sprites(network)
    means, log_vars = [], []
    for factors in grid().split(ENCODED):
        x = upload(draw(factors), network.device).to(network.dtype) / 255
        posterior = network.encode(network.config.to_data_range(x))
        means.append(posterior.mean.flatten(1))
        log_vars.append(posterior.log_var.flatten(1))
    mean, log_var = torch.cat(means), torch.cat(log_vars)

    def information(part: Part) -> Tensor:
        seeds = [seed_of(part.seed, repeat) % 2**31 for repeat in range(REPEATS)]
        each = [latent_information(mean, log_var, FACTORS, samples=DRAWS, seed=seed) for seed in seeds]
        return torch.stack([torch.stack(list(one.values())) for one in each])

    return information


def mean_gap(information: Tensor, weights: Tensor) -> Tensor:
    """Return the gap between the two most informative latents of a factor, as a share of its entropy, over factors.

    Args:
        information: The mutual information in nats, (M, F, Z).
        weights: The weight of each repetition in each resample, (R, M).

    Returns:
        The mutual information gap, (R,).

    Raises:
        ValueError: There is only one latent.
    """
    if information.shape[2] < 2:
        raise ValueError("mig is a gap between the two most informative latents; the model has one")
    mean = torch.einsum("rm,mfz->rfz", weights / weights.sum(1, keepdim=True), information)
    first, second = mean.topk(2).values.unbind(2)
    return ((first - second) / torch.tensor([*FACTORS.values()], dtype=torch.float64).log()).mean(1)


def dci(_: Part) -> Score:
    """Measure disentanglement, from the importance of each latent to forests that predict the factors.

    Source: Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled Representations", ICLR
    2018, section 2.
    """
    return lambda part: disentanglement(importance(part))


def importance(part: Part) -> Tensor:
    """Return the importance of each latent to a forest that predicts each factor: (Z, F); every column sums to 1."""
    from sklearn.ensemble import RandomForestClassifier

    columns = []
    for values in factors_of(part).unbind(1):
        forest = RandomForestClassifier(TREES, max_features=None, random_state=part.seed % 2**31)
        columns.append(as_figures(forest.fit(part.mean.numpy(), values.numpy()).feature_importances_))
    return torch.stack(columns, dim=1)


def disentanglement(weights: Tensor) -> float:
    """Return how far each latent is important to one factor alone: 1 − its entropy over factors, weighted by latent.

    Args:
        weights: The importance of each latent to each factor, (Z, F).
    """
    total = weights.sum(1)
    shares = weights / total.clamp(min=1e-12).unsqueeze(1)
    entropy = -torch.xlogy(shares, shares).sum(1) / np.log(weights.shape[1])
    return float(((1 - entropy) * total).sum() / total.sum())


def factor_vae(fit: Part) -> Score:
    """Predict the factor that a group of examples shares from the latent that varies least among them.

    Source: Kim and Mnih, "Disentangling by Factorising", ICML 2018, section 4. The groups are drawn from the examples
    that have the value, with replacement.
    """
    spread = fit.mean.double().var(0)
    alive = spread > DEAD
    latents, factors = _votes(fit, spread, alive)
    table = torch.zeros(fit.mean.shape[1], factors_of(fit).shape[1], dtype=torch.long)
    table.index_put_((latents, factors), torch.ones_like(latents), accumulate=True)
    majority = table.argmax(1)

    def right(part: Part) -> Tensor:
        """Whether the majority of the fitted votes names the factor of each vote: (V,), 0 or 1."""
        latents, factors = _votes(part, spread, alive)
        return (majority[latents] == factors).double()

    return right


def _votes(part: Part, spread: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
    """Return the latent that varies least in each group, (V,), and the factor whose value the group shares, (V,)."""
    rng = np.random.default_rng(part.seed)
    given, means = factors_of(part), part.mean.double()
    scale = torch.where(alive, spread, torch.nan).sqrt()
    latents, factors = [], []
    for factor in rng.integers(given.shape[1], size=VOTES).tolist():
        value = given[int(rng.integers(len(given))), factor]
        same = (given[:, factor] == value).nonzero().flatten().numpy()
        group = torch.from_numpy(rng.choice(same, VOTERS))
        variance = (means[group] / scale).var(0).nan_to_num(torch.inf)
        latents.append(int(variance.argmin()))
        factors.append(factor)
    return torch.tensor(latents), torch.tensor(factors)


MIG = Metric(name="mig", title="mutual information gap", prepare=mig, statistic=mean_gap, needs=("factors",))
DCI = Metric(name="dci", title="disentanglement (DCI)", prepare=dci, needs=("factors",), extra="sklearn")
FACTOR_VAE = Metric(name="factor_vae", title="FactorVAE metric", prepare=factor_vae, fits=True, needs=("factors",))
