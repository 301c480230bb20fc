"""A dial on the autoencoder of diffusers: from an AutoencoderKL to a MultiRateVAE, and back to an AutoencoderKL at a β.

    from mrvae_zoo.diffusers import autoencoder_at, multi_rate

    model = multi_rate(AutoencoderKL.from_pretrained(...), beta_range=(0.01, 10.0))  # train it like any model
    autoencoder_at(model, 0.3).save_pretrained("vae-0.3")  # what every pipeline loads

Needs the extra `diffusers`: pip install 'mrvae-zoo[diffusers]'.
"""

from mrvae_zoo.diffusers.fixed import autoencoder_at
from mrvae_zoo.diffusers.multi_rate import multi_rate

__all__ = ["autoencoder_at", "multi_rate"]
