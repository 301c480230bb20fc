"""One training repeated with several seeds: how far a figure depends on the seed.

Letters: S seeds.
"""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mrvae_zoo.common.devices import find_device
from mrvae_zoo.common.layout import RECIPE
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.recipe import Recipe
from mrvae_zoo.training.side_by_side import Options, train_side_by_side
from mrvae_zoo.training.stacks import Job, stacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """L = D + β·R at one β over S seeds.

    Attributes:
        beta: The β.
        mean: The mean of L over the seeds, in nats per image.
        deviation: The standard deviation over the seeds, in nats per image.
        losses: L of each seed.
    """

    beta: float
    mean: float
    deviation: float
    losses: tuple[float, ...]


def train_seeds(recipe: Recipe, run: Path, count: int, options: Options) -> dict[int, MultiRateVAE]:
    """Train a recipe with several seeds, side by side where that is faster, each into its folder RUN/seed-N.

    Args:
        recipe: The recipe, which holds the first seed.
        run: The folder for the folders of the trainings. It is created if it is missing.
        count: The number of seeds.
        options: What the trainings share.

    Returns:
        The model of each seed.

    Raises:
        ValueError: The folder holds a single training.
        FloatingPointError: The loss or a weight of one was not finite; the others are finished. Other errors are those
            of `train`.
    """
    if (run / RECIPE).is_file():
        raise ValueError(f"{run} holds a single training; give another folder for several seeds")
    seeds = range(recipe.training.seed, recipe.training.seed + count)
    recipes = [replace(recipe, training=replace(recipe.training, seed=seed)) for seed in seeds]
    jobs = [Job(recipe=one, run=run / f"seed-{one.training.seed}") for one in recipes]
    models: dict[int, MultiRateVAE] = {}
    errors = []
    with _made(run):
        for job in jobs if options.resume else ():
            job.run.mkdir(exist_ok=True)
        for group in stacks(jobs, find_device(options.device)):
            for job, result in zip(group, train_side_by_side(group, options), strict=True):
                if isinstance(result, FloatingPointError):
                    errors.append(f"{job.run}: {result}")
                else:
                    models[job.recipe.training.seed] = result
    if errors:
        raise FloatingPointError("; ".join(errors))
    return {seed: models[seed] for seed in seeds}


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder for what is written inside the `with` block; it goes again if nothing was."""
    folder.mkdir(exist_ok=True)
    try:
        yield
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def spread(models: Sequence[MultiRateVAE]) -> list[Spread]:
    """Return the spread of L over models of the same β; of one model it is 0."""
    curves = [model.require_curve() for model in models]
    rows = []
    for beta in curves[0].betas:
        losses = tuple(curve.at(beta).loss for curve in curves)
        deviation = statistics.stdev(losses) if len(losses) > 1 else 0.0
        rows.append(Spread(beta=beta, mean=statistics.fmean(losses), deviation=deviation, losses=losses))
    return rows
