import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import mrvae_zoo
from mrvae_zoo.evaluation import measure_again
from mrvae_zoo.recipes import read_recipe, recipe_from_table
from mrvae_zoo.training import batches, count_steps, train

TABLE = {
    "model": {"architecture": "mrvae_mlp", "input_shape": [1, 8, 8], "latent_dim": 4, "widths": [32]},
    "data": {"name": "binarized_mnist"},
    "training": {"epochs": 12, "batch_size": 32, "learning_rate": 5e-3, "seed": 1},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data set with something to learn: bars, whose place is one of eight."""
    root = tmp_path_factory.mktemp("data")
    (root / "BinarizedMNIST").mkdir()
    rng = np.random.default_rng(0)
    for split, n in (("train", 640), ("test", 128)):
        images = np.zeros((n, 8, 8), np.uint8)
        images[np.arange(n), rng.integers(0, 8, n)] = 1
        np.savez(root / "BinarizedMNIST" / f"{split}.npz", images=images)
    return root


@pytest.fixture(scope="module")
def recipe():
    return recipe_from_table(TABLE, where="test")


@pytest.fixture(scope="module")
def trained(root, recipe, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    reports = []
    model = train(recipe, root, run, report=reports.append)
    return model, run, reports


def test_a_run_learns_and_its_rate_falls_with_beta(trained):
    model, _, reports = trained
    assert reports[-1].loss < 0.5 * reports[0].loss
    low, high = model.curve.points[0], model.curve.points[-1]
    assert low.rate > np.log(8) > high.rate  # it takes log 8 nats to say which bar
    assert low.distortion < 5 < high.distortion


def test_a_run_leaves_a_whole_checkpoint(trained, recipe):
    model, run, reports = trained
    names = ["config.json", "metrics.jsonl", "model.safetensors", "rd_curve.json", "recipe.toml"]
    assert sorted(path.name for path in run.iterdir()) == names
    loaded = mrvae_zoo.load_pretrained(f"local-dir:{run}")
    assert loaded.config == recipe.model
    assert loaded.curve == model.curve
    assert loaded.curve.data == {"name": "binarized_mnist", "split": "test", "examples": 128}
    assert (loaded.curve.samples, len(loaded.curve.points)) == (1, 13)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == list(range(12))
    assert lines[-1]["step"] == reports[-1].step == 240
    assert {"rate", "distortion", "loss", "learning_rate", "seconds"} <= set(lines[0])
    assert read_recipe(run / "recipe.toml") == recipe


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(root, recipe, tmp_path):
    short = replace(recipe, training=replace(recipe.training, max_steps=15))
    models = [train(short, root, tmp_path / name) for name in "ab"]
    other = train(replace(short, training=replace(short.training, seed=2)), root, tmp_path / "c")
    first, second, third = (model.state_dict() for model in (*models, other))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["encoder.layers.0.weight"], third["encoder.layers.0.weight"])
    assert models[0].curve == models[1].curve


def test_the_published_curve_is_that_of_the_stored_weights(root, recipe, tmp_path):
    half = replace(recipe, training=replace(recipe.training, max_steps=15, weights_dtype="float16"))
    model = train(half, root, tmp_path / "run")
    assert all(torch.equal(t, t.half().float()) for t in model.state_dict().values())
    loaded = mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / 'run'}")
    assert measure_again(loaded, root) == loaded.curve


def test_the_noise_of_a_step_depends_on_the_seed_and_the_step(root, recipe, tmp_path, monkeypatch):
    seeds = {1: [], 2: []}

    def spy(n, beta_range, generator, device):
        seeds[seed].append(generator.initial_seed())
        return mrvae_zoo.sample_beta(n, beta_range, generator, device)

    monkeypatch.setattr("mrvae_zoo.training.sample_beta", spy)
    for seed in seeds:
        train(replace(recipe, training=replace(recipe.training, max_steps=6, seed=seed)), root, tmp_path / str(seed))
    assert len({*seeds[1], *seeds[2]}) == 12


@pytest.mark.parametrize("change", [{"schedule": "constant"}, {"ema": 0.0}, {"clip_norm": 0.1}, {"precision": "bf16"}])
def test_each_key_of_the_training_has_an_effect(root, recipe, tmp_path, change):
    base = replace(recipe.training, max_steps=10)
    models = [
        train(replace(recipe, training=training), root, tmp_path / name)
        for name, training in (("a", base), ("b", replace(base, **change)))
    ]
    states = [model.state_dict() for model in models]
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert all(tensor.isfinite().all() for tensor in states[1].values())


def test_the_learning_rate_follows_the_schedule(root, recipe, tmp_path):
    reports = []
    training = replace(recipe.training, max_steps=100, warmup_steps=20)
    train(replace(recipe, training=training), root, tmp_path / "run", report=reports.append)
    rates = [report.learning_rate for report in reports]
    assert rates[10] == pytest.approx(5e-3 * 10 / 20)
    assert rates[:21] == sorted(rates[:21])
    assert rates[21:] == sorted(rates[21:], reverse=True)
    assert rates[60] == pytest.approx(5e-3 / 2)  # halfway through the cosine that follows the warm-up
    assert 0 < rates[-1] < 1e-5


def test_an_epoch_shows_each_example_once(recipe):
    training = replace(recipe.training, epochs=2, batch_size=30)
    assert count_steps(training, 100) == 6
    got = list(batches(100, training, 6))
    for epoch in (0, 1):
        indices = torch.cat([index for e, index, _ in got if e == epoch])
        assert len(indices.unique()) == len(indices) == 90
    assert [last for _, _, last in got] == [False, False, True] * 2
    assert not torch.equal(got[0][1], got[3][1])
    assert count_steps(replace(training, batch_size=500), 100) == 2
    assert len(next(batches(100, replace(training, batch_size=500), 2))[1]) == 100


def test_training_starts_from_a_checkpoint(trained, root, recipe, tmp_path):
    _, run, _ = trained
    training = replace(recipe.training, max_steps=1, learning_rate=1e-9)
    model = train(replace(recipe, training=training), root, tmp_path / "again", init=f"local-dir:{run}")
    start = mrvae_zoo.load_pretrained(f"local-dir:{run}").state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.allclose(tensor, start[name], atol=1e-6), name


def test_a_start_that_does_not_fit_names_the_tensors(trained, root, recipe, tmp_path):
    _, run, _ = trained
    wider = replace(recipe, model=replace(recipe.model, arguments={"widths": (16, 8), "activation": "silu"}))
    with pytest.raises(ValueError, match="does not fit the recipe's model") as error:
        train(wider, root, tmp_path / "run", init=f"local-dir:{run}")
    assert "encoder.layers.0.weight has shape (32, 64), not (16, 64)" in str(error.value)
    assert "encoder.layers.4.weight is missing" in str(error.value)
    assert not (tmp_path / "run").exists()


def test_images_of_another_shape_are_an_error_before_a_run_is_made(root, recipe, tmp_path):
    wrong = replace(recipe, model=replace(recipe.model, input_shape=(1, 28, 28)))
    with pytest.raises(ValueError, match=r"has images \(1, 8, 8\); the model's input_shape is \[1, 28, 28\]"):
        train(wrong, root, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_the_run(root, recipe, tmp_path, monkeypatch):
    def broken(*_, **__):
        return torch.tensor(float("nan"), requires_grad=True)

    monkeypatch.setattr("mrvae_zoo.training.beta_vae_loss", broken)
    with pytest.raises(FloatingPointError, match="the loss is nan at step 0; try a lower training.learning_rate"):
        train(recipe, root, tmp_path / "run")


def test_a_missing_extra_is_named(root, recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(mrvae_zoo.MissingExtraError, match=r"accelerate is not installed; .*mrvae-zoo\[train\]"):
        train(recipe, root, tmp_path / "run")
