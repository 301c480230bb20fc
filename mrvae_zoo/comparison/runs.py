"""The trainings of a comparison: each in its own folder, trained once, measured once, several at once if wanted.

Earlier work is found again: a training that was killed continues from its newest state, one that finished or diverged
is not repeated, and the losses on the test split are stored in its folder.

Letters: N images of a split.
"""

import json
import logging
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from mrvae_zoo._version import __version__
from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config
from mrvae_zoo.common.devices import device_name, find_device
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.images import Shape
from mrvae_zoo.common.layout import CONFIG, CURVE, METRICS, RECIPE, WEIGHTS
from mrvae_zoo.common.progress import Bar, no_bar
from mrvae_zoo.comparison.cost import measure_steps
from mrvae_zoo.comparison.spent import StepCost
from mrvae_zoo.comparison.workers import Faults, Workers, train_group
from mrvae_zoo.data.fingerprint import fingerprint
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.evaluation.rate_distortion import Losses, example_losses, rate_distortion
from mrvae_zoo.models.curve import RDCurve
from mrvae_zoo.training.provenance import format_seconds
from mrvae_zoo.training.recipe import Recipe, TrainedRecord, read_recipe
from mrvae_zoo.training.run_folder import Progress, check_same_recipe, is_finished
from mrvae_zoo.training.side_by_side import Options
from mrvae_zoo.training.signals import stop_requests
from mrvae_zoo.training.stacks import Job, stacks

DIVERGED = "diverged.json"
TEST_SEED = 0  # seed of the draws of z on the test split, the same for every model
POLL_SECONDS = 0.5  # between two looks for Ctrl-C, with several processes

logger = logging.getLogger(__name__)

TrainingBar = Callable[[], AbstractContextManager[Callable[[Progress], None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training.

    Attributes:
        name: The name of its folder.
        recipe: The recipe that is trained.
        betas: The values of β that it is measured at, in rising order.
    """

    name: str
    recipe: Recipe
    betas: tuple[float, ...]


@dataclass(kw_only=True)
class Runs:
    """The trainings in a folder.

    Attributes:
        folder: The folder that holds the folders of the trainings; it exists.
        data_root: The folder that holds the data sets.
        data: The [data] section of the recipes.
        shape: The input_shape of the models.
        total: The number of trainings, to say which one is running.
        device: The device for all of them; see `find_device`.
        processes: The number of processes that train at once, each with one thread on a CPU; 1 is this process alone.
            Several are started anew, so a script that uses them needs `if __name__ == "__main__"`.
        bar: A function that makes the progress bar of a training; not used with several processes.
        measuring_bar: A function that makes the progress bar of a measurement.
        validated: The loss L on the validation split of each finished training, at its betas; None if it diverged.
    """

    folder: Path
    data_root: Path
    data: DataRecipe
    shape: Shape
    total: int
    device: str = "auto"
    processes: int = 1
    bar: TrainingBar = lambda: nullcontext(lambda _: None)
    measuring_bar: Bar = no_bar
    validated: dict[str, tuple[float, ...] | None] = field(default_factory=dict)
    _queue: list[list[Run]] = field(default_factory=list, init=False, repr=False)  # groups that wait
    _begun: list[list[Run]] = field(default_factory=list, init=False, repr=False)  # groups that other processes train

    def validation(self, run: Run) -> tuple[float, ...] | None:
        """Return L on the validation split at each β of the run, with one draw of z per image; None if it diverged.

        The run is trained first if it is not finished.

        Raises:
            ValueError: The folder of the run holds another recipe, or the data do not fit the model.
            KeyboardInterrupt: SIGINT or SIGTERM came; the step was finished and the state saved.
            OSError: The folder cannot be written.
        """
        self.train([run])
        return self.validated[run.name]

    def test_losses(self, run: Run, beta: float, *, draws: int) -> Losses:
        """Return rate and distortion of each image of the test split, (N,) nats, from the file in the run's folder.

        The file is created if it is missing, or if it was made from other weights or images. A run whose weights were
        removed or left behind, which validation does not need, is then trained again.
        """
        path = self.folder / run.name / f"test-b{beta:.12g}-draws{draws}.safetensors"
        made_from = {
            "weights": read_config(path.parent).weights.sha256,
            "data": json.dumps(self.test_data.describe()),
            "images": fingerprint(self.test_data),
        }
        found = _read_losses(path, made_from)
        if found is not None:
            return found
        if not (path.parent / WEIGHTS).is_file():
            logger.info("%s has no weights any more: it is trained again", run.name)
            (path.parent / CONFIG).unlink()
            self.validated.pop(run.name, None)
            self.train([run])
            return self.test_losses(run, beta, draws=draws)
        logger.info("measuring %s at beta %g on the test split", run.name, beta)
        model = load_checkpoint(path.parent, device=find_device(self.device))
        with self.measuring_bar() as progress:
            losses = example_losses(model, self.test_data, beta, samples=draws, seed=TEST_SEED, progress=progress)
        write_atomically(path, safetensors.torch.save(losses._asdict(), metadata=made_from))
        return losses

    @cached_property
    def test_data(self) -> ImageData:
        """The test split, read when it is first used."""
        return load_data(self.data, "test", self.data_root, self.shape)

    @cached_property
    def _made_of(self) -> dict[str, str]:
        """What a training would be made of now: the version of the library, and the images."""
        return {"version": __version__, "data": fingerprint(load_data(self.data, "train", self.data_root, self.shape))}

    def _check_is_of_today(self, run: Run) -> None:
        """Raise a ValueError if a finished training used another version of the library, or other images."""
        record = self.trained(run)
        remedy = "remove it to train it again, or give another folder with --runs"
        if record.version != __version__:
            raise ValueError(
                f"{self.folder / run.name} was trained with mrvae_zoo {record.version}, this is {__version__}; {remedy}"
            )
        if record.data not in (None, self._made_of["data"]):
            raise ValueError(f"{self.folder / run.name} was trained on other images than these; {remedy}")

    def trained(self, run: Run) -> TrainedRecord:
        """Return what the folder of a finished run records about its training."""
        record = read_recipe(self.folder / run.name / RECIPE).trained
        if record is None:
            raise ValueError(f"{self.folder / run.name / RECIPE} has no [trained]; remove the folder to train it again")
        return record

    def training_losses(self, run: Run, *, steps_an_epoch: int) -> list[float]:
        """Return the mean of D + β·R over the steps of each epoch of a finished run, in nats per image.

        A line of metrics.jsonl is a mean over the steps since the previous line, and counts for each of them.
        """
        (beta,) = run.betas
        epochs: list[list[float]] = []
        done = 0
        for text in (self.folder / run.name / METRICS).read_text(encoding="utf-8").splitlines():
            line = Progress(**json.loads(text))
            for step in range(done, line.step):
                if step % steps_an_epoch == 0:
                    epochs.append([])
                epochs[-1].append(line.distortion + beta * line.rate)
            done = line.step
        return [statistics.fmean(each) for each in epochs]

    def train(self, runs: Sequence[Run], meanwhile: Sequence[Run] = ()) -> None:
        """Train those of the runs that are not finished, side by side where that is faster, and validate them all.

        Args:
            runs: The runs.
            meanwhile: Further runs that will be needed later. With several processes, those that would be idle begin
                them; they need not be finished in the end.

        Raises:
            RuntimeError: A process that trains ended before its time. Other errors are those of `validation`.
        """
        self._put_into_queue(runs)
        self._put_into_queue(meanwhile)
        needed = {run.name for run in runs}
        self._queue.sort(key=lambda group: not _holds(group, needed))
        if self.processes > 1:
            self._train_in_processes(needed)
            return
        while self._queue and _holds(self._queue[0], needed):
            group = self._queue.pop(0)
            logger.info(self._number(group))
            self._note(group, self._train_here(group))

    def close(self) -> None:
        """End the processes that train; what they had begun continues from its states another time."""
        if "_workers" in self.__dict__:
            self._workers.stop()
            del self.__dict__["_workers"]
            self._begun.clear()

    def step_costs(self, runs: Sequence[Run]) -> tuple[dict[str, StepCost], str]:
        """Measure one step of each run, in turn, with the threads that the trainings have.

        Returns:
            The cost of a step for each run, by its name, and the name of the device.
        """
        device, recipes = find_device(self.device), {run.name: run.recipe for run in runs}
        data = load_data(self.data, "train", self.data_root, self.shape)
        costs = measure_steps(recipes, data, device, threads=self._threads)
        return costs, device_name(device, threads=self._threads)

    @property
    def _threads(self) -> int | None:
        """The threads of a process that trains; None is what torch has here."""
        return 1 if self.processes > 1 and find_device(self.device).type == "cpu" else None

    def _put_into_queue(self, runs: Sequence[Run]) -> None:
        """Divide runs that are neither finished nor waiting into groups, to be trained later."""
        known = {run.name for group in (*self._queue, *self._begun) for run in group}
        waiting = {run.name: run for run in runs if run.name not in self.validated.keys() | known}
        by_folder = {self.folder / name: run for name, run in waiting.items() if not self._is_found(run)}
        jobs = [self._job(run) for run in by_folder.values()]
        self._queue += [[by_folder[job.run] for job in group] for group in stacks(jobs, find_device(self.device))]

    def _job(self, run: Run) -> Job:
        return Job(recipe=run.recipe, run=self.folder / run.name, betas=run.betas)

    def _options(self) -> dict[str, Any]:
        """Return what all trainings share."""
        return {"data_root": self.data_root, "resume": True, "split": "valid", "draws": 1, "device": self.device}

    @cached_property
    def _workers(self) -> Workers:
        return Workers(self.processes, self._threads, self._options())

    def _train_in_processes(self, needed: set[str]) -> None:
        """Train in other processes until what is needed is finished; they begin what waits, in its order."""
        with stop_requests() as stop:
            while needed - self.validated.keys():
                while self._queue and not self._workers.are_all_busy:
                    group = self._queue.pop(0)
                    self._begun.append(group)
                    self._workers.start(self._jobs(group))
                for jobs, faults in self._workers.finished(POLL_SECONDS):
                    names = [job.run.name for job in jobs]
                    group = next(each for each in self._begun if [run.name for run in each] == names)
                    self._begun.remove(group)
                    self._note(group, faults)
                if stop.received:
                    logger.info("stopping; %d trainings save their states", len(self._begun))
                    self.close()
                    raise KeyboardInterrupt

    def _train_here(self, group: Sequence[Run]) -> Faults:
        with self.bar() as report:
            return train_group(self._jobs(group), Options(**self._options(), report=report))

    def _jobs(self, group: Sequence[Run]) -> list[Job]:
        """Return the trainings of a group, whose folders are made."""
        jobs = [self._job(run) for run in group]
        for job in jobs:
            job.run.mkdir(exist_ok=True)
        return jobs

    def _is_found(self, run: Run) -> bool:
        """Whether earlier work is found, which is then noted in `validated`."""
        folder = self.folder / run.name
        check_same_recipe(folder, run.recipe)
        if (folder / DIVERGED).is_file() and json.loads((folder / DIVERGED).read_bytes()).get("of") == self._made_of:
            logger.info("%s diverged before", self._number([run]))
            self.validated[run.name] = None
        elif is_finished(folder):
            self._check_is_of_today(run)
            logger.info("%s is there already", self._number([run]))
            self.validated[run.name] = self._on_validation(run)
        return run.name in self.validated

    def _number(self, runs: Sequence[Run]) -> str:
        """Return which of all runs these are, for messages."""
        first, last = len(self.validated) + 1, len(self.validated) + len(runs)
        if len(runs) == 1:
            return f"run {first} of {self.total}: {runs[0].name}"
        return f"runs {first} to {last} of {self.total}, side by side: {', '.join(run.name for run in runs)}"

    def _note(self, group: Sequence[Run], faults: Faults) -> None:
        """Keep the figures of trainings that are finished, and what diverged."""
        for run, fault in zip(group, faults, strict=True):
            named = self._number([run]) if self.processes > 1 else run.name
            if fault is not None:
                diverged = {"error": fault, "of": self._made_of}
                write_atomically(self.folder / run.name / DIVERGED, json.dumps(diverged) + "\n")
                logger.info("%s diverged: %s", named, fault)
                self.validated[run.name] = None
                continue
            losses = self._on_validation(run)
            time = format_seconds(self.trained(run).seconds)
            figures = ", ".join(f"{loss:.2f}" for loss in losses)
            logger.info("%s: %s nats on the validation split, %s", named, figures, time)
            self.validated[run.name] = losses

    def _on_validation(self, run: Run) -> tuple[float, ...]:
        """Return L from the curve of a finished run; it is measured again for β that are not on the curve."""
        folder = self.folder / run.name
        curve = RDCurve.read(folder / CURVE)
        if curve.data.get("split") != "valid" or not {*run.betas} <= {*curve.betas}:
            data = load_data(self.data, "valid", self.data_root, self.shape)
            curve = rate_distortion(
                load_checkpoint(folder, device=find_device(self.device)), data, run.betas, seed=run.recipe.training.seed
            )
        return tuple(curve.at(beta).loss for beta in run.betas)


def _holds(group: Sequence[Run], names: set[str]) -> bool:
    return any(run.name in names for run in group)


def _read_losses(path: Path, made_from: dict[str, str]) -> Losses | None:
    """Read the losses in a file; None if there is none, or if it was made from something else."""
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            if file.metadata() != made_from:
                return None
            return Losses(rate=file.get_tensor("rate"), distortion=file.get_tensor("distortion"))
    except safetensors.SafetensorError:
        return None
