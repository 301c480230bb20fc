"""What holds for everything registered, plug-ins included; the invariants of β are in test_vae.py, files in
test_checkpoint.py, compilation and export in test_compile.py and test_export.py, over the same list."""

import pytest
import torch
from helpers import KINDS, OPTIONS, SHAPES, make_images, make_model

import mrvae_zoo
from mrvae_zoo.gating.gates import Gate
from mrvae_zoo.gating.layers import GatedLayer
from mrvae_zoo.models.architecture_table import architectures

NAMES = mrvae_zoo.list_architectures()
LARGE = [(45, 51), (64, 33)]  # odd sizes that any backbone takes as well


def build(architecture: str, channels: int, size: tuple[int, int]) -> mrvae_zoo.MultiRateVAE:
    height, width = (None, None) if architectures[architecture].spatial else size
    torch.manual_seed(0)
    return mrvae_zoo.create_model(
        architecture, input_shape=(channels, height, width), latent_dim=3, **OPTIONS[architecture]
    ).eval()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", LARGE, ids=str)
@pytest.mark.parametrize("architecture", NAMES)
def test_odd_sizes_and_channel_counts(architecture, size, channels):
    model = build(architecture, channels, size)
    x = torch.rand(2, channels, *size)
    with torch.no_grad():
        out = model(x, torch.tensor([0.01, 10.0]))
        plain = model.at(10.0)(x, sample=False)
    assert out.reconstruction.shape == plain.reconstruction.shape == x.shape
    assert out.posterior.mean.shape[:2] == (2, 3)
    assert out.rate.shape == out.distortion.shape == (2,)
    assert torch.allclose(plain.rate[1], out.rate[1], rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_wrong_shape_is_an_error_that_says_what_is_expected(kind):
    model = make_model(*kind)
    x = make_images(model, 2)
    wrong = [x[0], x[:, :, 0], torch.cat([x, x], dim=1), x.unsqueeze(0), x[:, :, :0]]
    if not model.config.spatial:
        wrong += [x[..., :-1], x[:, :, 1:]]
    for images in wrong:
        for call in (lambda images=images: model(images, 1.0), lambda images=images: model.encode(images, 1.0)):
            with pytest.raises(ValueError, match=r"x has shape .*; this model takes \(B, "):
                call()


@pytest.mark.parametrize("architecture", [name for name, gating in KINDS if gating == "concat"])
def test_concat_tells_the_first_layer_of_each_side(architecture):
    """The first with weights; or, behind a convolution, its norm."""
    model = make_model(architecture, "concat")
    for side in (model.encoder, model.decoder):
        layers = [module for module in side.modules() if isinstance(getattr(module, "weight", None), torch.Tensor)]
        layers = [layer for layer in layers if not isinstance(layer, Gate)]
        told = [layer for layer in layers if isinstance(layer, GatedLayer)]
        behind = OPTIONS[architecture].get("norm") == "batch" and side is model.encoder
        assert told == [layers[1 if behind else 0]]


@pytest.mark.parametrize("architecture", NAMES)
def test_it_learns(architecture):
    """Twenty steps on one batch lower the loss at both ends of the range, through every layer in training mode."""
    model = build(architecture, SHAPES[architecture][0], (33, 32)).train()
    x = (torch.rand(8, model.input_shape[0], 33, 32, generator=torch.Generator().manual_seed(0)) > 0.8).float()
    beta = torch.tensor([0.01, 10.0] * 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        out = model(x, beta)
        loss = out.distortion + beta * out.rate
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
        losses.append((loss[::2].mean().item(), loss[1::2].mean().item()))
    assert losses[-1][0] < 0.95 * losses[0][0]
    assert losses[-1][1] < 0.95 * losses[0][1]
