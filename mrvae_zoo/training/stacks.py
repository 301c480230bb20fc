"""Which trainings run as one network, side by side, and which alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from mrvae_zoo.common.layout import STATES
from mrvae_zoo.models.factory import build_model
from mrvae_zoo.training.recipe import Recipe
from mrvae_zoo.training.state import load_state

SMALL = 500_000  # parameters: on a CPU, larger networks are not faster side by side (benchmarks/training_step.py)
MOST = 32  # trainings as one network


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One of the trainings that run side by side.

    Attributes:
        recipe: The recipe.
        run: The folder to write to.
        betas: The values of β to measure the curve at; see `train`.
    """

    recipe: Recipe
    run: Path
    betas: Sequence[float] | None = None


def stacks(jobs: Sequence[Job], device: torch.device) -> list[list[Job]]:
    """Divide trainings into groups, in their order; a group of several is trained as one network, and faster so.

    A training that continues from a state is grouped with those of the same step.
    """
    groups: dict[str, list[Job]] = {}
    for number, job in enumerate(jobs):
        state = load_state(job.run / STATES)
        alike = f"{_but_for_members(job.recipe)} {0 if state is None else state.step}"
        alone = not (can_be_stacked([job.recipe]) and worth_stacking(job.recipe, device))
        groups.setdefault(f"{number}" if alone else alike, []).append(job)
    return [group[start : start + MOST] for group in groups.values() for start in range(0, len(group), MOST)]


def can_be_stacked(recipes: Sequence[Recipe]) -> bool:
    """Whether trainings can run as one network: they do the same steps, and keep no statistics and no validation.

    Their recipes may differ in the seed, the learning rate and the objective's β.
    """
    first = recipes[0]
    if first.training.validate_every or any(True for _ in _skeleton(first).buffers()):
        return False
    return len({str(_but_for_members(recipe)) for recipe in recipes}) == 1


def worth_stacking(recipe: Recipe, device: torch.device) -> bool:
    """Whether trainings of this recipe are faster as one network than one after the other.

    A network of Linear layers leaves most of a GPU idle, and most of a step on a CPU is not arithmetic if it is small.
    Convolutions fill a device alone, and those of several networks as one are grouped convolutions, which are slow.
    """
    network = _skeleton(recipe)
    if any(isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)) for part in network.modules()):
        return False
    small = sum(one.numel() for one in network.parameters()) <= SMALL
    return device.type == "cuda" or (device.type == "cpu" and small)


def _skeleton(recipe: Recipe) -> nn.Module:
    """Return the network of a recipe without numbers in its weights."""
    with torch.device("meta"):
        return build_model(recipe.model)


def _but_for_members(recipe: Recipe) -> Recipe:
    """Return a recipe without what may differ between trainings that run as one network."""
    training = replace(recipe.training, seed=0, learning_rate=1.0)
    beta = None if recipe.objective.beta is None else recipe.model.beta_range[0]
    return replace(recipe, training=training, objective=replace(recipe.objective, beta=beta), trained=None)
