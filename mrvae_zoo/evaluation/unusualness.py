"""How unlike the data of its curve a model finds an image.

Letters: B batch, C, H, W image.
"""

import math

import torch
from torch import Tensor

from mrvae_zoo.gating.beta import Beta
from mrvae_zoo.models.vae import BaseVAE, unwrap


@torch.no_grad()
def unusualness(model: BaseVAE, x: Tensor, beta: Beta) -> Tensor:
    """The log of how many times more an image costs than the mean image of the model's curve: (B,), always finite.

    log (L(x) / L), with L(x) = D + β·R of the image at the mean of its posterior, and L that of the curve at β: about 0
    for a usual image, 1 for one of e times that loss. The logarithm keeps an image that is like none of the training,
    whose loss may be ten million times the mean, on one scale with the others. Among the images of a test set most of
    it is how much there is to see in an image; how well it tells other images apart has not been measured.

    Args:
        model: in eval mode, with its curve.
        x: images (B, C, H, W) as the model takes them.
        beta: a number on the curve.

    Raises:
        ValueError: the model has no curve, β is outside of it, or x is not what the model takes.
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
