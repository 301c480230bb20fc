"""What training minimises, and the β it is minimised at.

Letters: B examples of the whole batch, b of this process's part of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from mrvae_zoo.common.table import Table
from mrvae_zoo.evaluation.total_correlation import decompose
from mrvae_zoo.models.base import VAEOutput


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
objectives: Table[Objective] = Table("objective", (beta_vae, beta_tcvae), plugins=Objective)


def weigh(loss: Tensor, beta: Tensor, weighting: float) -> Tensor:
    """Mean of β^-weighting · loss, (b,) -> ().

    A weighting above 0 gives the low end of the range more of the gradient; each β keeps its own optimum.

    Raises:
        ValueError: the objective gave something else than one loss an example.
    """
    if loss.shape != beta.shape:
        raise ValueError(f"the objective gave {tuple(loss.shape)}; expected {tuple(beta.shape)}, one loss an example")
    return (beta**-weighting * loss).mean()
