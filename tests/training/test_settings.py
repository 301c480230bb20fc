"""What a recipe leaves to the machine, and what happens where it cannot be done."""

from dataclasses import replace

import pytest
import torch
from helpers import BARS_RECIPE, make_model

from mrvae_zoo.training import settings
from mrvae_zoo.training.recipe import TrainingRecipe, read_recipe, recipe_from_table
from mrvae_zoo.training.settings import WORTH_COMPILING, Settings, choose_settings
from mrvae_zoo.training.train import train

CPU, GPU = torch.device("cpu"), torch.device("cuda")
MLP, RESNET = ("mrvae_mlp", "affine"), ("mrvae_resnet", "affine")


def choose(device, kind=MLP, *, steps=10, processes=1, **keys):
    training = TrainingRecipe(epochs=1, **keys)
    return choose_settings(training, make_model(*kind), device, steps=steps, processes=processes)


@pytest.mark.parametrize("fast", [False, True])
def test_on_a_cpu(monkeypatch, fast):
    monkeypatch.setattr(settings, "has_fast_bf16", lambda: fast)
    monkeypatch.setattr(settings, "_has_compiler", lambda: True)
    precision = "bf16" if fast else "fp32"
    assert choose(CPU) == Settings(precision=precision)
    assert choose(CPU, steps=WORTH_COMPILING) == Settings(precision=precision, compile=True)
    assert choose(CPU, steps=WORTH_COMPILING, compile="none") == Settings(precision=precision, may_fall_back=False)
    assert choose(CPU, precision="fp32", compile=True) == Settings(compile=True, may_fall_back=False)
    monkeypatch.setattr(settings, "_has_compiler", lambda: False)
    assert choose(CPU, steps=WORTH_COMPILING) == Settings(precision=precision)


def test_on_a_gpu():
    assert choose(GPU) == Settings(precision="bf16", compile=True, capture=True)
    assert choose(GPU, RESNET) == Settings(precision="bf16", channels_last=True, compile=True, capture=True)
    assert choose(GPU, RESNET, channels_last=False, precision="tf32") == Settings(
        precision="tf32", compile=True, capture=True
    )
    assert choose(GPU, processes=2) == Settings(precision="bf16", compile=True)
    assert choose(GPU, compile=False) == Settings(precision="bf16", may_fall_back=False)


def test_other_devices_compute_plainly():
    assert choose(torch.device("mps"), steps=WORTH_COMPILING) == Settings()
    assert choose(CPU, precision="tf32") == Settings()


def test_true_and_false_are_words_for_the_same():
    assert TrainingRecipe(epochs=1, compile=True) == TrainingRecipe(epochs=1, compile="step")
    assert TrainingRecipe(epochs=1, compile=False) == TrainingRecipe(epochs=1, compile="none")


@pytest.mark.parametrize(
    ("key", "words"), [("channels_last", "'auto' or true or false"), ("compile", "'auto', 'step'")]
)
def test_a_wrong_word_names_the_right_ones(key, words):
    with pytest.raises(ValueError, match=f"training.{key}='maybe' should be {words}"):
        recipe_from_table({**BARS_RECIPE, "training": {**BARS_RECIPE["training"], key: "maybe"}}, where="test")


@pytest.fixture(scope="module")
def recipe():
    one = recipe_from_table(BARS_RECIPE, where="test")
    return replace(one, training=replace(one.training, max_steps=8, log_every=1))


def test_a_step_that_cannot_be_compiled(recipe, bars, tmp_path, monkeypatch, caplog):
    def compiled(function, **_):
        def call(*_):
            raise RuntimeError("Failed to find C compiler\nand more lines")

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr("mrvae_zoo.training.settings.WORTH_COMPILING", 8)
    monkeypatch.setattr("mrvae_zoo.training.settings._has_compiler", lambda: True)
    plain = train(replace(recipe, training=replace(recipe.training, compile="none")), bars, tmp_path / "a", draws=1)
    auto = train(replace(recipe, training=replace(recipe.training, compile="auto")), bars, tmp_path / "b", draws=1)
    assert "the step is not compiled: Failed to find C compiler" in caplog.text
    assert all(torch.equal(one, auto.state_dict()[name]) for name, one in plain.state_dict().items())
    assert read_recipe(tmp_path / "b" / "recipe.toml").trained.settings == "fp32"
    asked = replace(recipe, training=replace(recipe.training, compile="step"))
    with pytest.raises(
        ValueError, match=r'training.compile = "step" does not work .* Failed to find C compiler; leave'
    ):
        train(asked, bars, tmp_path / "c", draws=1)


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiled_step_learns_the_same(recipe, bars, tmp_path, precision):
    keys = {"max_steps": 15, "precision": precision, "accumulate": 2, "clip_norm": 20.0}
    data = replace(recipe.data, binarize="dynamic")
    eager, compiled = (
        train(replace(recipe, data=data, training=replace(recipe.training, compile=one, **keys)), bars, tmp_path / one)
        for one in ("none", "step")
    )
    for a, b in zip(eager.curve.points, compiled.curve.points, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-4 if precision == "fp32" else 3e-3)
    assert read_recipe(tmp_path / "step" / "recipe.toml").trained.settings == f"{precision}, compiled"
