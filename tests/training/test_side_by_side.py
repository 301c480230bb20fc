"""Trainings as one network: each learns what it does alone, writes its own folder, and may end before the others."""

import json
import signal
from dataclasses import replace

import pytest
import torch
from helpers import BARS_RECIPE

import mrvae_zoo
from mrvae_zoo.training.recipe import read_recipe, recipe_from_table
from mrvae_zoo.training.run_folder import write_recipe
from mrvae_zoo.training.side_by_side import Options, train_side_by_side
from mrvae_zoo.training.stacks import Job, can_be_stacked, stacks, worth_stacking
from mrvae_zoo.training.state import load_state
from mrvae_zoo.training.train import train
from mrvae_zoo.training.weights import Weights

STEPS = 50
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def recipe():
    table = {**BARS_RECIPE, "data": {"name": "binarized_mnist", "binarize": "dynamic"}}
    one = recipe_from_table(table, where="test")
    keys = {"max_steps": STEPS, "log_every": 1, "ema": 0.99, "clip_norm": 20.0, "warmup_steps": 5}
    return replace(one, training=replace(one.training, **keys))


def vary(recipe, *, seed=1, rate=5e-3, beta=None):
    plain = recipe if beta is None else replace(recipe, model=replace(recipe.model, gating="none"))
    training = replace(recipe.training, seed=seed, learning_rate=rate)
    return replace(plain, training=training, objective=replace(recipe.objective, beta=beta))


def jobs_of(recipes, folder):
    return [Job(recipe=one, run=folder / str(number)) for number, one in enumerate(recipes)]


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [line["step"] for line in lines], torch.tensor([line["loss"] for line in lines])


MEMBERS = {
    "one beta, same noise": [{"beta": 0.01}, {"beta": 1.0, "rate": 2e-3}, {"beta": 10.0}],
    "one beta, other seeds": [{"beta": 1.0, "seed": 1}, {"beta": 1.0, "seed": 2}],
    "gated, other rates": [{"rate": 5e-3}, {"rate": 1e-3}],
    "gated, other seeds": [{"seed": 1}, {"seed": 2}, {"seed": 3}],
}


@pytest.mark.parametrize("members", MEMBERS.values(), ids=MEMBERS)
@pytest.mark.parametrize("architecture", ["mrvae_mlp", pytest.param("mrvae_resnet", marks=pytest.mark.long)])
def test_each_learns_what_it_does_alone(recipe, bars, tmp_path, members, architecture):
    if architecture == "mrvae_resnet":
        arguments = {"widths": (4, 6), "depth": 1, "bottleneck": 3, "norm": "none", "activation": "silu"}
        recipe = replace(recipe, model=replace(recipe.model, architecture=architecture, arguments=arguments))
    recipes = [vary(recipe, **member) for member in members]
    jobs = jobs_of(recipes, tmp_path)
    results = train_side_by_side(jobs, Options(data_root=bars, draws=1))
    for job, model in zip(jobs, results, strict=True):
        alone = train(job.recipe, bars, tmp_path / "alone", draws=1, force=True)
        (steps, ours), (_, theirs) = losses(job.run), losses(tmp_path / "alone")
        assert steps == list(range(1, STEPS + 1))
        assert torch.allclose(ours, theirs, rtol=1e-4)
        assert model.curve.points[0].loss == pytest.approx(alone.curve.points[0].loss, rel=1e-4)
        kept = read_recipe(job.run / "recipe.toml")
        assert replace(kept, trained=None) == job.recipe
        assert kept.trained.settings == f"fp32, {len(members)} side by side"
        loaded = mrvae_zoo.load_pretrained(job.run)
        assert all(torch.equal(loaded.state_dict()[name], one) for name, one in model.state_dict().items())
    assert len({tuple(losses(job.run)[1].tolist()) for job in jobs}) == len(jobs)


def test_stopped_together_they_go_on_together_or_alone(recipe, bars, tmp_path, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.training.loop.LOG_SECONDS", 0)
    jobs = jobs_of([vary(recipe, beta=beta) for beta in (0.01, 10.0)], tmp_path)
    (tmp_path / "whole").mkdir()
    uninterrupted = jobs_of([job.recipe for job in jobs], tmp_path / "whole")
    whole = train_side_by_side(uninterrupted, Options(data_root=bars, draws=1))

    def interrupt(progress):
        if progress.step == 20:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_side_by_side(jobs, Options(data_root=bars, draws=1, report=interrupt))
    assert [load_state(job.run / "states").step for job in jobs] == [21, 21]
    (group,) = stacks(jobs, CPU)
    assert group == jobs
    resumed = train_side_by_side(jobs, Options(data_root=bars, draws=1, resume=True))
    for ours, theirs in zip(resumed, whole, strict=True):
        expected = theirs.state_dict()
        assert all(torch.equal(one, expected[name]) for name, one in ours.state_dict().items())
    assert losses(jobs[0].run)[0] == list(range(1, STEPS + 1))


def test_those_at_different_steps_continue_one_by_one(recipe, bars, tmp_path, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.training.loop.LOG_SECONDS", 0)
    jobs = jobs_of([vary(recipe, beta=beta) for beta in (0.01, 10.0)], tmp_path)

    def interrupt(progress):
        if progress.step == 20:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(jobs[0].recipe, bars, jobs[0].run, draws=1, report=interrupt)
    jobs[1].run.mkdir()
    assert [len(group) for group in stacks(jobs, CPU)] == [1, 1]
    models = train_side_by_side(jobs, Options(data_root=bars, draws=1, resume=True))
    for job, model in zip(jobs, models, strict=True):
        alone = train(job.recipe, bars, tmp_path / "alone", draws=1, force=True).state_dict()
        assert all(torch.equal(one, alone[name]) for name, one in model.state_dict().items())


def test_one_that_diverges_ends_and_the_others_go_on(recipe, bars, tmp_path, monkeypatch):
    def differentiate(self, loss, *, add=False):
        real(self, loss, add=add)
        self.gradient[1] = torch.nan

    real = Weights.differentiate
    monkeypatch.setattr(Weights, "differentiate", differentiate)
    jobs = jobs_of([vary(recipe, beta=1.0), vary(recipe, beta=1.0, rate=1.0)], tmp_path)
    first, second = train_side_by_side(jobs, Options(data_root=bars, draws=1))
    assert isinstance(second, FloatingPointError)
    assert "the loss is not finite at step 2, β=1; try a lower training.learning_rate" in str(second)
    assert not (jobs[1].run / "config.json").exists()
    assert all(tensor.isfinite().all() for tensor in first.state_dict().values())
    assert losses(jobs[0].run)[0] == list(range(1, STEPS + 1))


def test_what_can_be_one_network(recipe, tmp_path):
    one = vary(recipe, beta=1.0)
    assert can_be_stacked([one, vary(recipe, beta=10.0, seed=5, rate=1e-4)])
    assert not can_be_stacked([one, recipe])
    longer = replace(one, training=replace(one.training, max_steps=STEPS + 1))
    assert not can_be_stacked([one, longer])
    validated = replace(one, training=replace(one.training, validate_every=10))
    assert not can_be_stacked([validated, validated])
    arguments = {"widths": (4, 6), "depth": 1, "bottleneck": 3, "norm": "batch", "activation": "silu"}
    normed = replace(one, model=replace(one.model, architecture="mrvae_resnet", arguments=arguments))
    assert not can_be_stacked([normed, normed])
    with pytest.raises(ValueError, match="differ in more than seed, learning rate and β"):
        train_side_by_side(jobs_of([one, longer], tmp_path), Options(data_root=tmp_path))


def test_where_one_network_is_faster(recipe):
    arguments = {"widths": (1024, 1024), "activation": "silu"}
    large = replace(recipe, model=replace(recipe.model, arguments=arguments))
    convolutional = {"widths": (4, 6), "depth": 1, "bottleneck": 3, "norm": "none", "activation": "silu"}
    resnet = replace(recipe, model=replace(recipe.model, architecture="mrvae_resnet", arguments=convolutional))
    assert worth_stacking(recipe, CPU)
    assert not worth_stacking(large, CPU)
    assert worth_stacking(large, torch.device("cuda"))
    assert not worth_stacking(resnet, torch.device("cuda"))
    assert not worth_stacking(resnet, CPU)
    assert not worth_stacking(recipe, torch.device("mps"))


def test_several_seeds_on_the_command_line(recipe, bars, tmp_path, mrvae):
    write_recipe(tmp_path, replace(recipe, training=replace(recipe.training, max_steps=5)))
    done = mrvae("train", "recipe.toml", "--data-root", bars, "-o", "runs", "--seeds", "3", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    curves = [mrvae_zoo.load_pretrained(tmp_path / "runs" / f"seed-{seed}").curve for seed in (1, 2, 3)]
    assert [row["beta"] for row in rows] == list(curves[0].betas)
    for number, row in enumerate(rows):
        each = [curve.points[number].loss for curve in curves]
        assert row["losses"] == pytest.approx(each)
        assert row["mean"] == pytest.approx(sum(each) / 3)
        assert row["deviation"] == pytest.approx(torch.tensor(each, dtype=torch.float64).std().item())
    again = mrvae("train", "recipe.toml", "--data-root", bars, "-o", "runs", "--seeds", "3")
    assert again.returncode == 1
    assert "runs exists; pass --force to overwrite it" in again.stderr
    more = mrvae("train", "recipe.toml", "--data-root", bars, "-o", "runs", "--seeds", "4", "--resume")
    assert more.returncode == 0, more.stderr
    header = "beta     L, mean  deviation  seed 1  seed 2  seed 3  seed 4"
    assert more.stdout.splitlines()[0] == header
    single = mrvae("train", "recipe.toml", "--data-root", bars, "-o", "runs/seed-1", "--seeds", "2", "--force")
    assert single.returncode == 1
    assert "runs/seed-1 holds a single training; give another folder for several seeds" in single.stderr
    nothing = mrvae("train", "recipe.toml", "--data-root", tmp_path / "no", "-o", "new", "--seeds", "2")
    assert nothing.returncode == 1
    assert not (tmp_path / "new").exists()
