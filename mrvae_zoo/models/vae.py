"""MultiRateVAE, a VAE for every β in a range; FixedRateVAE, a plain VAE at one β; and BaseVAE, what both share.

    x (B, C, H, W), β ──encode──► Posterior (B, Z) ──sample──► z (B, Z) ──decode, β──► reconstruction (B, C, H, W)

Letters: B batch, C, H, W image, Z latents. Rates and distortions are in nats per example.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from mrvae_zoo.common.face import public
from mrvae_zoo.common.images import Changes, to_tensor
from mrvae_zoo.gating.beta import TOLERANCE, Beta, check_beta, values_can_be_read
from mrvae_zoo.gating.layers import fold
from mrvae_zoo.models.base import Network, VAEOutput, crop
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.curve import RDCurve
from mrvae_zoo.models.latents import LatentStatistics
from mrvae_zoo.models.posterior import Posterior
from mrvae_zoo.models.sampler import SAMPLERS, MixtureSampler, SamplerName
from mrvae_zoo.models.traversal import LATENTS, LIMIT, STEPS, Traversal, walk_between, walk_latents

if TYPE_CHECKING:
    import os

    import numpy as np
    from PIL import Image


MaybeNone: TypeAlias = Any  # may be None, but type checkers do not ask for a check

V = TypeVar("V")


class BaseVAE(Network):
    """The methods that `MultiRateVAE` and `FixedRateVAE` share. A model holds no state between calls.

    In every method, β is a single number or one β per example, (B,): a tensor, an array or a list. Each value lies
    within `beta_range`, ends inclusive. A FixedRateVAE needs no β. Results carry gradients, like those of any torch
    module; call the model under `torch.inference_mode()` if you do not need them.

    Args:
        config: The description of the model: its architecture, sizes and range of β.
        encoder: The encoder network, called as `encoder(x, features) -> (mean, log_var)`, each (B, Z).
        decoder: The decoder network, called as `decoder(z, features)`. It returns logits or the mean, (B, C, H, W).

    Attributes:
        config: The description of the model: its architecture, sizes and range of β.
        name: The source that the model was loaded from, or None.
        curve: The rate-distortion curve that was measured on the model, or None.
        recipe: The text of the recipe.toml that the model was trained with, or None.
        sampler: The mixtures that `sample` draws from, as `mrvae_zoo.fit_sampler` gives them, or None.
    """

    if TYPE_CHECKING:
        __call__: Callable[..., VAEOutput]

    def __init__(self, config: ModelConfig, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__(config, encoder, decoder)
        self.name: str | None = None
        self.curve: RDCurve | MaybeNone = None
        self.recipe: str | None = None
        self.sampler: MixtureSampler | None = None

    def forward(
        self,
        x: Tensor,
        beta: Beta | None = None,
        *,
        sample: bool = True,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> VAEOutput:
        """Encode x (B, C, H, W), draw z from the posterior and decode it.

        Args:
            x: The images, (B, C, H, W), with values in the data range.
            beta: One β for all images, or one β per image, (B,); see the class.
            sample: Whether to draw z from the posterior. False takes its mean; the distortion is then not the D of L_β.
            generator: A torch generator that makes the draw repeatable.
            noise: The standard normal noise to draw z with: (B, Z), or (B, Z, h, w) for a spatial model. None draws new
                noise.

        Raises:
            ValueError: The model does not take this x or this β.
        """
        self._check_x(x)
        checked = self._check_beta(beta, x.shape[0])
        return self._forward(x, checked, sample=sample, generator=generator, noise=noise)

    def encode(self, x: Tensor, beta: Beta | None = None) -> Posterior:
        """Return the posterior q(z|x) at β. Raises a ValueError as `forward` does."""
        self._check_x(x)
        posterior = self._encode(x, self._check_beta(beta, x.shape[0]))
        self._tell_if_unlike(posterior)
        return posterior

    def decode(self, z: Tensor, beta: Beta | None = None) -> Tensor:
        """Return the mean of p(x|z) at β, clamped to the data range: (B, Z) -> (B, C, H, W)."""
        self._check_z(z)
        return self._decode(z, self._check_beta(beta, z.shape[0]))

    def sample(
        self,
        n: int,
        beta: Beta | None = None,
        *,
        size: tuple[int, int] | None = None,
        sampler: SamplerName | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw `n` new images at β: (n, C, H, W).

        Args:
            n: The number of images, at least 1.
            beta: One β for all images, or one β per image, (n,); see the class.
            size: The size (H, W) of the images, for a spatial model only.
            sampler: What to draw z from. "prior" is the standard normal p(z). "mixture" is the Gaussian mixture that
                was fitted to the aggregated posterior of the training images, at the fitted β nearest to β in log β.
                None takes the mixture if the model has a `sampler`, and else the prior.
            generator: A torch generator that makes the draws repeatable.

        Raises:
            ValueError: The model does not take this β or this size, or has no mixture to draw from.
        """
        if sampler is None:
            sampler = "prior" if self.sampler is None else "mixture"
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler={sampler!r} should be one of {', '.join(map(repr, SAMPLERS))}, or None")
        self._check_draws(n, size)
        z = self._prior(n, size, generator) if sampler == "prior" else self._from_mixture(n, beta, generator)
        return crop(self.decode(z, beta), size)

    def _from_mixture(self, n: int, beta: Beta | None, generator: torch.Generator | None) -> Tensor:
        """Draw z for `n` images from the mixtures: (n, Z)."""
        if self.sampler is None:
            reason = (
                "its latents have places, so it takes none"
                if self.config.spatial
                else "fit one with model.sampler = mrvae_zoo.fit_sampler(model, data), or with mrvae fit-sampler"
            )
            raise ValueError(f"{self.name or 'this model'} has no mixture to draw from: use sampler='prior'; {reason}")
        checked = self._check_beta(beta, n)
        betas = (
            torch.tensor(self.config.beta, dtype=torch.float32, device="cpu")
            if checked is None
            else checked.detach().float().cpu()
        )
        return self.sampler.draw(betas.expand(n), generator).to(self.device, self.dtype)

    def traverse(
        self, x: Tensor, beta: Beta | None = None, *, latents: int = LATENTS, steps: int = STEPS, limit: float = LIMIT
    ) -> Traversal:
        """Walk each latent of an image from −limit to limit while the others stay at their posterior mean.

        The most informative latents come first: those with the highest KL divergence at this β over the data of the
        curve, if it was measured (see `latent_statistics`), else for this image. A spatial model walks a latent at all
        places at once, and its others stay at a draw from the posterior, since its decoder counts on their noise.

        Example:
            model.traverse(x[0], 1.0).picture().save("latents.png")

        Args:
            x: One image, (C, H, W) or (1, C, H, W), as the model takes it.
            beta: One β.
            latents: The number of latents to walk. A model with fewer walks all.
            steps: The number of values, at least 2.
            limit: The last of these values, in standard deviations of the prior. The first is its negative.

        Raises:
            ValueError: An argument is wrong, or the model does not take this x or this β.
        """
        plain = self if beta is None else self.at(beta)
        table = None if self.curve is None else self.curve.latents
        return walk_latents(plain, x, table, latents=latents, steps=steps, limit=limit)

    def interpolate(self, a: Tensor, b: Tensor, beta: Beta | None = None, *, steps: int = STEPS) -> Tensor:
        """Decode `steps` points on the straight line between the posterior means of two images: (steps, C, H, W).

        The first and the last are the reconstructions of the two images. A spatial model, whose decoder counts on
        noise, goes from a draw to a draw with the same noise.

        Args:
            a: The first image, (C, H, W) or (1, C, H, W), as the model takes it.
            b: The second image, of the same shape.
            beta: One β.
            steps: The number of images to return, at least 2.

        Raises:
            ValueError: An argument is wrong, or the model does not take these images or this β.
        """
        return walk_between(self if beta is None else self.at(beta), a, b, steps=steps)

    def at(self, beta: Beta) -> "FixedRateVAE":
        """Return the plain VAE at one β, a `FixedRateVAE`: a copy of the model with the gates folded into the weights.

        Raises:
            ValueError: β is outside `beta_range`, or is a tensor with more than one value.
        """
        raise NotImplementedError

    def require_curve(self) -> RDCurve:
        """Return `curve`, or raise an error if the model has none.

        Raises:
            ValueError: The model has no curve; the message says how to measure one.
        """
        if self.curve is None:
            raise ValueError(
                f"{self.name or 'this model'} has no rate-distortion curve; measure one with "
                "model.curve = mrvae_zoo.measure_curve(model, data), or on the command line with mrvae curve --save"
            )
        curve: RDCurve = self.curve
        return curve

    def latent_statistics(self, beta: float) -> LatentStatistics:
        """Return mean, standard deviation and KL divergence of each latent at a β, over the data of the curve.

        They were measured with the curve, and are interpolated between its β. The inverse of the standard deviation is
        the scaling factor that a diffusion model on the latents needs.

        Example:
            scale = 1 / torch.tensor(model.latent_statistics(0.5).std)

        Raises:
            ValueError: They were not measured, or β is outside of where they were.
        """
        curve = self.require_curve()
        if curve.latents is None:
            raise ValueError(
                f"the latents of {self.name or 'this model'} were not measured with its curve; measure both with "
                "model.curve = mrvae_zoo.measure_curve(model, data), or on the command line with mrvae curve --save"
            )
        return curve.latents.at(beta)

    def preprocess(
        self,
        images: "str | os.PathLike[str] | Image.Image | np.ndarray | Tensor | Sequence[Any]",
        changes: Changes | None = None,
    ) -> Tensor:
        """Convert images to the model's input: (B, C, H, W) in the data range, on the model's device and in its dtype.

        Args:
            images: One image or several: paths, PIL images, or arrays or tensors of shape (H, W), (H, W, C) or (C, H,
                W), uint8 or float in [0, 1]. A stack of such arrays also works: (N, H, W), (N, C, H, W) or (N, H, W,
                C).
            changes: A record that collects the conversions that were made, for the caller to report. None logs a
                warning.

        Raises:
            ValueError: Something is not an image; the message names it.
        """
        x = self.config.to_data_range(to_tensor(images, self.input_shape, changes))
        return x.to(self.device, self.dtype)

    def save_pretrained(self, folder: "str | os.PathLike[str]", *, dtype: torch.dtype | str | None = None) -> None:
        """Write this model to a folder; see `mrvae_zoo.save_pretrained`."""
        public("save_pretrained")(self, folder, dtype=dtype)

    def push_to_hub(self, repo_id: str, **options: Any) -> Any:
        """Push this model and its page to a repository of the Hub; see `mrvae_zoo.push_to_hub`."""
        return public("push_to_hub")(self, repo_id, **options)

    @classmethod
    def from_pretrained(cls, source: "str | os.PathLike[str]", **options: Any) -> Self:
        """Load a trained model of this class; see `mrvae_zoo.load_pretrained`."""
        return _of_class(cls, public("load_pretrained")(source, **options), source)

    def __repr__(self) -> str:
        """Return one line that describes the model, followed by its layers as torch prints them."""
        return f"{self._title()}\n{super().__repr__()}"

    def _title(self) -> str:
        config = self.config
        size = ", ".join("any" if side is None else str(side) for side in config.input_shape)
        low, high = config.beta_range
        beta = f"β in [{low:g}, {high:g}]" if config.beta is None else f"β = {config.beta:g}"
        parameters = sum(parameter.numel() for parameter in self.parameters())
        name = f"{self.name}: " if self.name else ""
        return (
            f"{name}{config.architecture}, input ({size}), Z = {config.latent_dim}, {beta}, {parameters:,} parameters"
        )

    def _repr_html_(self) -> str:
        """Return the description of the model and its curve, for a notebook."""
        curve = "" if self.curve is None else self.curve._repr_html_()
        return f"<p><b>{type(self).__name__}</b> {html.escape(self._title())}</p>{curve}"

    def _check_beta(self, beta: Beta | None, batch_size: int | None) -> Tensor | None:
        """Return β as the network takes it, or raise a ValueError if the model does not take it."""
        raise NotImplementedError


class MultiRateVAE(BaseVAE):
    """A VAE whose β is an argument: `model(x, beta)` acts as the β-VAE of that β. Its methods are those of `BaseVAE`.

    Source: Bae et al., "Multi-Rate VAE: Train Once, Get the Full Rate-Distortion Curve", ICLR 2023.
    """

    def at(self, beta: Beta) -> "FixedRateVAE":
        """Return the plain VAE at one β: a copy with the gates folded into the weights; see `BaseVAE.at`."""
        features = self.gating.features(self._check_beta(beta, None))
        low, high = self.beta_range
        on_cpu = beta.cpu() if isinstance(beta, Tensor) else beta  # some devices have no float64
        number = torch.as_tensor(on_cpu, dtype=torch.float64, device="cpu").item()
        config = replace(self.config, gating="none", beta=min(max(number, low), high))
        encoder, decoder = fold(self.encoder, features), fold(self.decoder, features)
        plain = FixedRateVAE(config, encoder, decoder).train(self.training)
        plain.name, plain.recipe, plain._told = self.name, self.recipe, self._told
        plain.sampler = None if self.sampler is None else self.sampler.at(plain.beta)
        return plain

    def _check_beta(self, beta: Beta | None, batch_size: int | None) -> Tensor:
        if beta is None:
            low, high = self.beta_range
            raise ValueError(
                f"beta is missing: pass a number in [{low:g}, {high:g}], or take the plain VAE at one, model.at(beta)"
            )
        return check_beta(beta, self.beta_range, batch_size, like=next(self.parameters()))


class FixedRateVAE(BaseVAE):
    """A plain VAE at one β (`config.beta`), with the interface of `MultiRateVAE`.

    Every method also takes beta, so that the same code works for both classes. It may be left out. Any β other than
    that of the model raises a ValueError.
    """

    @property
    def beta(self) -> float:
        """The β of this model."""
        assert self.config.beta is not None
        return self.config.beta

    def at(self, beta: Beta) -> "FixedRateVAE":
        """Return this model itself.

        Raises:
            ValueError: β is not the β of the model.
        """
        self._check_beta(beta, None)
        return self

    def _check_beta(self, beta: Beta | None, batch_size: int | None) -> None:
        """Raise a ValueError if β differs from that of the model, as far as its values can be read."""
        if beta is None:
            return
        beta = check_beta(beta, self.beta_range, batch_size, like=next(self.parameters()))
        if values_can_be_read(beta):
            other = beta[~torch.isclose(beta, torch.full_like(beta, self.beta), rtol=TOLERANCE, atol=0.0)]
            if other.numel():
                raise ValueError(
                    f"beta={other.flatten()[0].item():g}: this model was folded at β={self.beta} and has no other"
                )


def unwrap(model: object) -> BaseVAE:
    """Return the model inside a torch wrapper: `torch.compile`, DataParallel, DDP or an averaged model.

    Raises:
        ValueError: There is no model of the zoo inside.
    """
    inner = model
    while isinstance(inner, nn.Module) and not isinstance(inner, BaseVAE):
        parts = list(inner.children())
        inner = parts[0] if len(parts) == 1 else None
    if not isinstance(inner, BaseVAE):
        raise ValueError(f"{type(model).__name__} is no model of the zoo; pass a MultiRateVAE or a FixedRateVAE")
    return inner


def _of_class(cls: type[V], model: BaseVAE, source: object) -> V:
    """Return `model` if it is of the class `cls`; otherwise raise a ValueError that names its class."""
    if not isinstance(model, cls):
        raise ValueError(f"{source} is a {type(model).__name__}; load it with {type(model).__name__}.from_pretrained")
    return model
