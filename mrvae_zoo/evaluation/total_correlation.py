"""The rate of a VAE, taken apart: mutual information, total correlation and dimension-wise KL.

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
    """One-sample estimates, each (b,) nats; together they are exactly log q(z|x) − log p(z)."""

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


def decompose(z: Tensor, mean: Tensor, log_var: Tensor, *, examples: int, start: int = 0) -> Decomposition:
    """The three parts at z, with q(z) = 1/N Σ_n q(z|x_n) estimated from a batch by minibatch-stratified sampling.

    An example weighs q(z|x) of itself 1/N, and that of every other of its batch (N−1)/(N(B−1)): the weights of the
    source, averaged over which other example takes the odd one. Another example shares a batch with it with probability
    (B−1)/(N−1), so that over all batches each has the weight 1/N: the mean of the density is q(z), that of the density
    of a latent q(z_j), and with the data set as the batch both are exact. (The logarithms are too low in the mean, the
    less so the larger the batch.) A batch larger than N holds examples more than once and is taken as the data set.

    Takes memory for (b, B, Z) numbers, and again for the backward pass: nothing for batches of hundreds; for more, call
    it for a part of z at a time.

    Args:
        z: (b, Z) or (b, Z, h, w), a draw for each example of this part of the batch.
        mean: of the posteriors of the whole batch, (B, Z) or (B, Z, h, w).
        log_var: the same of their log-variances.
        examples: N.
        start: where in the whole batch the examples of z begin.

    Returns:
        Each (b,) nats, at least float32.

    Raises:
        ValueError: fewer than two examples in the batch, or shapes that do not go together.
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
    """Log N(z; mean, exp(log_var)) of each latent."""
    return -0.5 * (LOG_2_PI + log_var + (z - mean).square() * (-log_var).exp())
