"""Samplers: Gaussian mixtures over the latents at several β, to draw new images from instead of from the prior.

A VAE decodes well where its posteriors lie. At a low β they fill little of the prior, so a mixture that was fitted to
the aggregated posterior q(z), the mean of q(z|x) over the training images, gives better images.

Letters: Z latents, M values of β, K components of a mixture, n draws.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mrvae_zoo.models.posterior import standard_normal

SamplerName = Literal["mixture", "prior"]
SAMPLERS = ("mixture", "prior")
ROUNDING = 1e-3  # how far the weights of a mixture may be from a sum of 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentMixture:
    """A Gaussian mixture that was fitted to the aggregated posterior at one β. Tensors are float32 on the CPU.

    Attributes:
        beta: The β that it was fitted at.
        gain: The log-likelihood of held-out draws from the aggregated posterior, minus that under the prior, in nats
            per example. Positive means that the mixture describes them better than the prior.
        weights: The weight of each component, (K,). They sum to 1.
        means: The mean of each component, (K, Z).
        cholesky: The lower Cholesky factor of the covariance of each component, (K, Z, Z).
    """

    beta: float
    gain: float
    weights: Tensor
    means: Tensor
    cholesky: Tensor

    def placed(self, uniform: Tensor, noise: Tensor) -> Tensor:
        """Turn uniform numbers (n,) in [0, 1), which choose components, and normal noise (n, Z) into draws (n, Z)."""
        edges = self.weights.double().cumsum(0)[:-1]
        chosen = torch.bucketize(uniform.double(), edges, right=True)
        z = torch.empty_like(noise)
        for number in chosen.unique().tolist():
            rows = chosen == number
            z[rows] = self.means[number] + noise[rows] @ self.cholesky[number].T
        return z


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixtureSampler:
    """The mixtures of a model, one for each of several β, in rising order.

    `mrvae_zoo.fit_sampler` makes one. As `model.sampler` it is what `model.sample` draws from, and it is saved with the
    model. Between two fitted β, the mixture of the β that is nearest in log β is used.

    Attributes:
        mixtures: The mixtures by rising β, M of them.
    """

    mixtures: tuple[LatentMixture, ...]

    def __post_init__(self) -> None:
        betas = self.betas
        if not betas or any(low >= high for low, high in itertools.pairwise(betas)) or betas[0] <= 0:
            raise ValueError(f"betas={list(betas)} should be at least one, positive and sorted by rising β")
        if len({mixture.means.shape[1] for mixture in self.mixtures}) > 1:
            raise ValueError("mixtures should all have the same number of latents")

    def __repr__(self) -> str:
        """Return the range of β and the number of mixtures."""
        low, high = self.betas[0], self.betas[-1]
        return f"MixtureSampler({len(self.mixtures)} mixtures, β from {low:g} to {high:g}, Z = {self.latent_dim})"

    @property
    def betas(self) -> tuple[float, ...]:
        """The fitted β, rising."""
        return tuple(mixture.beta for mixture in self.mixtures)

    @property
    def latent_dim(self) -> int:
        """The number of latents, Z."""
        return self.mixtures[0].means.shape[1]

    def nearest(self, beta: float) -> LatentMixture:
        """Return the mixture of the fitted β that is nearest in log β."""
        return min(self.mixtures, key=lambda mixture: abs(math.log(mixture.beta / beta)))

    def at(self, beta: float) -> "MixtureSampler":
        """Return a sampler with only the mixture that is used at β."""
        return MixtureSampler(mixtures=(self.nearest(beta),))

    def draw(self, betas: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw z once for each of `betas` (n,): (n, Z) float32 on the CPU.

        The same generator gives the same uniform numbers and noise at every β, whatever the mixtures are.
        """
        like = self.mixtures[0].means
        device = like.device if generator is None else generator.device
        uniform = torch.rand(len(betas), generator=generator, dtype=torch.float32, device=device).cpu()
        noise = standard_normal((len(betas), self.latent_dim), like=like, generator=generator)
        z = torch.empty_like(noise)
        for beta in betas.unique().tolist():
            rows = betas == beta
            z[rows] = self.nearest(beta).placed(uniform[rows], noise[rows])
        return z

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the tensors of sampler.safetensors by name; a Cholesky factor is stored row by row up to its diagonal.

        They are betas (M,) and gains (M,), and for mixture i of them weights.i (K,), means.i (K, Z) and cholesky.i (K,
        Z(Z+1)/2), all float32.
        """
        rows, columns = torch.tril_indices(self.latent_dim, self.latent_dim, device="cpu")
        tensors = {"betas": torch.tensor(self.betas), "gains": torch.tensor([each.gain for each in self.mixtures])}
        for number, mixture in enumerate(self.mixtures):
            tensors[f"weights.{number}"] = mixture.weights
            tensors[f"means.{number}"] = mixture.means
            tensors[f"cholesky.{number}"] = mixture.cholesky[:, rows, columns]
        return {name: tensor.float().contiguous() for name, tensor in tensors.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], latent_dim: int) -> "MixtureSampler":
        """Make the sampler from the tensors of its file, for a model with `latent_dim` latents.

        Raises:
            ValueError: A tensor is missing, unknown, of another dtype or shape, or holds values that are no mixture;
                the message names it.
        """
        _check_tensors(tensors, latent_dim)
        rows, columns = torch.tril_indices(latent_dim, latent_dim, device="cpu")
        mixtures = []
        for number, (beta, gain) in enumerate(zip(tensors["betas"].tolist(), tensors["gains"].tolist(), strict=True)):
            packed = tensors[f"cholesky.{number}"]
            cholesky = packed.new_zeros(len(packed), latent_dim, latent_dim)
            cholesky[:, rows, columns] = packed
            weights, means = tensors[f"weights.{number}"], tensors[f"means.{number}"]
            mixtures.append(LatentMixture(beta=beta, gain=gain, weights=weights, means=means, cholesky=cholesky))
        return cls(mixtures=tuple(mixtures))


def _check_tensors(tensors: Mapping[str, Tensor], latent_dim: int) -> None:
    """Raise a ValueError that names the first tensor at fault."""
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32:
            raise ValueError(f"tensor {name} is {tensor.dtype}; expected torch.float32")
        if not tensor.isfinite().all():
            raise ValueError(f"tensor {name} holds values that are not finite")
    betas = _get(tensors, "betas")
    if betas.ndim != 1 or len(betas) == 0:
        raise ValueError(f"tensor betas has shape {tuple(betas.shape)}; expected (M,), at least one")
    if betas[0] <= 0 or not (betas.diff() > 0).all():
        raise ValueError(f"tensor betas is {betas.tolist()}; expected rising positive numbers")
    expected: dict[str, tuple[int, ...]] = {"betas": (len(betas),), "gains": (len(betas),)}
    for number in range(len(betas)):
        components = _get(tensors, f"weights.{number}").numel()
        expected[f"weights.{number}"] = (components,)
        expected[f"means.{number}"] = (components, latent_dim)
        expected[f"cholesky.{number}"] = (components, latent_dim * (latent_dim + 1) // 2)
    for name, shape in expected.items():
        if (found := tuple(_get(tensors, name).shape)) != shape:
            raise ValueError(f"tensor {name} has shape {found}; expected {shape}")
    for name in tensors:
        if name not in expected:
            raise ValueError(f"tensor {name} is not part of a sampler with {len(betas)} β")
    diagonal = torch.arange(1, latent_dim + 1, device="cpu").cumsum(0) - 1
    for number in range(len(betas)):
        weights = tensors[f"weights.{number}"]
        if (weights < 0).any() or abs(weights.sum().item() - 1) > ROUNDING:
            raise ValueError(f"tensor weights.{number} should hold weights that sum to 1")
        if (tensors[f"cholesky.{number}"][:, diagonal] <= 0).any():
            raise ValueError(f"tensor cholesky.{number} should have a positive diagonal")


def _get(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise ValueError(f"tensor {name} is missing")
    return tensors[name]
