"""What training minimises, and the β it is minimised at."""

import math

import torch
from torch import Tensor

from mrvae_zoo.vae import VAEOutput


def sample_beta(
    n: int,
    beta_range: tuple[float, float] = (0.01, 10.0),
    generator: torch.Generator | None = None,
    device: str | torch.device = "cpu",
) -> Tensor:
    """`n` values of β, log-uniform and stratified: one in each of n equal parts of log β, in random order.

    Args:
        n: how many; at least 1.
        beta_range: (β_min, β_max).
        generator: makes the draw repeatable; on `device`.
        device: of the result.

    Returns:
        (n,) float32.
    """
    if n < 1:
        raise ValueError(f"n={n} should be at least 1")
    low, high = beta_range
    if not 0 < low < high < math.inf:
        raise ValueError(f"beta_range={beta_range} should be two numbers with 0 < low < high")
    stratum = torch.randperm(n, generator=generator, device=device)
    position = (stratum + torch.rand(n, generator=generator, device=device)) / n
    log_low, log_high = math.log(low), math.log(high)
    return (log_low + (log_high - log_low) * position).exp().clamp(low, high)


def beta_vae_loss(output: VAEOutput, beta: Tensor, *, weighting: float) -> Tensor:
    """Mean over the batch of β^-weighting · (D + β·R), in nats.

    A weighting above 0 gives the low end of the range more of the gradient; each β keeps its own optimum.
    """
    loss = output.distortion + beta * output.rate
    return (beta**-weighting * loss).mean()
