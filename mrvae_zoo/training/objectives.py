"""The losses that training minimises, and what they need to know about a batch.

Letters: B examples of the whole batch, b of this process's part of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from mrvae_zoo.common.table import Table
from mrvae_zoo.evaluation.total_correlation import decompose
from mrvae_zoo.models.base import VAEOutput


def identity(x: Tensor) -> Tensor:
    """Return x itself: the gathering function for a single process."""
    return x


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalBatch:
    """What an objective may need to know beyond the examples of its own process.

    Attributes:
        examples: The number N of examples in the training set.
        start: The position in the whole batch where this process's part begins.
        gather: The function that joins the parts of all processes, (b, ...) -> (B, ...), including gradients.
        x: The images of this process's part, (b, C, H, W), as the model takes them, for an objective that compares
            `output.reconstruction` with them itself. A training always gives them.
    """

    examples: int
    start: int = 0
    gather: Callable[[Tensor], Tensor] = identity
    x: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A loss to minimise in training.

    Attributes:
        name: The name of the objective in a recipe.
        loss: The loss function: (output, beta (b,), batch) -> (b,) nats, the loss of each example, not yet weighted
            over β. Its mean over the whole batch is minimised.
        one_beta: Whether all examples of a batch must share one β (`beta_sampling = "batch"`). An estimate of q(z) from
            a batch with several β would be that of a mixture over β.
        lowest_beta: The smallest β that `beta_range` may begin at.
        whole_batch: Whether the loss compares the examples of a batch. It then needs all of them at once, and at least
            two.
        total_correlation: Whether the curve of a model trained with this objective reports the total correlation of
            q(z).
    """

    name: str
    loss: Callable[[VAEOutput, Tensor, GlobalBatch], Tensor]
    one_beta: bool = False
    lowest_beta: float = 0.0
    whole_batch: bool = False
    total_correlation: bool = False


def beta_vae_loss(output: VAEOutput, beta: Tensor, batch: GlobalBatch) -> Tensor:
    """Return the loss of the β-VAE, D + β·R: (b,) nats."""
    del batch
    return output.distortion + beta * output.rate


def beta_tcvae_loss(output: VAEOutput, beta: Tensor, batch: GlobalBatch) -> Tensor:
    """Return D + mutual information + β · total correlation + dimension-wise KL: (b,) nats; see `decompose`.

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
    """Return the mean of β^-weighting · loss, (b,) -> ().

    A weighting above 0 gives the low end of the range more of the gradient. The optimum at each β stays the same.

    Raises:
        ValueError: The objective did not return one loss per example.
    """
    if loss.shape != beta.shape:
        raise ValueError(f"the objective gave {tuple(loss.shape)}; expected {tuple(beta.shape)}, one loss an example")
    return (beta**-weighting * loss).mean()
