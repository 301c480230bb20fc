"""The trainings of a comparison: each in its own folder, trained once, measured once.

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

import safetensors
import safetensors.torch

from mrvae_zoo._version import __version__
from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config
from mrvae_zoo.common.devices import find_device
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.images import Shape
from mrvae_zoo.common.layout import CURVE, METRICS, RECIPE
from mrvae_zoo.common.progress import Bar, no_bar
from mrvae_zoo.data.fingerprint import fingerprint
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.evaluation.rate_distortion import Losses, example_losses, rate_distortion
from mrvae_zoo.models.curve import RDCurve
from mrvae_zoo.training.provenance import format_seconds
from mrvae_zoo.training.recipe import Recipe, TrainedRecord, read_recipe
from mrvae_zoo.training.run_folder import Progress, check_same_recipe, is_finished
from mrvae_zoo.training.side_by_side import Options, train_side_by_side
from mrvae_zoo.training.stacks import Job, stacks

DIVERGED = "diverged.json"
TEST_SEED = 0  # seed of the draws of z on the test split, the same for every model

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
        bar: A function that makes the progress bar of a training.
        measuring_bar: A function that makes the progress bar of a measurement.
        validated: The loss L on the validation split of each finished training, at its betas; None if it diverged.
    """

    folder: Path
    data_root: Path
    data: DataRecipe
    shape: Shape
    total: int
    device: str = "auto"
    bar: TrainingBar = lambda: nullcontext(lambda _: None)
    measuring_bar: Bar = no_bar
    validated: dict[str, tuple[float, ...] | None] = field(default_factory=dict)

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

        The file is created if it is missing, or if it was made from other weights or images.
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

    def train(self, runs: Sequence[Run]) -> None:
        """Train those of the runs that are not finished, side by side where that is faster, and validate them all.

        Errors are those of `validation`.
        """
        waiting = [run for run in runs if run.name not in self.validated and not self._is_found(run)]
        by_folder = {self.folder / run.name: run for run in waiting}
        jobs = [Job(recipe=run.recipe, run=folder, betas=run.betas) for folder, run in by_folder.items()]
        for group in stacks(jobs, find_device(self.device)):
            self._train([by_folder[job.run] for job in group], group)

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

    def _train(self, runs: Sequence[Run], jobs: Sequence[Job]) -> None:
        logger.info(self._number(runs))
        for job in jobs:
            job.run.mkdir(exist_ok=True)
        with self.bar() as report:
            options = Options(
                data_root=self.data_root, resume=True, split="valid", draws=1, device=self.device, report=report
            )
            results = train_side_by_side(jobs, options)
        for run, result in zip(runs, results, strict=True):
            if isinstance(result, FloatingPointError):
                diverged = {"error": str(result), "of": self._made_of}
                write_atomically(self.folder / run.name / DIVERGED, json.dumps(diverged) + "\n")
                logger.info("%s diverged: %s", run.name, result)
                self.validated[run.name] = None
                continue
            losses = self.validated[run.name] = self._on_validation(run)
            time = format_seconds(self.trained(run).seconds)
            figures = ", ".join(f"{loss:.2f}" for loss in losses)
            logger.info("%s: %s nats on the validation split, %s", run.name, figures, time)

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
