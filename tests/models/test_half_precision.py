"""Every dtype that is offered gives finite output for every valid input, those unlike the training images included."""

import pytest
import torch
from helpers import make_images, make_model

import mrvae_zoo
from mrvae_zoo.models.base import LATENT_RANGE, LOG_VAR_RANGE

DTYPES = [torch.float16, torch.bfloat16, torch.float32]


def finite(out):
    tensors = (out.reconstruction, *out.posterior, out.z, out.rate, out.distortion)
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def odd_images(model, digits):
    """Black, white, noise, and digits black on white."""
    x = make_images(model, 10)
    odd = [torch.zeros_like(x), torch.ones_like(x), x, (x > 0.5).float()]
    return [*odd, 1 - model.preprocess(digits)] if model.input_shape == (1, 28, 28) else odd


@pytest.mark.slow
@pytest.mark.parametrize("name", mrvae_zoo.list_models(pretrained=True))
def test_odd_images_give_finite_output_of_every_pretrained_model(name, digits):
    model = mrvae_zoo.load_pretrained(name)
    low, high = model.beta_range
    for dtype in DTYPES:
        stored = mrvae_zoo.load_pretrained(name, dtype=dtype)
        for x in odd_images(model, digits):
            for beta in (low, (low * high) ** 0.5, high, torch.full((len(x),), low)):
                with torch.no_grad():
                    assert finite(stored(x.to(dtype), beta)), dtype
                    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
                        assert finite(model(x, beta)), dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("architecture", ["mrvae_mlp", "mrvae_resnet_spatial"])
def test_what_an_encoder_gives_is_bounded(architecture, dtype):
    model = make_model(architecture, "affine", dtype=dtype)
    x, encode = make_images(model, 2), model.encoder.forward
    for sign in (1, -1):
        model.encoder.forward = lambda *given, sign=sign: tuple(
            sign * 1e4 * torch.ones_like(one) for one in encode(*given)
        )
        out = model(x, 0.1)
        assert finite(out)
        assert float(out.posterior.log_var.max()) == (LOG_VAR_RANGE[1] if sign > 0 else LOG_VAR_RANGE[0])
        z = torch.full_like(out.z, sign * 1e4)
        bound = torch.full_like(out.z, LATENT_RANGE[sign > 0])
        assert torch.equal(model.decode(z, 0.1), model.decode(bound, 0.1))
        assert torch.equal(model.at(0.1).decode(z), model.at(0.1).decode(bound))
