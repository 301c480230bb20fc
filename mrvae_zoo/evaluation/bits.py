"""The bound on −log p(x) in bits per pixel and channel."""

from typing import overload

from mrvae_zoo.evaluation.examples import Examples
from mrvae_zoo.evaluation.rate_distortion import rate_distortion
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.curve import RDPoint, bits_of_point
from mrvae_zoo.models.vae import BaseVAE


@overload
def bits_per_dimension(model: BaseVAE, data: Examples, *, samples: int = 1, seed: int = 0) -> float: ...


@overload
def bits_per_dimension(model: RDPoint, data: ModelConfig) -> float: ...


def bits_per_dimension(
    model: BaseVAE | RDPoint, data: Examples | ModelConfig, *, samples: int = 1, seed: int = 0
) -> float:
    """Return the bound on −log p(x) at β = 1 in bits per pixel and channel.

    The bound is D + R, with the constants of the likelihood. Under a Gaussian likelihood it is a density of the data as
    the model takes them, and may be negative. For data of 256 levels scaled to [0, 1], the customary figure for the
    8-bit values is log2 256 = 8 bits more. Under a Bernoulli likelihood it is a probability if the data are binary.

    Example:
        bits = mrvae_zoo.bits_per_dimension(model, "photos")  # a folder, a tensor, a DataLoader or a data set

    Args:
        model: A model in eval mode, or a point at β = 1 of a curve that was already measured.
        data: The data to measure on, as `rate_distortion` takes them; for a point, `model.config`.
        samples: The number of draws of z per example.
        seed: The seed of the draws.

    Raises:
        ValueError: The model does not take β = 1, it takes images of any size, or it does not take the data. For a
            point: it is at another β, where D + R is not what the model minimises.
    """
    if isinstance(model, RDPoint):
        if not isinstance(data, ModelConfig):
            raise ValueError("bits_per_dimension takes a model and data, or a point of its curve and model.config")
        return bits_of_point(model, data)
    if isinstance(data, ModelConfig):
        raise ValueError("bits_per_dimension takes a model and data, or a point of its curve and model.config")
    curve = rate_distortion(model, data, [1.0], samples=samples, seed=seed)
    return bits_of_point(curve.points[0], model.config)
