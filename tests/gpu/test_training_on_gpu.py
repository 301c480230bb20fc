"""Trainings on a GPU: as one graph, side by side, resumed to the bit, and with what a CPU learns."""

import json
import signal
from dataclasses import replace

import pytest
import torch
from helpers import BARS_RECIPE

from mrvae_zoo.training.recipe import recipe_from_table
from mrvae_zoo.training.side_by_side import Options, train_side_by_side
from mrvae_zoo.training.stacks import Job
from mrvae_zoo.training.state import load_state
from mrvae_zoo.training.train import train

STEPS = 60


def make_recipe(**training):
    one = recipe_from_table(BARS_RECIPE, where="test")
    keys = {"max_steps": STEPS, "log_every": 1, "ema": 0.99, "clip_norm": 20.0, **training}
    return replace(one, training=replace(one.training, **keys), data=replace(one.data, binarize="dynamic"))


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    return torch.tensor([line["loss"] for line in lines])


@pytest.fixture(scope="module")
def on_cpu(bars, tmp_path_factory):
    run = tmp_path_factory.mktemp("cpu") / "run"
    train(make_recipe(compile="none"), bars, run, device="cpu", draws=1)
    return losses(run)


@pytest.mark.parametrize("compiled", ["none", "step"])
def test_the_steps_are_those_of_the_cpu(device, bars, tmp_path, on_cpu, compiled):
    train(make_recipe(compile=compiled), bars, tmp_path / "run", device=device, draws=1)
    assert torch.allclose(losses(tmp_path / "run"), on_cpu, rtol=1e-3)


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_other_precisions_learn_as_much(device, bars, tmp_path, on_cpu, precision):
    train(make_recipe(compile="step", precision=precision), bars, tmp_path / "run", device=device, draws=1)
    assert torch.allclose(losses(tmp_path / "run")[-10:].mean(), on_cpu[-10:].mean(), rtol=0.05)


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"architecture": "mrvae_resnet", "widths": [8, 8], "depth": 1, "bottleneck": 4},
        {"architecture": "mrvae_conv", "widths": [8, 8], "norm": "batch", "gating": "affine"},
    ],
    ids=["mlp", "resnet", "batch norm"],
)
def test_resumed_it_ends_with_the_same_bits(device, bars, tmp_path, monkeypatch, model):
    monkeypatch.setattr("mrvae_zoo.training.loop.LOG_SECONDS", 0)
    table = {**BARS_RECIPE, "model": {**BARS_RECIPE["model"], **model}}
    one = recipe_from_table(table, where="test")
    one = replace(one, training=replace(one.training, max_steps=STEPS, compile="step", precision="bf16"))

    def interrupt(progress):
        if progress.step == 30:
            signal.raise_signal(signal.SIGINT)

    whole = train(one, bars, tmp_path / "whole", device=device, draws=1).state_dict()
    with pytest.raises(KeyboardInterrupt):
        train(one, bars, tmp_path / "run", device=device, draws=1, report=interrupt)
    assert 30 <= load_state(tmp_path / "run" / "states").step < STEPS
    resumed = train(one, bars, tmp_path / "run", device=device, draws=1, resume=True).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_side_by_side_each_learns_what_it_does_alone(device, bars, tmp_path):
    one = make_recipe(compile="step")
    plain = replace(one, model=replace(one.model, gating="none"))
    changes = [(0.01, 5e-3, 1), (1.0, 2e-3, 1), (10.0, 5e-3, 2)]
    recipes = [
        replace(
            plain,
            objective=replace(one.objective, beta=beta),
            training=replace(one.training, learning_rate=rate, seed=seed),
        )
        for beta, rate, seed in changes
    ]
    jobs = [Job(recipe=each, run=tmp_path / f"together-{i}") for i, each in enumerate(recipes)]
    options = Options(data_root=bars, device=device, draws=1)
    assert not any(isinstance(result, Exception) for result in train_side_by_side(jobs, options))
    for number, each in enumerate(recipes):
        train(each, bars, tmp_path / f"alone-{number}", device=device, draws=1)
        together, alone = losses(tmp_path / f"together-{number}"), losses(tmp_path / f"alone-{number}")
        assert torch.allclose(together[:50], alone[:50], rtol=1e-4)
