"""What a training step costs on this machine: seconds, and operations that are launched one by one.

The wall time of a whole training says little on a machine that also does other work. Steps of all networks are
therefore timed in turn, a few at a time, in one process and under the same conditions.
"""

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from mrvae_zoo.common.processes import make_accelerator
from mrvae_zoo.comparison.spent import StepCost
from mrvae_zoo.data.encoded_images import StreamedImages
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.models.factory import build_model
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.batches import count_steps
from mrvae_zoo.training.captured import WARM_UPS, Captured
from mrvae_zoo.training.recipe import Recipe
from mrvae_zoo.training.settings import Settings, arithmetic, choose_settings
from mrvae_zoo.training.step import Step

ROUNDS = 7
ROUND_SECONDS = 0.05  # of each training in a round, at least, where it has so many steps
LOW_RATE = 1e-6  # a learning rate with which nothing diverges


def measure_steps(
    recipes: Mapping[str, Recipe], data: ImageData, device: torch.device, *, threads: int | None = None
) -> dict[str, StepCost]:
    """Measure the cost of one step of several trainings, each computed as its training computes it.

    Steps are those in the middle of a training, where the share of the examples at β_min is its mean over the training.
    Trainings that differ in nothing that matters for a step are measured once.

    Args:
        recipes: The recipes of the trainings.
        data: The training split.
        device: The device.
        threads: The number of threads of torch on a CPU; None leaves it as it is.

    Returns:
        The cost for each key of `recipes`.
    """
    with _threads(threads):
        accelerator = make_accelerator(device)
        data = data.to(accelerator.device)
        timed: dict[str, _Timed] = {}
        keys = {}
        for label, recipe in recipes.items():
            one = _Timed(recipe, data, device)
            keys[label] = one.key
            timed.setdefault(one.key, one)
        torch._dynamo.reset()  # it keeps few compiled variants of a function, and trainings in this process left some
        for one in timed.values():
            one.warm_up()
        for number in range(ROUNDS):
            for one in [*timed.values()][:: -1 if number % 2 else 1]:
                one.take_round()
        costs = {key: one.cost() for key, one in timed.items()}
    return {label: costs[key] for label, key in keys.items()}


class _Timed:
    """The step of one training, and the seconds that it took so far.

    Args:
        recipe: The recipe of the training.
        data: The training split, on the device.
        device: The device.
    """

    def __init__(self, recipe: Recipe, data: ImageData, device: torch.device) -> None:
        training = replace(recipe.training, learning_rate=LOW_RATE, final_learning_rate=0.0)
        self.recipe, self.data, self.device = replace(recipe, training=training), data, device
        self.steps = count_steps(training, len(data))
        network = self._network()
        self.settings = choose_settings(training, network, device, steps=self.steps, processes=1)
        self.parameters = sum(one.numel() for one in network.parameters())
        self.key = f"{recipe.model} {recipe.objective} {self.settings}"
        self.seconds: list[float] = []
        self.calls = 1

    def warm_up(self) -> None:
        """Compile and capture the step if its training does, and find how many of them make a round."""
        self.step = self._make_step(self.settings)
        self.take: Callable[[], None] = Captured(self.step) if self.settings.capture else self.step
        with arithmetic(self.settings):
            try:
                self.take()
            except RuntimeError:  # it cannot be compiled here, which the training found as well
                self.settings = replace(self.settings, compile=False, capture=False)
                self.step.run_eagerly()
                self.take = self.step
            for _ in range(WARM_UPS + 1):
                self.take_steps(1)
            self.calls = max(1, round(ROUND_SECONDS / self.take_steps(1)))

    def take_round(self) -> None:
        """Time some steps."""
        with arithmetic(self.settings):
            self.seconds.append(self.take_steps(self.calls))

    def take_steps(self, count: int) -> float:
        """Take up to so many steps from the middle of the training on; returns the seconds of one."""
        middle = self.steps // 2
        count = min(count, self.steps - middle)
        self.step.done.fill_(middle)
        _synchronize(self.device)
        start = time.perf_counter()
        for _ in range(count):
            self.take()
        _synchronize(self.device)
        return (time.perf_counter() - start) / count

    def cost(self) -> StepCost:
        """Return the median of what was timed, and the operations of a step."""
        return StepCost(
            seconds=statistics.median(self.seconds),
            operations=self._operations(),
            parameters=self.parameters,
            settings=str(self.settings),
        )

    def _operations(self) -> int | None:
        """Count the operations of a step in the middle of the training."""
        if self.device.type == "cpu":
            step = self._make_step(replace(self.settings, compile=False))
            step.done.fill_(self.steps // 2)
            with _Operators() as operators:
                step()
            return operators.count
        if self.device.type != "cuda":
            return None
        self.step.done.fill_(self.steps // 2)
        _synchronize(self.device)
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # without it the profiler says when it starts and stops
        with arithmetic(self.settings), profile(activities=[ProfilerActivity.CUDA]) as profiled:
            self.take()
            _synchronize(self.device)
        events = [event for event in profiled.events() if event.device_type == DeviceType.CUDA]
        return sum(not event.is_user_annotation for event in events)

    def _network(self) -> MultiRateVAE:
        torch.manual_seed(self.recipe.training.seed)
        network = build_model(self.recipe.model)
        assert isinstance(network, MultiRateVAE)  # a recipe holds no β
        return network

    def _make_step(self, settings: Settings) -> Step:
        step = Step([self._network()], [self.recipe], self.data, make_accelerator(self.device), settings)
        step.start_epoch(0)
        if isinstance(self.data.images, StreamedImages):
            (step.raw,) = self.data.read([torch.arange(step.share)])
        return step


class _Operators(TorchDispatchMode):
    """Counts the operators of torch that are called in a `with` block, but not those that consist of others."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, operator: Callable[..., Any], _types: object, arguments: Any = (), options: Any = None
    ) -> Any:
        self.count += 1
        return operator(*arguments, **(options or {}))


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize()


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Set the number of threads inside the `with` block."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
