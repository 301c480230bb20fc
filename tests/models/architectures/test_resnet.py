"""The published layout of mrvae_resnet, beside networks that are written out here layer by layer."""

from typing import Any

import pytest
import torch
from helpers import CHECKOUT, make_images, off_by
from torch import nn

import mrvae_zoo
from mrvae_zoo.comparison.flops import training_flops
from mrvae_zoo.models.factory import build_model, config_from_options
from mrvae_zoo.training.recipe import read_recipe

PUBLISHED = {"block": "basic", "layout": "published", "activation": "relu"}
RECIPES = {  # parameters and MFLOP of a training example, without gates
    "paper_binarized_mnist": (1_881_217, 321.2),
    "paper_omniglot": (1_881_217, 321.2),
    "paper_cifar10": (7_896_963, 656),
    "paper_svhn": (2_391_491, 623),
    "paper_celeba64": (2_770_819, 947),
}
SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64)]
GATINGS = ["shrinkage", "affine", "paper", "paper_open", "paper_2022", "concat"]


def widths(shape: tuple[int, int, int]) -> tuple[int, ...]:
    return (4, 6, 6, 6) if shape[1] == 64 else (4, 6, 6)


def make(shape: tuple[int, int, int], gating: str, **options: Any) -> mrvae_zoo.MultiRateVAE:
    """A narrow network of the published layout in float64, its gates away from their initial values."""
    options = {"latent_dim": 5, "widths": widths(shape)} | PUBLISHED | options
    torch.manual_seed(0)
    model = mrvae_zoo.create_model("mrvae_resnet", input_shape=shape, gating=gating, **options).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


def written_out(shape: tuple[int, int, int]) -> tuple[nn.Sequential, nn.Sequential]:
    """The published encoder and decoder at one size."""
    relu, (a, b, *_) = nn.ReLU(), widths(shape)
    down = [nn.Conv2d(shape[0], a, 4, 2, 1), relu, nn.Conv2d(a, b, 4, 2, 1), relu]
    blocks = [[Residual(b), Residual(b)] for _ in range(2)]
    if shape[1] == 28:
        side, down = 4, [*down, nn.Conv2d(b, b, 3, 2, 1), relu]
        early = [nn.ConvTranspose2d(b, b, 3, 2, 1), relu]
        late = [nn.ConvTranspose2d(b, a, 3, 2, 1, 1), relu, nn.ConvTranspose2d(a, shape[0], 3, 2, 1, 1)]
    elif shape[1] == 32:
        side, down = 8, [*down, nn.Conv2d(b, b, 3, 1, 1), relu]
        early = []
        late = [nn.ConvTranspose2d(b, a, 4, 2, 1), relu, nn.ConvTranspose2d(a, shape[0], 4, 2, 1)]
    else:
        side, down = 4, [*down, nn.Conv2d(b, b, 3, 2, 1), relu, nn.Conv2d(b, b, 3, 2, 1), relu]
        early = [nn.ConvTranspose2d(b, b, 3, 2, 1), relu]
        late = [nn.ConvTranspose2d(b, b, 5, 2, 1), relu, nn.ConvTranspose2d(b, a, 5, 2, 1, 1), relu]
        late += [nn.ConvTranspose2d(a, shape[0], 4, 2, 1)]
    flat = b * side * side
    encoder = nn.Sequential(*down, *blocks[0], nn.Flatten(), nn.Linear(flat, 10))
    decoder = nn.Sequential(nn.Linear(5, flat), nn.Unflatten(1, (b, side, side)), *early, *blocks[1], *late)
    return encoder.double(), decoder.double()


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_the_network_that_is_written_out(shape, sigmoid):
    model = make(shape, "none", sigmoid=sigmoid, likelihood="gaussian", sigma=1.0, data_range=None)
    encoder, decoder = written_out(shape)
    for theirs, ours in ((encoder, model.encoder), (decoder, model.decoder)):
        pairs = zip(theirs.state_dict(), ours.state_dict().values(), strict=True)
        theirs.load_state_dict(dict(pairs))
    x, z = make_images(model, 3), torch.randn(3, 5, dtype=torch.float64)
    posterior, expected = model.encode(x, 1.0), decoder(z)
    assert off_by(torch.cat([posterior.mean, posterior.log_var], dim=1), encoder(x)) < 1e-12
    assert off_by(model.decode(z, 1.0), torch.sigmoid(expected) if sigmoid else expected) < 1e-12


@pytest.mark.parametrize("name", RECIPES)
def test_the_networks_of_the_recipes_have_the_published_sizes(name):
    parameters, mflop = RECIPES[name]
    config = read_recipe(CHECKOUT / "registry" / f"mrvae_resnet.{name}" / "recipe.toml").model
    assert config.gating == "paper"
    gated = sum(p.numel() for p in build_model(config).parameters())
    options = {key: getattr(config, key) for key in ("input_shape", "latent_dim", "likelihood", "sigma")}
    plain = config_from_options(
        {"architecture": config.architecture, "gating": "none", **options, **config.arguments}, where="test"
    )
    assert sum(p.numel() for p in build_model(plain).parameters()) == parameters
    counts = [training_flops(one, config.input_shape, torch.tensor([0.1, 1.0])) / 1e6 for one in (config, plain)]
    assert counts == [pytest.approx(mflop, rel=0.005)] * 2
    convolutions = sum(part.out_channels for part in build_model(plain).modules() if hasattr(part, "out_channels"))
    assert gated - parameters == 2 * (convolutions - config.input_shape[0])  # w and b of each hidden channel
    text = (CHECKOUT / "registry" / f"mrvae_resnet.{name}" / "recipe.toml").read_text(encoding="utf-8")
    assert f"{gated:,} parameters ({parameters:,}" in " ".join(text.replace("\n#", "").split())


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("gating", GATINGS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_folded_gated_and_per_image_are_equal(shape, gating, norm):
    model = make(shape, gating, norm=norm)
    x, beta = make_images(model, 3), torch.tensor([0.01, 0.7, 10.0], dtype=torch.float64)
    each = model(x, beta, sample=False)
    assert each.reconstruction.shape == x.shape
    for i, value in enumerate(beta.tolist()):
        alone, plain = model(x[i : i + 1], value, sample=False), model.at(value)(x[i : i + 1], sample=False)
        for out in (alone, plain):
            assert off_by(out.reconstruction, each.reconstruction[i : i + 1]) < 1e-10
            assert off_by(out.posterior.mean, each.posterior.mean[i : i + 1]) < 1e-10
            assert off_by(out.distortion, each.distortion[i : i + 1]) < 1e-10


@pytest.mark.parametrize("gating", ["paper", "paper_2022"])
def test_the_layers_that_the_published_gates_leave_alone(gating):
    """Mean and log σ², the Linear layer that reads the latents, and the output."""
    model = make((1, 28, 28), gating)
    plain = [
        [part for part in side.modules() if type(part) in (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)]
        for side in (model.encoder, model.decoder)
    ]
    assert plain == [[model.encoder.layers[-1]], [model.decoder.layers[0], model.decoder.layers[-1]]]


def test_the_defaults_are_narrow_blocks_in_the_mirrored_layout():
    made = []
    for options in ({}, {"block": "narrow", "layout": "mirrored", "sigmoid": False}):
        torch.manual_seed(0)
        made.append(mrvae_zoo.create_model("mrvae_resnet", input_shape=(1, 8, 8), widths=(4, 6), **options))
    first, second = (model.state_dict() for model in made)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert made[0].config == made[1].config


def test_basic_blocks_in_the_mirrored_layout():
    """Two convolutions of full width in each of the four blocks."""
    counts = [
        sum(p.numel() for p in mrvae_zoo.create_model("mrvae_resnet", input_shape=(1, 9, 8), **options).parameters())
        for options in (
            {"widths": (4, 6), "gating": "none", "block": "basic"},
            {"widths": (4, 6), "gating": "none", "depth": 0},
        )
    ]
    assert counts[0] - counts[1] == 4 * 2 * (6 * 6 * 9 + 6)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 30, 30), {}, "layout='published' is for images of 28×28, 32×32, 64×64, not 30×30; take 'mirrored'"),
        ((3, 64, 64), {"widths": (4, 6, 6)}, r"widths=\(4, 6, 6\) should hold 4 for layout='published' at 64×64"),
        ((1, 28, 28), {"layout": "theirs"}, "layout='theirs' is not one of 'mirrored', 'published'"),
        ((1, 28, 28), {"block": "wide"}, "block='wide' is not one of 'narrow', 'basic'"),
    ],
)
def test_what_there_is_no_layout_for(shape, options, message):
    with pytest.raises(ValueError, match=message):
        make(shape, "none", **options)


def test_the_sizes_of_the_image_are_those_of_the_kernels():
    """28, 14, 7, 4 and back, as the encoder and the decoder of the smallest network pass them on."""
    model, sides = make((1, 28, 28), "none"), []
    for part in (*model.encoder.layers, *model.decoder.layers):
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            part.register_forward_hook(lambda module, given, output: sides.append(output.shape[-1]))
    model(make_images(model, 1), 1.0)
    assert sides == [14, 7, 4, 7, 14, 28]
