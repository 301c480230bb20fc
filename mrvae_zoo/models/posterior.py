"""The posterior q(z|x) that an encoder returns, and draws from it.

Letters: B batch, Z latents, h, w places of a spatial model.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Posterior(NamedTuple):
    """A diagonal Gaussian q(z|x): its mean and log-variance, each (B, Z), or (B, Z, h, w) for a spatial model."""

    mean: Tensor
    log_var: Tensor

    def __repr__(self) -> str:
        """Return the shape, and the mean rate if the values can be read."""
        rate = readable_mean(self.kl())
        return f"Posterior({tuple(self.mean.shape)}{'' if rate is None else f', mean rate {rate:.4g} nats'})"

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw once, (B, Z), with the reparametrisation trick, so that gradients reach mean and log_var."""
        return self.displaced(standard_normal(self.mean.shape, like=self.mean, generator=generator))

    def displaced(self, noise: Tensor) -> Tensor:
        """Return the mean, moved by noise (B, Z) in units of the standard deviation: (B, Z)."""
        return self.mean + (0.5 * self.log_var).exp() * noise

    def mode(self) -> Tensor:
        """Return the mean, (B, Z)."""
        return self.mean

    def kl(self) -> Tensor:
        """Return KL(q(z|x) ‖ N(0, I)) in nats, summed over the latents: (B,), at least float32."""
        return self.kl_of_each().flatten(1).sum(1)

    def kl_map(self) -> Tensor:
        """Return the same KL per place of a spatial model: (B, h, w). `kl` is the sum over the places."""
        return self.kl_of_each().sum(1)

    def kl_of_each(self) -> Tensor:
        """Return the same KL of each latent: (B, Z), or (B, Z, h, w). `kl` is the sum."""
        dtype = torch.promote_types(self.mean.dtype, torch.float32)
        mean, log_var = self.mean.to(dtype), self.log_var.to(dtype)
        # expm1(s) − s instead of exp(s) − 1 − s: exact near the prior, where latents that are not used lie.
        return 0.5 * (mean.square() + torch.expm1(log_var) - log_var)


def readable_mean(values: Tensor) -> float | None:
    """Return the mean for display, or None if no values can be read: on meta, inside vmap, or while compiling."""
    hidden = values.is_meta or torch.compiler.is_compiling() or values.numel() == 0
    return None if hidden or torch._C._functorch.peek_interpreter_stack() is not None else values.mean().item()


def standard_normal(shape: Sequence[int], *, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw noise in the dtype of `like` (drawn in float32 for half precision), on the generator's device."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    if generator is None:  # a keyword of its own: with generator=None the batch size could not vary in a graph
        return torch.randn(shape, dtype=dtype, device=like.device).to(like.dtype)
    noise = torch.randn(shape, generator=generator, dtype=dtype, device=generator.device)
    return noise.to(like.device, like.dtype)
