"""What a step costs: what is counted and timed, in which turn, and under which name of a device."""

import itertools
from dataclasses import replace

import pytest
import torch
from helpers import make_plan

from mrvae_zoo.common.devices import device_name
from mrvae_zoo.comparison import cost
from mrvae_zoo.comparison.cost import measure_steps
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.models.factory import build_model
from mrvae_zoo.training.step import Step

CPU = torch.device("cpu")


@pytest.fixture
def plan():
    return make_plan(arms=("paper",), budgets=(1.0, 2.0))


@pytest.fixture
def data(plan, own_root):
    return load_data(plan.recipe.data, "train", own_root, (1, 8, 8))


@pytest.fixture
def recipes(plan):
    runs = {
        "dedicated": plan.dedicated(1.0, 0.01, 0),
        "mrvae": plan.arm("mrvae", 0.01, 0, budget=1.0),
        "twice": plan.arm("mrvae", 0.01, 0),
        "paper": plan.arm("paper", 0.01, 0),
    }
    return {label: run.recipe for label, run in runs.items()}


@pytest.fixture
def steps(monkeypatch):
    """The gatings of the steps that were taken, in order, and how much of the training was done."""
    taken = []
    take = Step.__call__

    def noting(self):
        taken.append((self.recipe.model.gating, int(self.done), self.steps))
        take(self)

    monkeypatch.setattr(Step, "__call__", noting)
    return taken


def test_steps_are_taken_in_turn_in_the_middle_of_a_training(recipes, data, steps):
    found = measure_steps(recipes, data, CPU)
    assert found.keys() == recipes.keys()
    assert {done for _, done, _ in steps} <= {0, 1, *(total // 2 for _, _, total in steps)}
    turns = [gating for gating, _ in itertools.groupby(steps, key=lambda each: each[0])]
    forward = ["none", "shrinkage", "paper"]
    assert turns[:5] == [*forward, "shrinkage", "none"] or turns[:6] == [*forward, *forward]
    assert all(turns.count(gating) >= 4 for gating in forward)
    assert found["twice"] == found["mrvae"]  # which differ in their length alone


def test_a_recipe_and_its_model_are_not_changed(recipes, data):
    before = {label: replace(recipe) for label, recipe in recipes.items()}
    threads = torch.get_num_threads()
    measure_steps(recipes, data, CPU, threads=1)
    assert recipes == before
    assert torch.get_num_threads() == threads


def test_the_median_of_the_rounds_is_taken(recipes, data, monkeypatch):
    """A clock that runs slowly in the first rounds: two seconds a step, and then one."""
    ticks = itertools.accumulate(2.0 if i < 2 * (5 + 3) else 1.0 for i in itertools.count())
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(ticks))
    found = measure_steps({"dedicated": recipes["dedicated"]}, data, CPU)
    assert found["dedicated"].seconds == 1.0


def test_parameters_operations_and_settings(recipes, data):
    found = measure_steps(recipes, data, CPU)
    for label, recipe in recipes.items():
        assert found[label].parameters == sum(each.numel() for each in build_model(recipe.model).parameters())
        assert found[label].settings == "fp32"
        assert found[label].seconds > 0
    plain, paper, shrinkage = (found[label].operations for label in ("dedicated", "paper", "mrvae"))
    assert 100 < plain < paper < shrinkage
    assert [one.operations for one in measure_steps(recipes, data, CPU).values()] == [
        one.operations for one in found.values()
    ]


def test_only_operators_that_do_something_themselves_are_counted():
    x, layer = torch.ones(2, 3), torch.nn.Linear(3, 4)
    with cost._Operators() as operators:
        layer(x)  # a transpose and an addmm
    assert operators.count == 2


def test_the_device_has_a_name():
    assert device_name(CPU, threads=1).endswith(", 1 thread")
    assert device_name(CPU, threads=3).endswith(", 3 threads")
    assert len(device_name(CPU, threads=1)) > len("x, 1 thread")
    assert device_name(torch.device("mps")).endswith("(mps)")
