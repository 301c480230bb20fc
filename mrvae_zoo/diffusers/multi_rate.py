"""From an AutoencoderKL to a MultiRateVAE that at first computes the same at every β."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from mrvae_zoo.diffusers.stock import autoencoder_class, load, locate, options_of, weights_of
from mrvae_zoo.models.factory import create_model
from mrvae_zoo.models.vae import MultiRateVAE

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

DATA_RANGE = (-1.0, 1.0)


def multi_rate(
    autoencoder: "AutoencoderKL | str | Path",
    *,
    beta_range: tuple[float, float] = (0.01, 10.0),
    sigma: float = math.sqrt(0.5),
    gating: str = "shrinkage",
    gating_degree: int = 3,
) -> MultiRateVAE:
    """Make a Multi-Rate VAE out of an AutoencoderKL of diffusers, which is copied; train it like any model.

    At first it computes at every β what the autoencoder computes. Its images lie in [-1, 1], as in diffusers, its
    likelihood is Gaussian, and its latents have places, (B, Z, h, w). They are not scaled: at one β, `autoencoder_at`
    measures the scaling factor.

    Args:
        autoencoder: The autoencoder, or the folder or Hub repository to load it from.
        beta_range: The range of β, (β_min, β_max), for L = D + β·R in nats per image.
        sigma: The standard deviation of the likelihood. With √½, D is the sum of squared errors.
        gating: The gating: "shrinkage", whose gates do nothing at β_min, or "affine".
        gating_degree: The number of functions of β that a gate is made of.

    Returns:
        The model, of the architecture `mrvae_autoencoder_kl`, in the mode, dtype and on the device of the autoencoder.

    Raises:
        MissingExtraError: diffusers is not installed.
        ValueError: An argument is wrong, or the autoencoder is none that the architecture has; the message names it.
    """
    cls = autoencoder_class()
    stock = load(locate(autoencoder)) if isinstance(autoencoder, str | Path) else autoencoder
    if not isinstance(stock, cls):
        raise ValueError(f"{type(stock).__name__} is not an AutoencoderKL; for other autoencoders, see mrvae_zoo.gate")
    model = create_model(
        **options_of(stock.config),
        beta_range=beta_range,
        likelihood="gaussian",
        sigma=sigma,
        data_range=DATA_RANGE,
        gating=gating,
        gating_degree=gating_degree,
    )
    model.to(stock.device, stock.dtype)
    model.load_state_dict(model.state_dict() | weights_of(stock))
    return model.train(stock.training)
