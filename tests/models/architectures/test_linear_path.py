import functools
import math

import pytest
import torch
from helpers import assert_folded_is_gated

import mrvae_zoo
from mrvae_zoo.evaluation.linear_optimum import optimal_loss
from mrvae_zoo.models.architectures.linear_path import start

SHAPE, NOISE, RANGE = (2, 9, 6), 1e-4, (0.01, 10.0)
OPTIONS = {"widths": (4, 6), "bottleneck": 4, "components": 12, "latent_dim": 8}


def make(**options):
    return mrvae_zoo.create_model("mrvae_resnet", input_shape=SHAPE, **{**OPTIONS, **options})


@pytest.mark.parametrize("gating", ["shrinkage", "affine", "paper", "paper_2022", "concat"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_folded_is_gated(gating, norm):
    assert_folded_is_gated(functools.partial(make, norm=norm), gating, torch.rand(3, *SHAPE).double())


def test_the_gradient_reaches_every_parameter_of_a_new_model():
    torch.manual_seed(0)
    model = make()
    beta = mrvae_zoo.sample_beta(32)
    out = model(torch.rand(32, *SHAPE), beta)
    (out.distortion + beta * out.rate).mean().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize("beta", [0.01, 0.1, 1.0, 10.0])
def test_a_start_from_images_is_near_their_linear_optimum_at_every_beta(beta):
    """The closed form of Lucas et al.; the fit of log σ² over β is what is not exact."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.linalg.qr(torch.randn(108, 108, generator=generator)).Q * torch.arange(1, 109) ** -1.0
    images = (0.5 + 0.1 * torch.randn(2000, 108, generator=generator) @ mixing.T).view(-1, *SHAPE)
    model = make(likelihood="gaussian", sigma=math.sqrt(NOISE), data_range=None).eval()
    start(model.encoder, model.decoder, images, noise=NOISE, beta=RANGE[0], beta_range=RANGE)
    eigenvalues = torch.linalg.eigvalsh(torch.cov(images.flatten(1).double().T, correction=0))
    best = optimal_loss(eigenvalues, beta, sigma=math.sqrt(NOISE), latent_dim=8)
    with torch.no_grad():
        out = model(images, beta, generator=generator)
    loss = (out.distortion + beta * out.rate).mean().item()
    assert best * 0.995 < loss < best * 1.05


def test_a_network_without_a_linear_path_cannot_start_so():
    model = make(components=0)
    with pytest.raises(ValueError, match=r'start = "pca" needs a linear path, model\.components'):
        start(model.encoder, model.decoder, torch.rand(20, *SHAPE), noise=NOISE, beta=0.01, beta_range=RANGE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": 7}, "components=7 should be from latent_dim=8 to the 108 pixels, or 0"),
        ({"components": 109}, "components=109 should be from latent_dim=8 to the 108 pixels, or 0"),
        ({"sigmoid": True}, "components=12 is for layout='mirrored' without a sigmoid"),
        ({"layout": "published"}, "components=12 is for layout='mirrored' without a sigmoid"),
    ],
)
def test_a_path_that_does_not_fit_is_an_error(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
