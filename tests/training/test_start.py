import json

import numpy as np
import pytest
import torch

import mrvae_zoo
from mrvae_zoo.training.recipe import recipe_from_table
from mrvae_zoo.training.train import train

RECIPE = {
    "model": {
        "architecture": "mrvae_resnet_spatial",
        "input_shape": [3, "any", "any"],
        "latent_dim": 6,
        "width": 12,
        "depth": 1,
        "bottleneck": 4,
        "likelihood": "gaussian",
        "beta_range": [0.01, 1.0],
    },
    "data": {"name": "mine", "size": [32, 32], "crop": 16},
    "training": {"epochs": 1, "max_steps": 1, "batch_size": 4, "learning_rate": 1e-8, "start": "pca"},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Pictures of two colours that run into each other."""
    folder = tmp_path_factory.mktemp("data") / "mine"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, n in (("train", 24), ("test", 8)):
        ends, ramp = rng.integers(0, 255, (2, n, 1, 1, 3)), np.linspace(0, 1, 32).reshape(1, 32, 1, 1)
        images = ends[0] * ramp + ends[1] * (1 - ramp) + 0 * np.zeros((1, 1, 32, 1))
        np.savez(folder / f"{split}.npz", images=images.astype(np.uint8))
    return folder.parent


def losses(run):
    return [point["distortion"] + point["beta"] * point["rate"] for point in json.loads(run)["points"]]


def recipe(**training):
    return recipe_from_table({**RECIPE, "training": {**RECIPE["training"], **training}}, where="test")


@pytest.fixture(scope="module")
def started(root, tmp_path_factory):
    """A training of one step that changes next to nothing."""
    run = tmp_path_factory.mktemp("runs") / "pca"
    train(recipe(), root, run, betas=[0.01, 0.1, 1.0])
    return run


def test_it_is_good_at_every_beta_before_it_has_learnt_anything(started, root, tmp_path):
    train(recipe(start="random"), root, tmp_path / "random", betas=[0.01, 0.1, 1.0])
    pca, random = (losses((run / "rd_curve.json").read_text()) for run in (started, tmp_path / "random"))
    assert all(a < 0.3 * b for a, b in zip(pca, random, strict=True))
    assert pca[0] < 0.3 * pca[-1]


def test_the_same_seed_gives_the_same_bits(started, root, tmp_path):
    train(recipe(), root, tmp_path / "again", betas=[0.01])
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (started / "model.safetensors").read_bytes()


def test_a_dedicated_vae_starts_at_its_beta(root, tmp_path):
    """Closed latents at β = 1: the optimum of the lowest β would spend more there than the images are worth."""
    table = {**RECIPE, "model": {**RECIPE["model"], "gating": "none"}, "objective": {"beta": 1.0}}
    train(recipe_from_table(table, where="test"), root, tmp_path / "one", betas=[1.0])
    lowest = {**table, "objective": {"beta": 0.01}}
    train(recipe_from_table(lowest, where="test"), root, tmp_path / "lowest", betas=[0.01])
    model = mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / 'lowest'}")
    with np.load(root / "mine" / "test.npz") as arrays:
        x = torch.from_numpy(arrays["images"]).movedim(-1, 1).float() / 255
    with torch.no_grad():
        out = model(x, 0.01, generator=torch.Generator().manual_seed(0))
    (loss,) = losses((tmp_path / "one" / "rd_curve.json").read_text())
    assert loss < 0.8 * (out.distortion + out.rate).mean()


def test_weights_of_a_checkpoint_come_first(started, root, tmp_path):
    trained = recipe(start="random")
    train(trained, root, tmp_path / "random", betas=[0.01])
    train(recipe(), root, tmp_path / "both", init=tmp_path / "random", betas=[0.01])
    (a,), (b,) = (losses((tmp_path / name / "rd_curve.json").read_text()) for name in ("random", "both"))
    assert b == pytest.approx(a, rel=1e-3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"likelihood": "bernoulli"}, r'start = "pca" needs model\.likelihood = "gaussian", not \'bernoulli\''),
        (
            {"architecture": "mrvae_mlp"},
            r'training\.start = "pca" is for mrvae_resnet, mrvae_resnet_spatial, not for mrvae_mlp',
        ),
    ],
)
def test_a_model_that_cannot_start_so_is_an_error(model, message):
    table = {**RECIPE, "model": {**RECIPE["model"], **model}}
    if model.get("architecture") == "mrvae_mlp":
        table["model"] = {"architecture": "mrvae_mlp", "input_shape": [3, 8, 8], "likelihood": "gaussian"}
    with pytest.raises(ValueError, match=message):
        recipe_from_table(table, where="test")
