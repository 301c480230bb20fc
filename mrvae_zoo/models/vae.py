"""MultiRateVAE, a VAE for every β in a range, and FixedRateVAE, what is left of it at one β; BaseVAE, what both share.

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
from mrvae_zoo.models.posterior import Posterior

if TYPE_CHECKING:
    import os

    import numpy as np
    from PIL import Image


MaybeNone: TypeAlias = Any  # None, for those who ask; whoever knows better may use it without asking

V = TypeVar("V")


class BaseVAE(Network):
    """What `MultiRateVAE` and `FixedRateVAE` share. Holds no state between calls.

    In every method β is a number, or one for each example, (B,): a tensor, an array or a list; within `beta_range`
    (ends inclusive). A FixedRateVAE needs none. Results carry gradients, as those of any module do: where none are
    wanted, call the model under `torch.inference_mode()`.

    Args:
        config: what the model is.
        encoder: `encoder(x, features) -> (mean, log_var)`, each (B, Z).
        decoder: `decoder(z, features)` -> logits or mean, (B, C, H, W).

    Attributes:
        config: what the model is.
        name: where it was loaded from, or None.
        curve: the rate-distortion curve that was measured on it, or None.
        recipe: the text of the recipe.toml that it was trained with, or None.
    """

    if TYPE_CHECKING:
        __call__: Callable[..., VAEOutput]

    def __init__(self, config: ModelConfig, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__(config, encoder, decoder)
        self.name: str | None = None
        self.curve: RDCurve | MaybeNone = None
        self.recipe: str | None = None

    def forward(
        self,
        x: Tensor,
        beta: Beta | None = None,
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
        checked = self._check_beta(beta, x.shape[0])
        return self._forward(x, checked, sample=sample, generator=generator, noise=noise)

    def encode(self, x: Tensor, beta: Beta | None = None) -> Posterior:
        """The posterior q(z|x) at β. Raises a ValueError as `forward` does."""
        self._check_x(x)
        posterior = self._encode(x, self._check_beta(beta, x.shape[0]))
        self._tell_if_unlike(posterior)
        return posterior

    def decode(self, z: Tensor, beta: Beta | None = None) -> Tensor:
        """The mean of p(x|z) at β, clamped to the data range: (B, Z) -> (B, C, H, W)."""
        self._check_z(z)
        return self._decode(z, self._check_beta(beta, z.shape[0]))

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

    def at(self, beta: Beta) -> "FixedRateVAE":
        """The plain VAE at one β, a `FixedRateVAE`: a copy of the model with the gates folded into the weights.

        Raises:
            ValueError: β is outside `beta_range`, or a tensor with more than one value.
        """
        raise NotImplementedError

    def require_curve(self) -> RDCurve:
        """`curve`, where there is one.

        Raises:
            ValueError: there is none; the message says how to measure it.
        """
        if self.curve is None:
            raise ValueError(
                f"{self.name or 'this model'} has no rate-distortion curve; measure one with "
                "model.curve = mrvae_zoo.measure_curve(model, data), or on the command line with mrvae curve --save"
            )
        curve: RDCurve = self.curve
        return curve

    def preprocess(
        self,
        images: "str | os.PathLike[str] | Image.Image | np.ndarray | Tensor | Sequence[Any]",
        changes: Changes | None = None,
    ) -> Tensor:
        """Images as the model takes them: (B, C, H, W) in the data range, on the model's device and in its dtype.

        Args:
            images: one or several of: paths, PIL images, arrays or tensors (H, W), (H, W, C) or (C, H, W), uint8 or
                float in [0, 1]; or a stack of such arrays, (N, H, W), (N, C, H, W) or (N, H, W, C).
            changes: where to add what had to be converted, for the caller to tell; by default a warning says it.

        Raises:
            ValueError: something is not an image; the message names it.
        """
        x = self.config.to_data_range(to_tensor(images, self.input_shape, changes))
        return x.to(self.device, self.dtype)

    def save_pretrained(self, folder: "str | os.PathLike[str]", *, dtype: torch.dtype | str | None = None) -> None:
        """Write this model into a folder, see `mrvae_zoo.save_pretrained`."""
        public("save_pretrained")(self, folder, dtype=dtype)

    def push_to_hub(self, repo_id: str, **options: Any) -> Any:
        """Push this model and its page to a repository, see `mrvae_zoo.push_to_hub`."""
        return public("push_to_hub")(self, repo_id, **options)

    @classmethod
    def from_pretrained(cls, source: "str | os.PathLike[str]", **options: Any) -> Self:
        """The trained model that a source names, see `mrvae_zoo.load_pretrained`; it has to be of this class."""
        return _of_class(cls, public("load_pretrained")(source, **options), source)

    def __repr__(self) -> str:
        """A line that says what the model is, and below it the layers as torch prints them."""
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
        """What the model is, and its curve, for a notebook."""
        curve = "" if self.curve is None else self.curve._repr_html_()
        return f"<p><b>{type(self).__name__}</b> {html.escape(self._title())}</p>{curve}"

    def _check_beta(self, beta: Beta | None, batch_size: int | None) -> Tensor | None:
        """β as the network takes it; a ValueError where it is none that the model takes."""
        raise NotImplementedError


class MultiRateVAE(BaseVAE):
    """A VAE whose β is an argument: `model(x, beta)` is the β-VAE of that β. Its methods are those of `BaseVAE`.

    Source: Bae et al., "Multi-Rate VAE: Train Once, Get the Full Rate-Distortion Curve", ICLR 2023.
    """

    def at(self, beta: Beta) -> "FixedRateVAE":
        """The plain VAE at one β: a copy with the gates folded into the weights; see `BaseVAE.at`."""
        features = self.gating.features(self._check_beta(beta, None))
        low, high = self.beta_range
        on_cpu = beta.cpu() if isinstance(beta, Tensor) else beta  # some devices have no float64
        number = torch.as_tensor(on_cpu, dtype=torch.float64, device="cpu").item()
        config = replace(self.config, gating="none", beta=min(max(number, low), high))
        encoder, decoder = fold(self.encoder, features), fold(self.decoder, features)
        plain = FixedRateVAE(config, encoder, decoder).train(self.training)
        plain.name, plain.recipe, plain._told = self.name, self.recipe, self._told
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
        self._check_beta(beta, None)
        return self

    def _check_beta(self, beta: Beta | None, batch_size: int | None) -> None:
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


def unwrap(model: object) -> BaseVAE:
    """The model of the zoo in what torch wraps around one: `torch.compile`, DataParallel, DDP, an averaged model.

    Raises:
        ValueError: there is none.
    """
    inner = model
    while isinstance(inner, nn.Module) and not isinstance(inner, BaseVAE):
        parts = list(inner.children())
        inner = parts[0] if len(parts) == 1 else None
    if not isinstance(inner, BaseVAE):
        raise ValueError(f"{type(model).__name__} is no model of the zoo; pass a MultiRateVAE or a FixedRateVAE")
    return inner


def _of_class(cls: type[V], model: BaseVAE, source: object) -> V:
    """`model`, where it is of the class; else a ValueError that names the one it is of."""
    if not isinstance(model, cls):
        raise ValueError(f"{source} is a {type(model).__name__}; load it with {type(model).__name__}.from_pretrained")
    return model
