"""A default device, a default dtype and the transforms of torch.func: what a user sets for other code is no matter."""

from dataclasses import replace

import pytest
import torch
from helpers import make_data, make_images, make_model

import mrvae_zoo


def everything(model, spatial, digits, data, images):
    """Calls of a user, with what they give."""
    x = model.preprocess(digits)
    plain = spatial.at(0.3)
    z = mrvae_zoo.encode_tiled(plain, images).mean
    return [
        x,
        model(x, 0.1, sample=False).rate,
        model.encode(x, torch.full((len(x),), 0.1, device="cpu")).mean,
        model.sample(2, 0.5, generator=torch.Generator("cpu").manual_seed(0)),
        mrvae_zoo.decode_tiled(plain, z, (19, 13)),
        mrvae_zoo.rate_distortion(model, x, [0.1, 1.0], total_correlation=True).points,
        mrvae_zoo.rate_distortion(model, data, [0.1]).points,
        mrvae_zoo.rate_distortion(spatial, images, [0.1]).points,
        mrvae_zoo.importance_weighted_bound(model, x, 1.0, samples=2),
        mrvae_zoo.sample_beta(4, generator=torch.Generator("cpu").manual_seed(0)),
    ]


@pytest.fixture(scope="module")
def called(default_model, digits):
    spatial = make_model("mrvae_resnet_spatial", "shrinkage")
    data = replace(make_data(default_model, 30), name="noise")
    return default_model, spatial, digits, data, make_images(spatial, 2)


@pytest.fixture(scope="module")
def expected(called):
    return everything(*called)


def check(found, expected):
    for one, other in zip(found, expected, strict=True):
        if isinstance(one, torch.Tensor):
            assert (one.device, one.dtype) == (other.device, other.dtype)
            assert torch.equal(one, other)
        else:
            assert one == other


def test_another_default_device_changes_nothing(called, expected):
    with torch.device("meta"):  # where a tensor that was made without a device would have no values
        found = everything(*called)
    check(found, expected)


def test_another_default_dtype_changes_nothing(called, expected):
    torch.set_default_dtype(torch.float64)
    try:
        found = everything(*called)
    finally:
        torch.set_default_dtype(torch.float32)
    check(found, expected)


@pytest.mark.parametrize("kind", [("mrvae_mlp", "shrinkage"), ("mrvae_resnet", "affine"), ("mrvae_linear", "linear")])
def test_per_sample_gradients_are_those_of_each_example(kind):
    model = make_model(*kind)
    x, beta = make_images(model, 3), torch.tensor([0.02, 0.3, 5.0])

    def loss(parameters, one, its_beta):
        out = torch.func.functional_call(model, parameters, (one[None], its_beta[None]), {"sample": False})
        return (out.distortion + its_beta * out.rate).sum()

    parameters = dict(model.named_parameters())
    together = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, x, beta)
    for i in range(3):
        alone = torch.autograd.grad(loss(parameters, x[i], beta[i]), list(parameters.values()))
        for name, gradient in zip(parameters, alone, strict=True):
            assert torch.allclose(together[name][i], gradient, rtol=1e-4, atol=1e-4), name
    means = torch.func.vmap(lambda one: model.encode(one[None], 0.3).mean[0])(x)
    assert torch.allclose(means, model.encode(x, 0.3).mean, atol=1e-5)
