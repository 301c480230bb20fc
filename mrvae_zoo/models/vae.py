"""MultiRateVAE, a VAE for every β in a range, and FixedRateVAE, what is left of it at one β.

    x (B, C, H, W), β ──encode──► Posterior (B, Z) ──sample──► z (B, Z) ──decode, β──► reconstruction (B, C, H, W)

Letters: B batch, C, H, W image, Z latents. Rates and distortions are in nats per example.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.beta import TOLERANCE, Beta, check_beta, values_can_be_read
from mrvae_zoo.gating.layers import fold
from mrvae_zoo.models.base import BaseVAE, VAEOutput, crop
from mrvae_zoo.models.posterior import Posterior


class MultiRateVAE(BaseVAE):
    """A VAE whose β is an argument: `model(x, beta)` is the β-VAE of that β.

    In every method beta is a number, or one for each example, (B,): a tensor, an array or a list; within `beta_range`
    (ends inclusive).

    Args:
        config: what the model is.
        encoder: `encoder(x, features) -> (mean, log_var)`, each (B, Z).
        decoder: `decoder(z, features)` -> logits or mean, (B, C, H, W).

    Source: Bae et al., "Multi-Rate VAE: Train Once, Get the Full Rate-Distortion Curve", ICLR 2023.
    """

    def forward(
        self,
        x: Tensor,
        beta: Beta,
        *,
        sample: bool = True,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> VAEOutput:
        """Encode x (B, C, H, W), draw z, decode.

        Args:
            x: images in the data range.
            beta: see the class.
            sample: draw z from the posterior; False takes its mean (its distortion is not the D of L_β).
            generator: makes the draw repeatable.
            noise: (B, Z), or (B, Z, h, w) of a spatial model: draw z with this standard normal noise.

        Raises:
            ValueError: x or beta is not what the model takes.
        """
        self._check_x(x)
        beta = self._check_beta(beta, x.shape[0])
        return self._forward(x, beta, sample=sample, generator=generator, noise=noise)

    def encode(self, x: Tensor, beta: Beta) -> Posterior:
        """The posterior q(z|x) at β. Raises a ValueError as `forward` does."""
        self._check_x(x)
        posterior = self._encode(x, self._check_beta(beta, x.shape[0]))
        self._tell_if_unlike(posterior)
        return posterior

    def decode(self, z: Tensor, beta: Beta) -> Tensor:
        """The mean of p(x|z) at β, clamped to the data range: (B, Z) -> (B, C, H, W)."""
        self._check_z(z)
        return self._decode(z, self._check_beta(beta, z.shape[0]))

    def sample(
        self,
        n: int,
        beta: Beta,
        *,
        size: tuple[int, int] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """`n` images decoded from draws of the prior: (n, C, H, W); of `size` (H, W) for a spatial model."""
        return crop(self.decode(self._prior(n, size, generator), beta), size)

    def at(self, beta: Beta) -> "FixedRateVAE":
        """The plain network at one β: a copy with the gates folded into the weights.

        Raises:
            ValueError: β is outside `beta_range`, or a tensor with more than one value.
        """
        features = self._features(beta, batch_size=None)
        low, high = self.beta_range
        on_cpu = beta.cpu() if isinstance(beta, Tensor) else beta  # some devices have no float64
        number = torch.as_tensor(on_cpu, dtype=torch.float64, device="cpu").item()
        config = replace(self.config, gating="none", beta=min(max(number, low), high))
        encoder, decoder = fold(self.encoder, features), fold(self.decoder, features)
        plain = FixedRateVAE(config, encoder, decoder).train(self.training)
        plain.recipe, plain._told = self.recipe, self._told
        return plain

    def _features(self, beta: Beta, batch_size: int | None) -> Tensor:
        return self.gating.features(self._check_beta(beta, batch_size))

    def _check_beta(self, beta: Beta, batch_size: int | None) -> Tensor:
        return check_beta(beta, self.beta_range, batch_size, like=next(self.parameters()))


class FixedRateVAE(BaseVAE):
    """A plain VAE at one β (`config.beta`), with the interface of `MultiRateVAE`.

    Every method takes beta too, so that code for both kinds reads the same; it may be left out, and another β than that
    of the model is a ValueError.
    """

    @property
    def beta(self) -> float:
        """The β of this model."""
        assert self.config.beta is not None
        return self.config.beta

    def at(self, beta: Beta) -> "FixedRateVAE":
        """This model itself.

        Raises:
            ValueError: β is not that of the model.
        """
        self._check_own(beta, None)
        return self

    def forward(
        self,
        x: Tensor,
        beta: Beta | None = None,
        *,
        sample: bool = True,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> VAEOutput:
        """Encode x (B, C, H, W), draw z, decode; see `MultiRateVAE.forward`."""
        self._check_x(x)
        self._check_own(beta, x.shape[0])
        return self._forward(x, None, sample=sample, generator=generator, noise=noise)

    def encode(self, x: Tensor, beta: Beta | None = None) -> Posterior:
        """The posterior q(z|x)."""
        self._check_x(x)
        self._check_own(beta, x.shape[0])
        posterior = self._encode(x, None)
        self._tell_if_unlike(posterior)
        return posterior

    def decode(self, z: Tensor, beta: Beta | None = None) -> Tensor:
        """The mean of p(x|z), clamped to the data range: (B, Z) -> (B, C, H, W)."""
        self._check_z(z)
        self._check_own(beta, z.shape[0])
        return self._decode(z, None)

    def sample(
        self,
        n: int,
        beta: Beta | None = None,
        *,
        size: tuple[int, int] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """`n` images decoded from draws of the prior: (n, C, H, W); of `size` (H, W) for a spatial model."""
        return crop(self.decode(self._prior(n, size, generator), beta), size)

    def _check_own(self, beta: Beta | None, batch_size: int | None) -> None:
        """A ValueError where β is another than that of the model, in so far as it can be read."""
        if beta is None:
            return
        beta = check_beta(beta, self.beta_range, batch_size, like=next(self.parameters()))
        if values_can_be_read(beta):
            other = beta[~torch.isclose(beta, torch.full_like(beta, self.beta), rtol=TOLERANCE, atol=0.0)]
            if other.numel():
                raise ValueError(
                    f"beta={other.flatten()[0].item():g}: this model was folded at β={self.beta} and has no other"
                )


def unwrap(model: object) -> MultiRateVAE | FixedRateVAE:
    """The model of the zoo in what torch wraps around one: `torch.compile`, DataParallel, DDP, an averaged model.

    Raises:
        ValueError: there is none.
    """
    inner = model
    while isinstance(inner, nn.Module) and not isinstance(inner, MultiRateVAE | FixedRateVAE):
        parts = list(inner.children())
        inner = parts[0] if len(parts) == 1 else None
    if not isinstance(inner, MultiRateVAE | FixedRateVAE):
        raise ValueError(f"{type(model).__name__} is no model of the zoo; pass a MultiRateVAE or a FixedRateVAE")
    return inner
