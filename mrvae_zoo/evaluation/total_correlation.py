"""The rate of a VAE as a sum of mutual information, total correlation and dimension-wise KL.

    log q(z|x) − log p(z) = [log q(z|x) − log q(z)] + [log q(z) − Σ_j log q(z_j)] + [Σ_j log q(z_j) − log p(z)]

Letters: N examples of the data set, B of the whole batch, b of this process's part of it, Z latents (all places of a
spatial model together).

Source: Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", NeurIPS 2018.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

LOG_2_PI = math.log(2 * math.pi)


class Decomposition(NamedTuple):
    """One-sample estimates of the three parts, each (b,) nats; their sum is exactly log q(z|x) − log p(z)."""

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


def decompose(z: Tensor, mean: Tensor, log_var: Tensor, *, examples: int, start: int = 0) -> Decomposition:
    """Estimate the three parts at z, with q(z) = 1/N Σ_n q(z|x_n) from a batch by minibatch-stratified sampling.

    The weight of an example's own q(z|x) is 1/N; that of every other example of its batch is (N−1)/(N(B−1)). These are
    the weights of the source, averaged over which other example takes the odd one. Another example shares the batch
    with probability (B−1)/(N−1), so over all batches each has the weight 1/N. The mean of the density is therefore
    q(z), and that of the density of a latent is q(z_j); if the batch is the whole data set, both are exact. (The
    logarithms are too low on average, but less so for larger batches.) A batch larger than N holds examples more than
    once and is taken as the data set.

    The memory holds (b, B, Z) numbers, and as many again for the backward pass. That is little for batches of hundreds;
    for larger ones, call the function for a part of z at a time.

    Args:
        z: The draws, one for each example of this part of the batch, (b, Z) or (b, Z, h, w).
        mean: The means of the posteriors of the whole batch, (B, Z) or (B, Z, h, w).
        log_var: The log-variances of these posteriors, in the same shape.
        examples: The number of examples N.
        start: The position in the whole batch where the examples of z begin.

    Returns:
        The three parts, each (b,) nats, at least float32.

    Raises:
        ValueError: The batch has fewer than two examples, or the shapes do not fit together.
    """
    n, whole = len(z), len(mean)
    if mean.shape != log_var.shape or z.shape[1:] != mean.shape[1:] or not 0 <= start <= whole - n:
        raise ValueError(
            f"z {tuple(z.shape)} from {start} on, mean {tuple(mean.shape)} and log_var {tuple(log_var.shape)} "
            "do not go together; expected z (b, Z) of examples of mean and log_var (B, Z)"
        )
    if whole < 2:
        raise ValueError("q(z) cannot be estimated from a batch of one example; take at least 2")
    dtype = torch.promote_types(z.dtype, torch.float32)
    z, mean, log_var = (tensor.flatten(1).to(dtype) for tensor in (z, mean, log_var))
    examples = max(examples, whole)
    log_weight = z.new_full((n, whole), math.log((examples - 1) / (examples * (whole - 1))))
    log_weight.diagonal(start).fill_(-math.log(examples))
    density = _log_normal(z.unsqueeze(1), mean, log_var)  # (b, B, Z)
    own = slice(start, start + n)
    posterior = _log_normal(z, mean[own], log_var[own]).sum(1)
    aggregate = (log_weight + density.sum(2)).logsumexp(1)
    marginals = (log_weight.unsqueeze(2) + density).logsumexp(1).sum(1)
    prior = _log_normal(z, torch.zeros_like(z), torch.zeros_like(z)).sum(1)
    return Decomposition(posterior - aggregate, aggregate - marginals, marginals - prior)


def _log_normal(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Return log N(z; mean, exp(log_var)) of each latent."""
    return -0.5 * (LOG_2_PI + log_var + (z - mean).square() * (-log_var).exp())
