"""From a model of the zoo to a stock AutoencoderKL at one β, with the scale of its latents measured there."""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mrvae_zoo.diffusers.stock import ARCHITECTURE, DOWN, KEPT, UP, autoencoder_class, name_there
from mrvae_zoo.gating.beta import Beta
from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE, unwrap

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

AT_ONCE = 16  # images


def autoencoder_at(model: BaseVAE, beta: Beta | None = None, *, images: Tensor | None = None) -> "AutoencoderKL":
    """Return the stock AutoencoderKL of diffusers at one β, which `save_pretrained` writes and every pipeline loads.

    Its `scaling_factor` and `shift_factor` bring latents to mean 0 and variance 1, (z − shift) · scale, as a diffusion
    model on them needs. They come from the statistics of the latents at this β, which are measured with the curve of
    the model, or from `images`.

    Args:
        model: A model of the architecture `mrvae_autoencoder_kl`.
        beta: The β. A model at one β (`model.at(beta)`) needs none.
        images: Images to measure the latents on, (N, C, H, W), as the model takes them. None takes what was measured
            with the curve.

    Raises:
        MissingExtraError: diffusers is not installed.
        ValueError: The model is of another architecture, or does not take this β or these images. Or its latents were
            not measured.
    """
    cls = autoencoder_class()
    model = unwrap(model)
    if model.config.architecture != ARCHITECTURE:
        raise ValueError(f"an AutoencoderKL is made of {ARCHITECTURE}, and not of {model.config.architecture}")
    if beta is None and not isinstance(model, FixedRateVAE):
        low, high = model.beta_range
        raise ValueError(f"beta is missing: pass a number in [{low:g}, {high:g}]")
    plain = model if isinstance(model, FixedRateVAE) and beta is None else model.at(beta)  # type: ignore[arg-type]
    mean, std = _measured(plain, images) if images is not None else _from_the_curve(model, plain.beta)
    arguments = plain.config.arguments
    levels = len(arguments["block_out_channels"])
    stock = cls(
        in_channels=plain.input_shape[0],
        out_channels=plain.input_shape[0],
        latent_channels=plain.latent_dim,
        down_block_types=(DOWN,) * levels,
        up_block_types=(UP,) * levels,
        scaling_factor=1 / std,
        shift_factor=mean,
        **{key: arguments[key] for key in KEPT},
    )
    weights = {name_there(name): tensor.clone() for name, tensor in plain.state_dict().items()}
    stock.load_state_dict(weights, assign=True)  # their device and dtype too
    return stock.train(plain.training)


def _from_the_curve(model: BaseVAE, beta: float) -> tuple[float, float]:
    """Return mean and standard deviation of all latents at β together, as they were measured with the curve."""
    if model.curve is None or model.curve.latents is None:
        raise ValueError(
            "the latents of this model were not measured, so the scaling factor is unknown: pass images=, or measure "
            "them with model.curve = mrvae_zoo.measure_curve(model, data)"
        )
    latents = model.latent_statistics(beta)
    mean = sum(latents.mean) / len(latents.mean)
    square = sum(std**2 + mean**2 for std, mean in zip(latents.std, latents.mean, strict=True)) / len(latents.mean)
    return _checked(mean, square)


@torch.no_grad()
def _measured(plain: FixedRateVAE, images: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of all latents of some images together, draws included."""
    training = plain.training
    plain.eval()
    total, squares, count = 0.0, 0.0, 0
    for part in images.split(AT_ONCE):
        mean, log_var = (one.double() for one in plain.encode(part.to(plain.device)))
        total += mean.sum().item()
        squares += (mean.square() + log_var.exp()).sum().item()
        count += mean.numel()
    plain.train(training)
    if count == 0:
        raise ValueError("images holds none; the scaling factor is measured on at least one")
    return _checked(total / count, squares / count)


def _checked(mean: float, square: float) -> tuple[float, float]:
    std = math.sqrt(max(0.0, square - mean**2))
    if not 0 < std < math.inf:
        raise ValueError(f"the latents have a standard deviation of {std}, which no scaling factor brings to 1")
    return mean, std
