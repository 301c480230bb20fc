import json
import math
from dataclasses import replace

import pytest
import torch
from helpers import RECIPE

from mrvae_zoo import load_pretrained, rate_distortion
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.training.recipe import recipe_from_table
from mrvae_zoo.training.train import train
from mrvae_zoo.training.validation import figure


def make(**changes):
    recipe = recipe_from_table(RECIPE, where="test")
    return replace(recipe, training=replace(recipe.training, **{"epochs": 6, "validate_every": 5, **changes}))


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_log_says_the_loss_of_what_would_be_kept(own_root, tmp_path, ema):
    recipe, reports = make(ema=ema, log_every=7), []
    model = train(recipe, own_root, tmp_path / "run", draws=1, report=reports.append)
    validated = {line["step"]: line["validation"] for line in lines(tmp_path / "run") if "validation" in line}
    assert list(validated) == list(range(5, 61, 5))
    assert [each.step for each in reports if each.validation is not None] == list(validated)
    assert set(validated[60]) == {"0.01", "0.3162", "10"}
    data = load_data(recipe.data, "valid", own_root, model.input_shape)
    again = rate_distortion(model, data, (0.01, 0.3162, 10.0), seed=recipe.training.seed)
    assert list(validated[60].values()) == pytest.approx([point.loss for point in again.points], rel=1e-5)


def test_looking_changes_nothing(own_root, tmp_path):
    models = [train(make(validate_every=every), own_root, tmp_path / f"{every}", draws=1) for every in (0, 3)]
    for a, b in zip(*(model.state_dict().values() for model in models), strict=True):
        assert torch.equal(a, b)


def test_patience_stops_and_keeps_the_best_weights(own_root, tmp_path, caplog):
    recipe = make(validate_every=1, patience=4, learning_rate=0.3, epochs=40)  # which soon does harm
    with caplog.at_level("INFO", logger="mrvae_zoo"):
        model = train(recipe, own_root, tmp_path / "run", draws=1)
    validated = [line["validation"] for line in lines(tmp_path / "run")]
    figures = [figure(each) for each in validated]
    best = min(range(len(figures)), key=figures.__getitem__)
    assert len(figures) < 400
    assert best == len(figures) - 1 - 4
    assert "has not fallen for 4 validations" in caplog.text
    data = load_data(recipe.data, "valid", own_root, model.input_shape)
    for kept in (model, load_pretrained(f"local-dir:{tmp_path / 'run'}")):
        again = rate_distortion(kept, data, (0.01, 0.3162, 10.0), seed=recipe.training.seed)
        assert [point.loss for point in again.points] == pytest.approx(list(validated[best].values()), rel=1e-5)


def test_a_resumed_training_remembers_the_best(own_root, tmp_path):
    recipe = make(validate_every=1, patience=6, learning_rate=0.3, epochs=40, checkpoint_every=3)
    whole = train(recipe, own_root, tmp_path / "whole", draws=1)

    class KilledError(Exception):
        pass

    def kill(progress):
        if progress.step == len(lines(tmp_path / "whole")) - 3:
            raise KilledError

    with pytest.raises(KilledError):
        train(recipe, own_root, tmp_path / "run", draws=1, report=kill)
    resumed = train(recipe, own_root, tmp_path / "run", draws=1, resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor)
    assert [line["step"] for line in lines(tmp_path / "run")] == [line["step"] for line in lines(tmp_path / "whole")]


def test_a_training_at_one_beta_is_looked_at_there(own_root, tmp_path):
    recipe = make()
    recipe = replace(recipe, model=replace(recipe.model, gating="none"), objective=replace(recipe.objective, beta=0.5))
    train(recipe, own_root, tmp_path / "run", draws=1)
    assert set(lines(tmp_path / "run")[-1]["validation"]) == {"0.5"}


def test_what_is_wrong_is_said_before_the_training(own_root, tmp_path):
    with pytest.raises(ValueError, match="patience=3 counts validations; say how often with validate_every"):
        make(validate_every=0, patience=3)
    recipe = make()
    recipe = replace(recipe, data=replace(recipe.data, held_out=0))
    with pytest.raises(ValueError, match="mine has no validation split of its own"):
        train(recipe, own_root, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_beta_outweighs_the_others():
    assert figure({"0.01": 10.0, "1": 1000.0}) == pytest.approx(figure({"0.01": 20.0, "1": 500.0}))
    assert math.isfinite(figure({"1": 0.0}))
