"""rd_curve.json as others may write it."""

import json

import pytest

from mrvae_zoo import RDCurve
from mrvae_zoo.evaluation.published import measured_split

POINT = {"beta": 1.0, "rate": 1.0, "distortion": 2.0}


def text(**data):
    return json.dumps({"points": [POINT], "data": data})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": 5}, "rd_curve.json: data.name=5 should be a string"),
        ({"name": "mnist", "split": ["test"]}, r"data.split=\['test'\] should be a string"),
        (
            {"name": "mnist", "binarize": "sometimes"},
            "data.binarize='sometimes' is not one of 'none', 'static', 'dynamic'",
        ),
        ({"name": "mnist", "size": 64}, "data.size=64 should be a list of 2"),
        ({"name": "mnist", "examples": "many"}, "data.examples='many' should be an integer"),
        ({"name": "mnist", "held_out": True}, "data.held_out=True should be an integer"),
    ],
)
def test_odd_types_are_named(data, message):
    with pytest.raises(ValueError, match=message):
        RDCurve.from_json(text(**data))


@pytest.mark.parametrize(
    "points", [[], {}, [1], [{"beta": "1"}], [POINT | {"samples": 0}], [POINT | {"standard_error": "?"}]]
)
def test_odd_points_are_named(points):
    with pytest.raises(ValueError, match=r"rd_curve.json"):
        RDCurve.from_json(json.dumps({"points": points}))


def test_a_split_that_there_is_not(default_model, tmp_path):
    import copy

    model = copy.deepcopy(default_model)
    model.curve = RDCurve.from_json(text(name="mnist", split="holdout"))
    with pytest.raises(ValueError, match="data.split='holdout' is not one of 'train', 'valid', 'test'"):
        measured_split(model, tmp_path)
