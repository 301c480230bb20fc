import functools
import math

import pytest
import torch
from helpers import assert_folded_is_gated, make_images, make_model, off_by

import mrvae_zoo

NAME = "mrvae_resnet_spatial"
SIZES = [(32, 32), (45, 51), (8, 24), (1, 1), (64, 40)]


@pytest.mark.parametrize("size", SIZES)
def test_any_size_at_run_time(size):
    model = make_model(NAME, "shrinkage")
    places = tuple(-(-side // 8) for side in size)
    x = torch.rand(2, 3, *size)
    out = model(x, torch.tensor([0.1, 1.0]))
    assert out.reconstruction.shape == (2, 3, *size)
    assert out.z.shape == (2, 6, *places)
    assert out.rate.shape == out.distortion.shape == (2,)
    assert out.posterior.kl_map().shape == (2, *places)
    assert torch.allclose(out.posterior.kl_map().sum((1, 2)), out.rate, rtol=1e-5)
    for drawn in (model.sample(2, 1.0, size=size), model.at(1.0).sample(2, size=size)):
        assert drawn.shape == (2, 3, *size)


def test_padding_repeats_the_border_and_is_cut_off():
    """As if the image had been padded by hand; the distortion is of the image alone."""
    model = make_model(NAME, "shrinkage", dtype=torch.float64)
    x = make_images(model, 2)
    assert x.shape[2:] == (19, 13)
    padded = torch.nn.functional.pad(x, (0, 3, 0, 5), mode="replicate")
    out, by_hand = model(x, 0.3, sample=False), model(padded, 0.3, sample=False)
    assert torch.equal(out.z, by_hand.z)
    assert off_by(out.reconstruction, by_hand.reconstruction[..., :19, :13]) < 1e-12
    assert (out.distortion < by_hand.distortion).all()


@pytest.mark.parametrize("gating", ["shrinkage", "affine", "paper", "paper_2022", "concat"])
def test_folded_is_gated(gating):
    options = {"input_shape": (2, None, None), "latent_dim": 3, "width": 6, "depth": 1, "bottleneck": 4}
    make = functools.partial(mrvae_zoo.create_model, NAME, **options)
    assert_folded_is_gated(make, gating, torch.rand(3, 2, 16, 8).double())


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("size", [(203, 333), (64, 64), (7, 130)])
def test_tiles_give_what_the_whole_image_gives(size, depth):
    torch.manual_seed(0)
    options = {"width": 6, "depth": depth, "bottleneck": 3, "latent_dim": 4}
    model = mrvae_zoo.create_model(NAME, input_shape=(3, None, None), **options).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        plain, x = model.at(0.3), torch.rand(2, 3, *size, dtype=torch.float64)
        whole, tiled = plain.encode(x), mrvae_zoo.encode_tiled(plain, x, tile=64)
        assert off_by(tiled.mean, whole.mean) < 1e-12
        assert off_by(tiled.log_var, whole.log_var) < 1e-12
        decoded = mrvae_zoo.decode_tiled(plain, whole.mean, size, tile=64)
        assert decoded.shape == x.shape
        assert off_by(decoded, plain(x, sample=False).reconstruction) < 1e-12


def test_the_margin_is_needed():
    """With one place less around a tile there are seams: the reach is not larger than it has to be by much."""
    torch.manual_seed(0)
    model = make_model(NAME, "shrinkage", dtype=torch.float64).at(0.3)
    x = torch.rand(1, 3, 128, 128, dtype=torch.float64)
    from mrvae_zoo.inference import tiling

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(tiling, "reach", lambda _: 1)
        assert off_by(mrvae_zoo.encode_tiled(model, x, tile=32).mean, model.encode(x).mean) > 1e-9


@pytest.mark.parametrize("tile", [0, 4, 60, -8])
def test_a_tile_that_is_none_is_an_error(tile):
    plain = make_model(NAME, "shrinkage").at(0.3)
    with pytest.raises(ValueError, match=f"tile={tile} should be a multiple of 8"):
        mrvae_zoo.encode_tiled(plain, make_images(plain, 1), tile=tile)
    with pytest.raises(ValueError, match="tiles are for a spatial model"):
        mrvae_zoo.encode_tiled(make_model("mrvae_mlp", "shrinkage").at(0.3), torch.rand(1, 2, 5, 4))


def test_wrong_shapes_are_errors():
    model = make_model(NAME, "shrinkage")
    with pytest.raises(ValueError, match=r"x has shape \(1, 1, 8, 8\); this model takes \(B, 3, any, any\)"):
        model(torch.rand(1, 1, 8, 8), 0.3)
    with pytest.raises(ValueError, match="this model takes"):
        model(torch.rand(1, 3, 0, 8), 0.3)
    with pytest.raises(ValueError, match=r"this model takes a tensor \(B, 6, h, w\)"):
        model.decode(torch.zeros(1, 6), 0.3)
    for size in (None, (0, 8)):
        with pytest.raises(ValueError, match="size="):
            model.sample(1, 0.3, size=size)
    with pytest.raises(ValueError, match="this model has a size of its own; leave it out"):
        make_model("mrvae_mlp", "shrinkage").sample(1, 0.3, size=(8, 8))
    with pytest.raises(ValueError, match="any size for mrvae_resnet_spatial"):
        mrvae_zoo.create_model(NAME, input_shape=(3, 32, 32))
    with pytest.raises(ValueError, match=r"should be \(C, H, W\) for mrvae_mlp"):
        mrvae_zoo.create_model("mrvae_mlp", input_shape=(3, None, None))
    with pytest.raises(ValueError, match="for any size"):
        mrvae_zoo.create_model(NAME, input_shape=(3, None, 32))


def test_images_keep_their_size_and_share_it():
    import numpy as np

    model = make_model(NAME, "shrinkage")
    images = [np.zeros((20, 30, 3), np.uint8)] * 2
    assert model.preprocess(images).shape == (2, 3, 20, 30)
    with pytest.raises(ValueError, match="images of one size only, not RGB 20×20 and RGB 30×20; one at a time"):
        model.preprocess([*images, np.zeros((20, 20, 3), np.uint8)])


@pytest.mark.parametrize("size", [(512, 768), (8, 17), (24, 8), (0, 8)])
def test_tiles_of_latents_of_another_size_are_an_error(size):
    plain = make_model("mrvae_resnet_spatial", "affine").at(0.3)
    z = torch.zeros(1, 6, 3, 2)
    for right in ((24, 16), (17, 9), (20, 16)):
        assert mrvae_zoo.decode_tiled(plain, z, right).shape[-2:] == right
    with pytest.raises(ValueError, match=r"z has shape \(1, 6, 3, 2\); an image of size=.* has latents \(B, 6, "):
        mrvae_zoo.decode_tiled(plain, z, size)


def test_the_pixels_of_a_patch_begin_alike():
    """So random weights draw no checkerboards: the output is constant over each patch."""
    torch.manual_seed(0)
    model = mrvae_zoo.create_model(NAME, input_shape=(3, None, None), latent_dim=4, width=12).eval()
    with torch.no_grad():
        drawn = model.decode(torch.randn(1, 4, 3, 3), 0.3)
    patches = drawn.unfold(2, 8, 8).unfold(3, 8, 8)
    assert torch.equal(patches.amin((-1, -2)), patches.amax((-1, -2)))
    assert drawn.std() > 0


CORRELATED = torch.randn(192, 192, generator=torch.Generator().manual_seed(1)) / 192**0.5
FALLING = 0.5 * torch.arange(1, 193) ** -0.8


def photographs(count):
    """Images of independent patches, a linear mixture of Gaussian signals whose variance falls."""
    signals = FALLING * torch.randn(count, 4, 4, 192, generator=torch.Generator().manual_seed(2))
    patches = 0.5 + 0.1 * signals @ torch.linalg.qr(CORRELATED).Q.T
    return torch.nn.functional.pixel_shuffle(patches.movedim(-1, 1), 8)


def started(images, gating="shrinkage", beta=None, noise=5e-5):
    """A model that starts from images, and the closed form of L at a β for the same patches."""
    from mrvae_zoo.evaluation.linear_optimum import optimal_loss
    from mrvae_zoo.models.architectures.resnet_spatial import start

    beta_range = (0.01, 10.0)
    options = {"latent_dim": 160, "width": 192, "likelihood": "gaussian", "sigma": math.sqrt(noise), "data_range": None}
    model = mrvae_zoo.create_model(
        NAME, input_shape=(3, None, None), beta_range=beta_range, gating=gating, bottleneck=8, **options
    ).eval()
    start(model.encoder, model.decoder, images, noise=noise, beta=beta or beta_range[0], beta_range=beta_range)
    rows = torch.nn.functional.pixel_unshuffle(images, 8).movedim(1, -1).reshape(-1, 192).double()
    eigenvalues = torch.linalg.eigvalsh(torch.cov(rows.T, correction=0))
    places = images.shape[-2] // 8 * (images.shape[-1] // 8)
    return model, lambda at: places * optimal_loss(eigenvalues, at, sigma=math.sqrt(noise), latent_dim=160)


@pytest.mark.parametrize(("beta", "off"), [(0.01, 0.01), (0.1, 0.03), (1.0, 0.05), (10.0, 0.05)])
def test_a_start_from_images_is_near_the_linear_optimum_of_their_patches_at_every_beta(beta, off):
    """The closed form of Lucas et al.; the fit of log σ² over β is what is not exact."""
    images = photographs(300)
    model, optimum = started(images)
    with torch.no_grad():
        out = model(images, beta, generator=torch.Generator().manual_seed(0))
    loss = (out.distortion + beta * out.rate).mean().item()
    assert optimum(beta) * 0.995 < loss < optimum(beta) * (1 + off)


def test_a_start_at_a_single_beta_is_exact_for_plain_layers():
    images = photographs(300)
    model, optimum = started(images, gating="none", beta=0.5, noise=1e-6)  # all latents are in use
    with torch.no_grad():
        out = model(images, 0.5, generator=torch.Generator().manual_seed(0))
    assert (out.distortion + 0.5 * out.rate).mean().item() == pytest.approx(optimum(0.5), rel=2e-3)


def test_a_start_with_more_latents_than_components_is_an_error():
    from mrvae_zoo.models.architectures.resnet_spatial import start

    model = mrvae_zoo.create_model(NAME, input_shape=(3, None, None), latent_dim=32, width=16)
    with pytest.raises(ValueError, match=r"model\.latent_dim=32 should be at most 16"):
        start(model.encoder, model.decoder, torch.rand(2, 3, 16, 16), noise=0.5, beta=0.01, beta_range=(0.01, 10.0))
