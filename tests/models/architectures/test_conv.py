import itertools

import pytest
import torch
from helpers import make_gating, make_images, off_by
from torch import nn

import mrvae_zoo
from mrvae_zoo.gating.layers import GatedLayer
from mrvae_zoo.models.architectures.blocks import ConvBlocks, halving_kernel, halvings

SIZES = [(28, 28), (32, 32), (64, 64), (96, 96), (45, 51), (1, 7)]
SMALL = {"mrvae_conv": {"widths": (4, 6), "depth": 1}, "mrvae_resnet": {"widths": (4, 6, 6), "bottleneck": 3}}


def make(architecture: str, shape: tuple[int, int, int], **options) -> mrvae_zoo.MultiRateVAE:
    torch.manual_seed(0)
    options = {"latent_dim": 5} | SMALL[architecture] | options
    return mrvae_zoo.create_model(architecture, input_shape=shape, **options).eval()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("architecture", SMALL)
def test_any_size_and_number_of_channels(architecture, size, channels):
    model = make(architecture, (channels, *size))
    out = model(make_images(model, 2), torch.tensor([0.01, 10.0]))
    assert out.reconstruction.shape == (2, channels, *size)
    assert out.z.shape == (2, 5)


@pytest.mark.parametrize("size", SIZES)
def test_a_halving_is_undone_exactly(size):
    sizes = halvings(size, 4)
    for large, small in itertools.pairwise(sizes):
        kernel = halving_kernel(large)
        x = nn.Conv2d(1, 1, kernel, stride=2, padding=1)(torch.zeros(1, 1, *large))
        assert x.shape[2:] == small
        assert nn.ConvTranspose2d(1, 1, kernel, stride=2, padding=1)(x).shape[2:] == large


def test_a_residual_block_adds_to_its_input():
    """With a body that gives zeros it is the activation alone."""
    blocks = ConvBlocks(make_gating("none"), "encoder", "none", "silu")
    block, x = blocks.residual(6, 3), torch.randn(2, 6, 5, 4)
    assert not torch.equal(block(x, None), nn.functional.silu(x))
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
    assert torch.equal(block(x, None), nn.functional.silu(x))


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("architecture", SMALL)
def test_every_pre_activation_is_gated_once(architecture, norm):
    """A convolution or Linear is gated itself, or plain and without bias before a gated norm."""
    model = make(architecture, (1, 13, 10), norm=norm)
    for side in (model.encoder, model.decoder):
        layers = [
            m for m in side.modules() if isinstance(m, (nn.Linear, nn.modules.conv._ConvNd)) or "Norm" in str(type(m))
        ]
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            if not isinstance(layer, GatedLayer):
                assert layer.bias is None
                assert isinstance(following, GatedLayer)
                assert "Norm" in type(following).__name__
    assert isinstance(model.encoder.layers[-1], GatedLayer)  # μ and log σ²
    assert isinstance(model.decoder.layers[-1], GatedLayer)  # the output


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("gating", ["shrinkage", "affine", "paper", "paper_2022", "concat"])
@pytest.mark.parametrize("architecture", SMALL)
def test_folded_is_gated_for_every_norm(architecture, gating, norm):
    """With gates away from the identity and statistics of a trained batch norm."""
    model = make(architecture, (2, 12, 9), norm=norm, gating=gating).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.train()
        for seed in range(3):
            model(make_images(model, 16, seed=seed), mrvae_zoo.sample_beta(16).double())
        model.eval()
        x, beta = make_images(model, 3), torch.tensor([0.01, 0.7, 10.0], dtype=torch.float64)
        each = model(x, beta, sample=False)
        for i in range(3):
            plain = model.at(beta[i].item())
            dedicated = make(architecture, (2, 12, 9), norm=norm, gating="none")
            assert [type(m) for m in plain.modules()][1:] == [type(m) for m in dedicated.modules()][1:]
            out = plain(x[i : i + 1], sample=False)
            assert off_by(out.reconstruction, each.reconstruction[i : i + 1]) < 1e-10
            assert off_by(out.rate, each.rate[i : i + 1]) < 1e-10


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64)])
def test_gates_are_few_at_the_sizes_of_the_zoo(shape):
    counts = [
        sum(p.numel() for p in mrvae_zoo.create_model("mrvae_resnet", input_shape=shape, gating=gating).parameters())
        for gating in ("affine", "none")
    ]
    assert counts[0] / counts[1] <= 1.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ()}, "at least one width"),
        ({"widths": (4, 0)}, "each at least 1"),
        ({"depth": -1}, "depth=-1 should be between 0 and 64"),
        ({"depth": 10**9}, "should be between 0 and 64"),
        ({"norm": "layer"}, "norm='layer' is not one of"),
    ],
)
@pytest.mark.parametrize("architecture", SMALL)
def test_sizes_that_are_none_are_errors(architecture, options, message):
    with pytest.raises(ValueError, match=message):
        make(architecture, (1, 8, 8), **options)
