import itertools
import json
import math
import re
import shutil
import sys
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
import torch
from helpers import BARS_RECIPE

import mrvae_zoo
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.evaluation.draws import draws_needed
from mrvae_zoo.evaluation.published import measure_again
from mrvae_zoo.training.batches import count_steps, order, whole_batch
from mrvae_zoo.training.objectives import beta_vae
from mrvae_zoo.training.recipe import read_recipe, recipe_from_table
from mrvae_zoo.training.schedule import make_optimizer
from mrvae_zoo.training.state import load_state
from mrvae_zoo.training.train import train
from mrvae_zoo.training.weights import Weights


@pytest.fixture(scope="module")
def recipe():
    return recipe_from_table(BARS_RECIPE, where="test")


@pytest.fixture(scope="module")
def root(bars):
    return bars


@pytest.fixture(scope="module")
def trained(root, recipe, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    reports = []
    model = train(recipe, root, run, report=reports.append)
    return model, run, reports


@pytest.mark.slow
def test_a_run_learns_and_its_rate_falls_with_beta(trained):
    model, _, reports = trained
    assert reports[-1].loss < 0.5 * reports[0].loss
    low, high = model.curve.points[0], model.curve.points[-1]
    assert low.rate > np.log(8) > high.rate  # it takes log 8 nats to say which bar
    assert low.distortion < 5 < high.distortion


def test_a_run_leaves_a_whole_checkpoint(trained, recipe, bars):
    model, run, reports = trained
    names = ["config.json", "latents.json", "metrics.jsonl", "model.safetensors", "rd_curve.json", "recipe.toml"]
    assert sorted(path.name for path in run.iterdir()) == names
    loaded = mrvae_zoo.load_pretrained(f"local-dir:{run}")
    assert loaded.config == recipe.model
    assert loaded.curve == model.curve
    assert loaded.curve.data == {"name": "binarized_mnist", "split": "test", "examples": 128}
    assert (loaded.curve.draws, len(loaded.curve.points)) == (
        tuple(draws_needed(model, load_data(recipe.data, "test", bars, (1, 8, 8)), model.curve.betas, seed=1)),
        13,
    )
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == list(range(10, 241, 10))
    assert [line["epoch"] for line in lines] == [e for e in range(12) for _ in range(2)]
    assert lines == [{k: v for k, v in asdict(report).items() if v is not None} for report in reports]
    assert {line["num_processes"] for line in lines} == {1}
    kept = read_recipe(run / "recipe.toml")
    assert replace(kept, trained=None) == recipe
    assert kept.trained.hardware.endswith(("CPU thread", "CPU threads"))
    assert kept.trained.settings == "fp32"
    assert 0 < kept.trained.seconds <= reports[-1].seconds + 1
    assert kept.trained.version == mrvae_zoo.__version__
    assert timedelta(0) <= datetime.now(UTC).date() - date.fromisoformat(kept.trained.date) <= timedelta(1)


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

    def spy(output, beta, batch):
        seeds[seed].append((beta[0].item(), output.z[0, 0].item()))
        return beta_vae.loss(output, beta, batch)

    monkeypatch.setattr("mrvae_zoo.training.losses.objectives", {"beta_vae": replace(beta_vae, loss=spy)})
    for seed in seeds:
        train(replace(recipe, training=replace(recipe.training, max_steps=6, seed=seed)), root, tmp_path / str(seed))
    assert len({*seeds[1], *seeds[2]}) == 12


def test_an_objective_learns_of_the_batch_and_the_set(root, recipe, tmp_path, monkeypatch):
    given = []

    def loss(output, beta, batch):
        given.append((len(beta), beta.unique().numel(), batch.examples, batch.start, batch.gather(beta) is beta))
        return beta_vae.loss(output, beta, batch)

    monkeypatch.setattr("mrvae_zoo.training.losses.objectives", {"beta_vae": replace(beta_vae, loss=loss)})
    one_step = replace(recipe, training=replace(recipe.training, max_steps=1))
    one_beta = replace(one_step, objective=replace(recipe.objective, beta_sampling="batch"))
    train(one_step, root, tmp_path / "a")
    train(one_beta, root, tmp_path / "b")
    few = 32 - round(0.95 * 32) + 1  # nearly all begin at the lowest β
    assert given == [(32, few, 640, 0, True), (32, 1, 640, 0, True)]


@pytest.mark.parametrize(
    ("min_share", "max_share", "expected"),
    [
        ((0.0, 0.0), 0.0, [(0, 0)] * 4),
        ((0.25, 0.25), 1 / 6, [(8, 4)] * 4),
        ((0.875, 0.375), 0.0, [(28, 0), (24, 0), (20, 0), (16, 0)]),
        ((0.875, 0.375), 0.25, [(28, 1), (24, 2), (20, 3), (16, 4)]),
    ],
)
def test_a_run_draws_as_many_at_the_ends_as_its_recipe_says(
    root, recipe, tmp_path, monkeypatch, min_share, max_share, expected
):
    """The share at β_min falls from step to step: of 32 examples 28 at first, and 12 after the last of 4 steps.

    That at β_max is one of the others, and so rises.
    """
    drawn, distinct = [], []

    def loss(output, beta, batch):
        drawn.append(((beta == torch.tensor(0.01)).sum().item(), (beta == 10).sum().item()))
        distinct.append(beta.unique().numel())
        return beta_vae.loss(output, beta, batch)

    monkeypatch.setattr("mrvae_zoo.training.losses.objectives", {"beta_vae": replace(beta_vae, loss=loss)})
    short = replace(
        recipe,
        objective=replace(recipe.objective, beta_min_share=min_share, beta_max_share=max_share),
        training=replace(recipe.training, max_steps=4),
    )
    train(short, root, tmp_path / "run")
    assert drawn == expected
    assert distinct == [32 - low - high + (low > 0) + (high > 0) for low, high in drawn]
    assert read_recipe(tmp_path / "run" / "recipe.toml").objective.beta_min_share == min_share


def test_a_training_that_starts_from_a_checkpoint_draws_as_at_the_end(root, recipe, tmp_path, monkeypatch):
    """Also when it is resumed without being told the checkpoint again."""
    short = replace(
        recipe,
        objective=replace(recipe.objective, beta_min_share=(0.875, 0.375)),
        training=replace(recipe.training, max_steps=4, checkpoint_every=2),
    )
    train(short, root, tmp_path / "first")
    at_min = []

    def loss(output, beta, batch):
        at_min.append((beta == torch.tensor(0.01)).sum().item())
        if len(at_min) == 3:
            raise KeyboardInterrupt
        return beta_vae.loss(output, beta, batch)

    monkeypatch.setattr("mrvae_zoo.training.losses.objectives", {"beta_vae": replace(beta_vae, loss=loss)})
    with pytest.raises(KeyboardInterrupt):
        train(short, root, tmp_path / "second", init=tmp_path / "first")
    train(short, root, tmp_path / "second", resume=True)
    assert at_min == [12] * 5


@pytest.mark.parametrize("gating", ["none", "affine", "shrinkage"])
def test_a_run_at_one_beta_is_told_no_other_and_measured_there_alone(root, recipe, tmp_path, monkeypatch, gating):
    losses = []

    def loss(output, beta, batch):
        assert (beta == 0.5).all()
        losses.append(beta_vae.loss(output, beta, batch))
        return losses[-1]

    monkeypatch.setattr("mrvae_zoo.training.losses.objectives", {"beta_vae": replace(beta_vae, loss=loss)})
    monkeypatch.setattr("mrvae_zoo.training.losses.draw_beta", None)
    one = replace(
        recipe,
        model=replace(recipe.model, gating=gating),
        objective=replace(recipe.objective, beta=0.5),
        training=replace(recipe.training, max_steps=1),
    )
    reports = []
    model = train(one, root, tmp_path / "run", report=reports.append)
    assert model.curve.betas == (0.5,)
    assert reports[-1].loss == pytest.approx(losses[0].mean().item(), rel=1e-6)  # no weight but 1
    assert read_recipe(tmp_path / "run" / "recipe.toml").objective.beta == 0.5
    loaded = mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / 'run'}")
    assert measure_again(loaded, root) == model.curve == loaded.curve


@pytest.mark.slow
def test_a_dedicated_run_beats_one_of_another_beta(root, recipe, tmp_path):
    """Trained at β = 10 a network spends hardly any rate, at 0.01 it tells the eight bars apart: each wins at its β."""
    plain = replace(recipe, model=replace(recipe.model, gating="none"))
    points = {}
    for beta in (0.01, 10.0):
        one = replace(plain, objective=replace(recipe.objective, beta=beta))
        (points[beta],) = train(one, root, tmp_path / str(beta)).curve.points
    low, high = points[0.01], points[10.0]
    assert low.rate > np.log(8) > high.rate
    assert low.loss < high.distortion + 0.01 * high.rate
    assert high.loss < low.distortion + 10 * low.rate


def test_the_test_set_is_not_read_where_the_curve_is_of_the_validation_split(bars, recipe, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    shutil.copy(bars / "BinarizedMNIST" / "train.npz", folder)
    (folder / "test.npz").write_bytes(b"damaged")
    one_step = replace(recipe, data=DataRecipe(name="own", held_out=40), training=replace(recipe.training, max_steps=1))
    model = train(one_step, tmp_path, tmp_path / "run", split="valid")
    chosen = {"held_out": 40, "selection_seed": 0, "stratified": False}
    assert model.curve.data == {"name": "own", "split": "valid", "examples": 40, **chosen}
    assert "on the validation set of own" in (tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8")
    assert measure_again(mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / 'run'}"), tmp_path) == model.curve
    with pytest.raises(ValueError, match=r"test.npz cannot be read"):
        train(one_step, tmp_path, tmp_path / "other")


def test_the_curve_is_measured_at_the_betas_asked_for(root, recipe, tmp_path):
    one_step = replace(recipe, training=replace(recipe.training, max_steps=1))
    model = train(one_step, root, tmp_path / "a", betas=[0.02, 3.0])
    assert model.curve.betas == (0.02, 3.0)
    assert model.curve.data["split"] == "test"
    assert "on the test set of binarized_mnist" in (tmp_path / "a" / "recipe.toml").read_text(encoding="utf-8")
    dedicated = replace(one_step, objective=replace(recipe.objective, beta=0.5))
    assert train(dedicated, root, tmp_path / "b", betas=[0.1, 0.5]).curve.betas == (0.1, 0.5)
    for wrong in ([], [3.0, 0.02], [0.02, 0.02], [0.02, 20.0]):
        with pytest.raises(ValueError, match=re.escape(f"betas={wrong} should be at least one β, rising, within")):
            train(one_step, root, tmp_path / "c", betas=wrong)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "change",
    [
        *({"schedule": "constant"}, {"schedule": "cosine"}, {"final_learning_rate": 1e-3}, {"adam_beta2": 0.999}),
        *({"ema": 0.0}, {"clip_norm": 0.1}, {"precision": "bf16"}),
    ],
)
def test_each_key_of_the_training_has_an_effect(root, recipe, tmp_path, change):
    base = replace(recipe.training, max_steps=10)
    models = [
        train(replace(recipe, training=training), root, tmp_path / name)
        for name, training in (("a", base), ("b", replace(base, **change)))
    ]
    states = [model.state_dict() for model in models]
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert all(tensor.isfinite().all() for tensor in states[1].values())


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("final", [0.0, 1e-3])
def test_the_learning_rate_follows_the_schedule(root, recipe, tmp_path, schedule, final):
    reports = []
    given = {"schedule": schedule, "final_learning_rate": final, "warmup_steps": 20}
    training = replace(recipe.training, max_steps=100, log_every=1, **given)
    train(replace(recipe, training=training), root, tmp_path / "run", report=reports.append)
    rates = [report.learning_rate for report in reports]
    shares = [(rate - final) / (5e-3 - final) for rate in rates]
    assert shares[0] == pytest.approx(1 / 20, rel=1e-4)  # the first step counts too
    assert shares[10] == pytest.approx(1 / 20 + 19 / 20 * 10 / 20)
    assert rates[:21] == sorted(rates[:21])
    assert rates[21:] == sorted(rates[21:], reverse=True)
    left = [1 - step / 80 for step in range(80)]
    if schedule == "cosine":
        left = [(1 + math.cos(math.pi * step / 80)) / 2 for step in range(80)]
    assert shares[20:] == pytest.approx(left, abs=1e-6)


def test_a_training_that_ends_within_its_warm_up_says_so(root, recipe, tmp_path, caplog):
    reports = []
    training = replace(recipe.training, max_steps=10, warmup_steps=200, log_every=1)
    train(replace(recipe, training=training), root, tmp_path / "run", draws=1, report=reports.append)
    (message,) = caplog.messages
    assert message == (
        "training.warmup_steps=200: the training ends within it, after 10 steps and at a learning rate of 0.00025"
    )
    assert max(report.learning_rate for report in reports) == pytest.approx(0.00025, rel=0.1)


@pytest.mark.parametrize("beta_range", [(1.0, 1.001), (0.01, 0.010002)])
def test_a_narrow_range_has_a_curve(root, recipe, tmp_path, beta_range):
    training = replace(recipe.training, max_steps=2)
    narrow = replace(recipe, model=replace(recipe.model, beta_range=beta_range), training=training)
    model = train(narrow, root, tmp_path / "run", draws=1)
    assert len(model.curve.points) == 13
    assert (model.curve.betas[0], model.curve.betas[-1]) == beta_range
    with pytest.raises(ValueError, match="is too narrow: a ratio of at least 1.0001 is needed"):
        replace(recipe.model, beta_range=(1.0, 1.00001))


def test_the_split_of_the_curve_may_be_chosen(mrvae, own_root, tmp_path):
    options = (
        "--data-root",
        own_root,
        "--set",
        "data.held_out=80",
        "--set",
        "training.max_steps=2",
        "--split",
        "valid",
    )
    (tmp_path / "r.toml").write_text(
        'model = {architecture = "mrvae_linear", input_shape = [1, 8, 8]}\ndata.name = "mine"\ntraining.epochs = 1\n',
        encoding="utf-8",
    )
    done = mrvae("train", "r.toml", "-o", "run", *options)
    assert done.returncode == 0, done.stderr
    curve = mrvae_zoo.RDCurve.read(tmp_path / "run" / "rd_curve.json")
    assert (curve.data["split"], curve.data["examples"]) == ("valid", 80)


def test_an_epoch_shows_each_example_once(recipe):
    training = replace(recipe.training, epochs=2, batch_size=30)
    assert count_steps(training, 100) == 6
    first, second, other = (order(100, torch.tensor(seed), epoch) for seed, epoch in ((1, 0), (1, 1), (2, 0)))
    for one in (first, second, other):
        assert torch.equal(one.sort().values, torch.arange(100))
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_small_set_is_one_batch(recipe):
    training = replace(recipe.training, epochs=2, batch_size=500)
    assert count_steps(training, 100) == 2
    assert whole_batch(training, 100, 1) == 100
    with pytest.raises(ValueError, match="a batch of 100 cannot be split evenly over 3 processes"):
        whole_batch(training, 100, 3)
    with pytest.raises(ValueError, match="training.accumulate=8; choose another training.batch_size"):
        whole_batch(replace(training, accumulate=8), 100, 1)


def test_the_curve_of_a_tcvae_reports_total_correlation(root, tmp_path):
    table = {
        **BARS_RECIPE,
        "model": {**BARS_RECIPE["model"], "beta_range": [1.0, 10.0]},
        "objective": {"name": "beta_tcvae", "beta_sampling": "batch"},
    }
    one = recipe_from_table(table, where="test")
    model = train(replace(one, training=replace(one.training, max_steps=5)), root, tmp_path / "run")
    measured = [point.total_correlation for point in model.curve.points]
    assert all(isinstance(value, float) for value in measured)
    again = measure_again(mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / 'run'}"), root)
    assert [point.total_correlation for point in again.points] == measured


def test_accumulation_gives_the_same_weights(root, recipe, tmp_path):
    short = replace(recipe.training, max_steps=15)
    whole, parts = (
        train(replace(recipe, training=replace(short, accumulate=n)), root, tmp_path / str(n)).state_dict()
        for n in (1, 4)
    )
    lines = [(tmp_path / name / "metrics.jsonl").read_text("utf-8").splitlines()[-1] for name in "14"]
    assert json.loads(lines[0])["loss"] == pytest.approx(json.loads(lines[1])["loss"], rel=1e-5)
    assert all(torch.allclose(whole[name], parts[name], rtol=1e-3, atol=1e-4) for name in whole)


def test_the_optimiser_steps_as_it_is_known_to(recipe):
    defaults = make_optimizer(torch.nn.Linear(2, 2).parameters(), recipe.training).defaults
    assert (defaults["betas"], defaults["eps"], defaults["lr"]) == ((0.9, 0.99), 1e-8, 5e-3)


@pytest.mark.parametrize("change", [{"optimizer": "adamw", "weight_decay": 0.1}, {"weight_decay": 0.1}])
def test_the_optimiser_is_that_of_the_recipe(root, recipe, tmp_path, change):
    """One step against torch's own, from the same gradient."""
    decayed, plain = (
        train(replace(recipe, training=replace(recipe.training, **keys)), root, tmp_path / name).state_dict()
        for name, keys in (("a", {"max_steps": 1, "ema": 0.0, **change}), ("b", {"max_steps": 1, "ema": 0.0}))
    )
    name = "encoder.layers.0.weight"
    difference = decayed[name] - plain[name]
    assert difference.abs().max() > 0
    if "optimizer" in change:  # decoupled: lr · decay · weight, whatever the gradient
        torch.manual_seed(recipe.training.seed)
        start = mrvae_zoo.models.factory.build_model(recipe.model).state_dict()[name]
        assert torch.allclose(difference, -5e-3 * 0.1 * start, atol=1e-6)


def test_training_starts_from_a_checkpoint(trained, root, recipe, tmp_path):
    _, run, _ = trained
    training = replace(recipe.training, max_steps=1, learning_rate=1e-9)
    model = train(replace(recipe, training=training), root, tmp_path / "again", init=run)
    start = mrvae_zoo.load_pretrained(f"local-dir:{run}").state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.allclose(tensor, start[name], atol=1e-6), name


def test_a_start_that_does_not_fit_names_the_tensors(trained, root, recipe, tmp_path):
    _, run, _ = trained
    wider = replace(recipe, model=replace(recipe.model, arguments={"widths": (16, 8), "activation": "silu"}))
    with pytest.raises(ValueError, match="does not fit the recipe's model") as error:
        train(wider, root, tmp_path / "run", init=run)
    assert "encoder.layers.0.weight has shape (32, 64), not (16, 64)" in str(error.value)
    assert "encoder.layers.4.weight is missing" in str(error.value)
    assert not (tmp_path / "run").exists()


def test_images_of_another_shape_are_an_error_before_a_run_is_made(root, recipe, tmp_path):
    wrong = replace(recipe, model=replace(recipe.model, input_shape=(1, 28, 28)))
    with pytest.raises(ValueError, match=r"has images \(1, 8, 8\); the model's input_shape is \[1, 28, 28\]"):
        train(wrong, root, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta_range": (0.1, 10.0)}, r"model.beta_range = \(0.01, 10.0\) there, and \(0.1, 10.0\) in the recipe"),
        ({"gating": "affine"}, "model.gating = 'shrinkage' there, and 'affine' in the recipe"),
        ({"arguments": {"widths": (32,), "activation": "relu"}}, "model.arguments = .*'silu'.* there, and .*'relu'"),
        ({"likelihood": "gaussian", "sigma": 1.0}, "model.likelihood = 'bernoulli' there, and 'gaussian'"),
    ],
)
def test_weights_that_would_mean_something_else_are_refused_by_name(trained, root, recipe, tmp_path, change, message):
    _, run, _ = trained
    other = replace(recipe, model=replace(recipe.model, **change))
    with pytest.raises(ValueError, match=message):
        train(other, root, tmp_path / "run", init=run)
    assert not (tmp_path / "run").exists()


def test_a_dedicated_training_may_start_from_a_folded_model(trained, root, recipe, tmp_path):
    model, _, _ = trained
    mrvae_zoo.save_pretrained(model.at(0.5), tmp_path / "folded")
    plain = replace(recipe.model, gating="none", beta_range=(0.1, 5.0))
    dedicated = replace(recipe, model=plain, objective=replace(recipe.objective, beta=0.5))
    dedicated = replace(dedicated, training=replace(recipe.training, max_steps=1, learning_rate=1e-9))
    started = train(dedicated, root, tmp_path / "run", init=tmp_path / "folded")
    for name, tensor in model.at(0.5).state_dict().items():
        assert torch.allclose(started.state_dict()[name], tensor, atol=1e-6), name


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_state(root, recipe, tmp_path, monkeypatch):
    betas = []

    def broken(output, beta, batch):
        betas.append(beta)
        loss = beta_vae.loss(output, beta, batch)
        return torch.where(beta == beta[7], torch.inf, loss) if len(betas) == 14 else loss

    monkeypatch.setattr("mrvae_zoo.training.losses.objectives", {"beta_vae": replace(beta_vae, loss=broken)})
    often = replace(recipe, training=replace(recipe.training, checkpoint_every=6))
    with pytest.raises(FloatingPointError) as error:
        train(often, root, tmp_path / "run")
    assert f"the loss is not finite at step 14, β={betas[13][7].item():.4g}; try a lower" in str(error.value)
    assert "the state of step 12 is kept" in str(error.value)
    assert load_state(tmp_path / "run" / "states").step == 12
    assert not (tmp_path / "run" / "config.json").exists()


def test_weights_that_are_not_finite_are_never_saved(root, recipe, tmp_path, monkeypatch):
    def differentiate(self, loss, *, add=False):
        real(self, loss, add=add)
        if next(count) == 8:
            self.gradient[0, 0] = torch.nan

    count, real = itertools.count(), Weights.differentiate
    monkeypatch.setattr(Weights, "differentiate", differentiate)
    often = replace(recipe, training=replace(recipe.training, checkpoint_every=3, max_steps=9))
    with pytest.raises(FloatingPointError, match="a weight is not finite after step 9; .* of step 6 is kept"):
        train(often, root, tmp_path / "run")
    assert load_state(tmp_path / "run" / "states").step == 6


def test_a_missing_extra_is_named(root, recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(mrvae_zoo.MissingExtraError, match=r"accelerate is not installed; .*mrvae-zoo\[train\]"):
        train(recipe, root, tmp_path / "run")
