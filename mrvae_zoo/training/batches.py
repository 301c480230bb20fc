"""Which examples and which β a step sees: counts, the order of an epoch, and the draw of β.

Letters: N examples, B of a whole batch, b of one process.
"""

import torch
from torch import Tensor

from mrvae_zoo.common.noise import Noise, Purpose, to_uniform
from mrvae_zoo.gating.beta import beta_at, min_share_at
from mrvae_zoo.training.recipe import ObjectiveRecipe, TrainingRecipe


def whole_batch(training: TrainingRecipe, examples: int, num_processes: int) -> int:
    """Return B: the batch size of the recipe, or the number of examples if there are fewer.

    Raises:
        ValueError: The batch cannot be split evenly.
    """
    batch = min(training.batch_size, examples)
    if batch % (num_processes * training.accumulate):
        raise ValueError(
            f"a batch of {batch} cannot be split evenly over {num_processes} processes and "
            f"training.accumulate={training.accumulate}; choose another training.batch_size"
        )
    return batch


def count_steps(training: TrainingRecipe, examples: int) -> int:
    """Count the steps of a training: whole batches only, at least one per epoch."""
    steps = training.epochs * max(1, examples // training.batch_size)
    return steps if training.max_steps is None else min(steps, training.max_steps)


def order(examples: int, seed: Tensor, epoch: int) -> Tensor:
    """Return a random order of the examples, (N,) on the device of the seed (): a function of seed and epoch."""
    high, low = Noise(seed, torch.full_like(seed, epoch), examples).words(Purpose.ORDER, 2).unbind(1)
    return (high << 31 ^ low).argsort()


def draw_beta(
    noise: Noise, objective: ObjectiveRecipe, beta_range: tuple[float, float], batch: int, progress: Tensor
) -> Tensor:
    """Draw the β of the examples of `noise`, a part of a whole batch of B, when `progress` () is done: (b,).

    With "stratified", the β of a whole batch are one in each of B equal parts of the distribution, in random order.
    """
    places = noise.first + torch.arange(noise.count, device=noise.seed.device)
    whole = Noise(noise.seed, noise.step, batch)
    if objective.beta_sampling == "batch":
        position = whole.uniform(Purpose.BETA)[:1].expand(noise.count)
    else:
        words = whole.words(Purpose.BETA, 2)
        stratum = words[:, 1].argsort()
        position = ((stratum + to_uniform(words[:, 0])) / batch).index_select(0, places)
    at_min = min_share_at(progress, objective.beta_min_share, objective.beta_min_fall)
    return beta_at(position, beta_range, at_min=at_min, at_max=objective.beta_max_share, skew=objective.beta_skew)
