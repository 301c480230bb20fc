"""The recipes that comparisons are made from: each is read, and the command above it is one that `mrvae` takes."""

import shlex

import pytest
from helpers import CHECKOUT

from mrvae_zoo.training.recipe import read_recipe

RECIPES = sorted((CHECKOUT / "benchmarks" / "comparisons").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_nothing_is_chosen_for_one_data_set(path):
    """One way to draw β, one weighting, one gating: the defaults of a recipe."""
    recipe = read_recipe(path)
    default = read_recipe(RECIPES[0])
    assert recipe.objective == default.objective
    assert (recipe.model.gating, recipe.model.beta_range) == ("shrinkage", (0.01, 10.0))
    assert (recipe.objective.beta_min_share, recipe.objective.beta_max_share) == ((0.95, 0.1), 0.1)
    assert "[objective]" not in path.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_command_is_one_that_the_program_takes(path, mrvae, tmp_path):
    """Without data it ends with the line that says so, and not with one about its options."""
    command = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    program, *arguments = shlex.split(command)
    assert (program, arguments[0], arguments[1]) == ("mrvae", "compare", str(path.relative_to(CHECKOUT)))
    given = [{"DIR": str(tmp_path), "benchmarks/results": str(tmp_path)}.get(each, each) for each in arguments[2:]]
    done = mrvae("compare", path, *given)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["paper_omniglot", "paper_binarized_mnist", "paper_cifar10"])
def test_the_networks_of_the_paper_are_those_of_the_registry(name):
    ours = read_recipe(CHECKOUT / "benchmarks" / "comparisons" / f"mrvae_resnet.{name}.toml")
    theirs = read_recipe(CHECKOUT / "registry" / f"mrvae_resnet.{name}" / "recipe.toml")
    assert ours.model.arguments == theirs.model.arguments
    for key in ("latent_dim", "input_shape", "likelihood", "sigma"):
        assert getattr(ours.model, key) == getattr(theirs.model, key)
    assert ours.data == theirs.data
    assert ours.training == theirs.training
