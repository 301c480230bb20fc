"""A sweep beside ten trainings: the regret and the rank correlation, and that the page shows what the file holds."""

import importlib
import json

import pytest
from helpers import CHECKOUT

BETAS = [0.01, 0.1, 1.0, 10.0]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    return importlib.import_module("sweep_against_dedicated")


def seed(ours, theirs, recommended, best):
    """What the file holds of one seed and one metric."""
    dedicated = {f"{beta:g}": {"knn": value} for beta, value in zip(BETAS, theirs, strict=True)}
    return {"mrvae": {"knn": {"values": ours, "recommended": recommended, "best": best}}, "dedicated": dedicated}


def test_the_regret_is_what_the_recommended_beta_costs(script):
    found = script.outcome(seed([80.0, 90.0, 95.0, 70.0], [81.0, 96.0, 94.5, 60.0], 1.0, 0.1), "knn", BETAS)
    assert found["regret"] == 1.5
    assert found["regret_of_best"] == 0.0
    assert (found["dedicated_best"], found["dedicated_top"], found["dedicated_range"]) == (0.1, 96.0, 36.0)
    assert found["correlation"] == pytest.approx(1 - 6 * 2 / (4 * 15))  # two neighbours in rank have changed places


def test_a_beta_between_two_trainings_is_that_of_the_nearer_one(script):
    found = script.outcome(seed([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0], 0.25, 4.0), "knn", BETAS)
    assert (found["regret"], found["regret_of_best"]) == (3.0, 0.0)


def test_the_page_shows_what_the_file_holds(script):
    results = json.loads(script.RESULT.read_text(encoding="utf-8"))
    page = script.PAGE.read_text(encoding="utf-8")
    assert f"{script.BEGIN}\n\n{script.describe(results)}\n{script.END}" in page
    assert script.complete(results["MNIST"])
