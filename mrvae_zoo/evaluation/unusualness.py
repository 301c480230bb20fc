"""A measure of how unlike the data of its curve an image is, according to a model.

Letters: B batch, C, H, W image.
"""

import math

import torch
from torch import Tensor

from mrvae_zoo.gating.beta import Beta
from mrvae_zoo.models.vae import BaseVAE, unwrap


@torch.no_grad()
def unusualness(model: BaseVAE, x: Tensor, beta: Beta) -> Tensor:
    """Return the log of how many times more an image costs than the mean image of the curve: (B,), always finite.

    The value is log (L(x) / L). L(x) = D + β·R is the loss of the image at the mean of its posterior, and L is that of
    the curve at β. A usual image gives about 0; an image of e times that loss gives 1. An image unlike any training
    image may have ten million times the mean loss; the logarithm keeps it on one scale with the others. Within a test
    set, the value mostly reflects how much detail an image has. How well it detects other images has not been measured.

    Args:
        model: A model in eval mode, with its curve.
        x: The images, (B, C, H, W), as the model takes them.
        beta: The β to measure at, a number on the curve.

    Raises:
        ValueError: The model has no curve, β is outside of it, or the model does not take x.
    """
    inner = unwrap(model)
    if inner.curve is None:
        raise ValueError(
            "this model has no curve to compare with; set model.curve = mrvae_zoo.measure_curve(model, data)"
        )
    plain = inner.at(beta)
    usual = inner.curve.at(plain.beta).loss
    output = plain(x, sample=False)
    loss = output.distortion.float() + plain.beta * output.rate.float()
    bounds = torch.finfo(torch.float32)
    return loss.clamp(bounds.tiny, bounds.max).log() - math.log(max(usual, bounds.tiny))
