"""What training minimises, and the β it is minimised at.

Letters: B examples of the whole batch, b of this process's part of it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mrvae_zoo.recipes import BetaSampling, check_density
from mrvae_zoo.registry import Registry
from mrvae_zoo.total_correlation import decompose
from mrvae_zoo.vae import VAEOutput


def identity(x: Tensor) -> Tensor:
    """What gathering is where there is one process."""
    return x


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalBatch:
    """What an objective may need to know beyond the examples of its own process.

    Attributes:
        examples: N, of the training set.
        start: where this process's part of the whole batch begins.
        gather: (b, ...) of this process -> (B, ...) of all, gradients included.
    """

    examples: int
    start: int = 0
    gather: Callable[[Tensor], Tensor] = identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Something to minimise.

    Attributes:
        name: as in a recipe.
        loss: (output, beta (b,), batch) -> (b,) nats, the loss of each example, not yet weighted over β; its mean over
            the whole batch is minimised.
        one_beta: whether all examples of a batch share one β (`beta_sampling = "batch"`), as what is estimated of q(z)
            from a batch with several would be of a mixture over β.
        lowest_beta: where `beta_range` may begin.
        whole_batch: whether it compares the examples of a batch: it needs all of them at once, and at least two.
        total_correlation: whether a curve of a model trained with it reports that of q(z).
    """

    name: str
    loss: Callable[[VAEOutput, Tensor, GlobalBatch], Tensor]
    one_beta: bool = False
    lowest_beta: float = 0.0
    whole_batch: bool = False
    total_correlation: bool = False


def beta_vae_loss(output: VAEOutput, beta: Tensor, batch: GlobalBatch) -> Tensor:
    """D + β·R: (b,) nats."""
    del batch
    return output.distortion + beta * output.rate


def beta_tcvae_loss(output: VAEOutput, beta: Tensor, batch: GlobalBatch) -> Tensor:
    """D + mutual information + β · total correlation + dimension-wise KL: (b,) nats, see `decompose`.

    At β = 1 this is D + log q(z|x) − log p(z), a one-sample estimate of D + R.
    """
    mean, log_var = output.posterior
    information, correlation, kl = decompose(
        output.z, batch.gather(mean), batch.gather(log_var), examples=batch.examples, start=batch.start
    )
    return output.distortion + information + beta * correlation + kl


beta_vae = Objective(name="beta_vae", loss=beta_vae_loss)
beta_tcvae = Objective(
    name="beta_tcvae", loss=beta_tcvae_loss, one_beta=True, lowest_beta=1.0, whole_batch=True, total_correlation=True
)
objectives: Registry[Objective] = Registry("objective", (beta_vae, beta_tcvae), plugins=Objective)


def weigh(loss: Tensor, beta: Tensor, weighting: float) -> Tensor:
    """Mean of β^-weighting · loss, (b,) -> ().

    A weighting above 0 gives the low end of the range more of the gradient; each β keeps its own optimum.

    Raises:
        ValueError: the objective gave something else than one loss an example.
    """
    if loss.shape != beta.shape:
        raise ValueError(f"the objective gave {tuple(loss.shape)}; expected {tuple(beta.shape)}, one loss an example")
    return (beta**-weighting * loss).mean()


def draw_beta(
    n: int,
    beta_range: tuple[float, float],
    sampling: BetaSampling,
    generator: torch.Generator | None = None,
    device: str | torch.device = "cpu",
    *,
    at_ends: tuple[float, float] = (0.0, 0.0),
    skew: float = 1.0,
) -> Tensor:
    """The β of the examples of a whole batch: those of `sample_beta`, or for "batch" one of them: (n,)."""
    if sampling == "batch":
        return sample_beta(1, beta_range, generator, device, at_ends=at_ends, skew=skew).repeat(n)
    return sample_beta(n, beta_range, generator, device, at_ends=at_ends, skew=skew)


def sample_beta(
    n: int,
    beta_range: tuple[float, float] = (0.01, 10.0),
    generator: torch.Generator | None = None,
    device: str | torch.device = "cpu",
    *,
    at_ends: tuple[float, float] = (0.0, 0.0),
    skew: float = 1.0,
) -> Tensor:
    """`n` values of β, log-uniform and stratified: one in each of n equal parts of log β, in random order.

    Args:
        n: how many; at least 1.
        beta_range: (β_min, β_max).
        generator: makes the draw repeatable; on `device`.
        device: of the result.
        at_ends: the share of the draws that are β_min itself, and that of β_max; the others lie between.
        skew: of those: the place of β between the ends, on the scale of log β, is u^skew with u uniform. 1 is
            log-uniform, a smaller one gives more of a high β.

    Returns:
        (n,) float32.

    Raises:
        ValueError: naming the value.
    """
    if n < 1:
        raise ValueError(f"n={n} should be at least 1")
    low, high = beta_range
    if not 0 < low < high < math.inf:
        raise ValueError(f"beta_range={beta_range} should be two numbers with 0 < low < high")
    check_density(at_ends, skew)
    stratum = torch.randperm(n, generator=generator, device=device)
    position = (stratum + torch.rand(n, generator=generator, device=device)) / n
    position = ((position - at_ends[0]) / (1 - sum(at_ends))).clamp(0, 1) ** skew
    log_low, log_high = math.log(low), math.log(high)
    beta = (log_low + (log_high - log_low) * position).exp().clamp(low, high)
    return beta.masked_fill(position == 0, low).masked_fill(position == 1, high)  # whatever exp rounds to
