"""`mrvae train --init diffusers:...`: a training that starts from the weights of an AutoencoderKL."""

import re
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers_small import make_autoencoder
from helpers import failed, ok

import mrvae_zoo
from mrvae_zoo.diffusers import multi_rate
from mrvae_zoo.training.recipe import recipe_from_table

CONFIG = {"in_channels": 1, "out_channels": 1, "block_out_channels": (4, 8), "norm_num_groups": 2}
TOML = """
[model]
architecture = "mrvae_autoencoder_kl"
input_shape = [1, "any", "any"]
latent_dim = 4
likelihood = "gaussian"
data_range = [-1, 1]
block_out_channels = [4, 8]
norm_num_groups = 2

[data]
name = "mine"

[training]
epochs = 1
max_steps = 1
batch_size = 8
learning_rate = 1e-9
ema = 0.0
precision = "fp32"
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of data sets with 16 small images, "mine"."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mine").mkdir()
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        np.savez(folder / "mine" / f"{split}.npz", images=rng.integers(0, 256, (16, 8, 8), dtype=np.uint8))
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved autoencoder, as a pipeline has it."""
    folder = tmp_path_factory.mktemp("pipeline")
    make_autoencoder(**CONFIG).save_pretrained(folder / "vae")
    return folder


@pytest.mark.slow
def test_the_command_starts_from_an_autoencoder_and_records_it(mrvae, root, saved, tmp_path):
    (tmp_path / "recipe.toml").write_text(TOML)
    ok(mrvae("train", "recipe.toml", "--data-root", root, "-o", "run", "--init", f"diffusers:{saved}"))
    expected = multi_rate(saved).state_dict()
    for name, tensor in mrvae_zoo.load_pretrained(str(tmp_path / "run")).state_dict().items():
        assert torch.allclose(tensor, expected[name], atol=1e-6), name
    trained = tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())["trained"]
    assert trained["init"] == f"diffusers:{saved / 'vae'}"
    assert re.fullmatch("[0-9a-f]{64}", trained["init_sha256"])


@pytest.mark.slow
def test_what_does_not_fit_is_one_line_and_no_run(mrvae, root, saved, tmp_path):
    (tmp_path / "recipe.toml").write_text(TOML)
    common = ("train", "recipe.toml", "--data-root", root, "-o", "run", "--init")
    changes = ("--set", "model.latent_dim=8", "--set", "model.data_range=[0, 1]")
    done = mrvae(*common, f"diffusers:{saved}", *changes)
    failed(done, "model.data_range = (-1.0, 1.0) there, and (0.0, 1.0) in the recipe")
    failed(done, "model.latent_dim = 4 there, and 8 in the recipe")
    failed(mrvae(*common, f"diffusers:{tmp_path}"), "holds no AutoencoderKL")
    failed(mrvae(*common, "diffusers:a/b/c"), "neither a folder nor the name of a repository")
    assert not (tmp_path / "run").exists()


def test_a_training_in_python_starts_from_the_folder(root, saved, tmp_path):
    recipe = recipe_from_table(tomllib.loads(TOML), where="test")
    model = mrvae_zoo.train(recipe, root, tmp_path / "run", init=saved / "vae")
    expected = multi_rate(saved).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.allclose(tensor, expected[name], atol=1e-6), name
    other = replace(recipe, model=replace(recipe.model, arguments=recipe.model.arguments | {"layers_per_block": 2}))
    with pytest.raises(ValueError, match="model.layers_per_block = 1 there, and 2 in the recipe"):
        mrvae_zoo.train(other, root, tmp_path / "other", init=saved / "vae")
