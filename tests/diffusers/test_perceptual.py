"""The objective with a perceptual term, of the example of a plug-in, on a model that is made of an AutoencoderKL."""

import importlib
from dataclasses import replace

import pytest
import torch
from helpers import CHECKOUT, off_by

from mrvae_zoo.common.table import Table
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.diffusers import multi_rate
from mrvae_zoo.plugins import GlobalBatch
from mrvae_zoo.training import losses
from mrvae_zoo.training.losses import LossesOf
from mrvae_zoo.training.objectives import beta_vae
from mrvae_zoo.training.recipe import recipe_from_table
from mrvae_zoo.training.settings import Settings

RECIPE = {
    "model": {"architecture": "mrvae_mlp", "input_shape": [3, 24, 32], "likelihood": "gaussian"},
    "data": {"name": "noise"},
    "training": {"epochs": 1},
}


@pytest.fixture
def perceptual(monkeypatch):
    """The module of the objective."""
    monkeypatch.syspath_prepend(CHECKOUT / "examples" / "plugin")
    return importlib.import_module("mrvae_lstm.perceptual")


def test_it_sees_a_blurred_edge_that_a_squared_error_hardly_sees(perceptual):
    edge = torch.zeros(1, 1, 16, 16)
    edge[..., 8:] = 1
    blurred = torch.nn.functional.avg_pool2d(edge, (1, 5), stride=1, padding=(0, 2), count_include_pad=False)
    darker = edge - (edge - blurred).square().mean().sqrt()  # as far in squared error
    distance = perceptual.pyramid_distance
    assert distance(edge, edge).item() == 0
    assert distance(blurred, edge).shape == (1,)
    fine = torch.nn.functional.avg_pool2d(edge - blurred, 2)
    assert distance(darker, edge) > 0
    by_hand = (edge - blurred - fine.repeat_interleave(2, 2).repeat_interleave(2, 3)).abs().sum()
    assert distance(blurred, edge) > by_hand  # the first level, and more
    odd = torch.rand(2, 3, 13, 7)
    assert distance(odd, odd.flip(0)).shape == (2,)


def test_the_loss_is_that_of_the_beta_vae_and_the_term(perceptual, autoencoder, pictures):
    model = multi_rate(autoencoder)
    out = model(pictures, 0.3)
    batch, beta = GlobalBatch(examples=5, x=pictures), torch.full((5,), 0.3)
    plain = beta_vae.loss(out, beta, batch)
    term = perceptual.pyramid_distance(out.reconstruction, pictures)
    loss = perceptual.PERCEPTUAL.loss(out, beta, batch)
    assert off_by(loss, plain + perceptual.WEIGHT * term) < 1e-6
    loss.sum().backward()
    assert model.get_parameter("encoder.conv_in.weight").grad.abs().sum() > 0


def test_a_training_gives_the_images_to_the_objective(perceptual, autoencoder, pictures, monkeypatch):
    monkeypatch.setattr(losses, "objectives", Table("objective", (beta_vae, perceptual.PERCEPTUAL)))
    model = multi_rate(autoencoder)
    recipe = replace(recipe_from_table(RECIPE, where="test"), model=model.config)
    raw = ((pictures + 1) * 127.5).round().byte()
    data = ImageData(name="noise", split="train", images=raw)
    zero, found = torch.tensor(0), {}
    for name in ("beta_vae", "perceptual"):
        named = replace(recipe, objective=replace(recipe.objective, name=name))
        of = LossesOf(model, named, data, GlobalBatch(examples=5), 5, Settings(), None)
        found[name] = of(None, raw, zero, torch.tensor([0.3]), zero, zero).figures[2]
    assert found["perceptual"] > found["beta_vae"]
