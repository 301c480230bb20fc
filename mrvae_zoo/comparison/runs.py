"""The trainings of a comparison: each in a folder of its own, trained once, measured once.

What was done is found again: a training that was killed goes on from its newest state, one that is finished or diverged
is not repeated, and the losses on the test split lie in its folder.

Letters: N images of a split.
"""

import json
import logging
import statistics
from collections.abc import Callable
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
from mrvae_zoo.training.train import train

DIVERGED = "diverged.json"
TEST_SEED = 0  # of the draws of z on the test split, the same for every model

logger = logging.getLogger(__name__)

TrainingBar = Callable[[], AbstractContextManager[Callable[[Progress], None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training.

    Attributes:
        name: of its folder.
        recipe: what is trained.
        betas: what it is measured at, rising.
    """

    name: str
    recipe: Recipe
    betas: tuple[float, ...]


@dataclass(kw_only=True)
class Runs:
    """The trainings below a folder.

    Attributes:
        folder: that holds theirs; it exists.
        data_root: the folder of data sets.
        data: the [data] of the recipes.
        shape: the input_shape of the models.
        total: how many there will be, to tell which it is.
        device: where all of them run, see `find_device`.
        bar: shows the progress of a training.
        measuring_bar: shows that of a measurement.
        validated: L on the validation split of each training so far, at its betas; None where it diverged.
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
        """L on the validation split at each β of the run, one draw of z an image; None where the training diverged.

        Raises:
            ValueError: its folder holds another recipe; or the data do not fit the model.
            KeyboardInterrupt: SIGINT or SIGTERM came; the step was finished and the state saved.
            OSError: the folder cannot be written.
        """
        if run.name not in self.validated:
            number = f"run {len(self.validated) + 1} of {self.total}: {run.name}"
            self.validated[run.name] = self._train(run, number)
        return self.validated[run.name]

    def test_losses(self, run: Run, beta: float, *, draws: int) -> Losses:
        """Rate and distortion of each image of the test split, (N,) nats, from the file in the folder of the run.

        The file is made where there is none, and where it was made from other weights or images.
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
        """The test split, read when it is first wanted."""
        return load_data(self.data, "test", self.data_root, self.shape)

    @cached_property
    def _made_of(self) -> dict[str, str]:
        """What a training would be made of now: the version of the library, and the images."""
        return {"version": __version__, "data": fingerprint(load_data(self.data, "train", self.data_root, self.shape))}

    def _check_is_of_today(self, run: Run) -> None:
        """A ValueError where a finished training is of another version of the library, or of other images."""
        record = self.trained(run)
        remedy = "remove it to train it again, or give another folder with --runs"
        if record.version != __version__:
            raise ValueError(
                f"{self.folder / run.name} was trained with mrvae_zoo {record.version}, this is {__version__}; {remedy}"
            )
        if record.data not in (None, self._made_of["data"]):
            raise ValueError(f"{self.folder / run.name} was trained on other images than these; {remedy}")

    def trained(self, run: Run) -> TrainedRecord:
        """What the folder of a finished run says of its training."""
        record = read_recipe(self.folder / run.name / RECIPE).trained
        if record is None:
            raise ValueError(f"{self.folder / run.name / RECIPE} has no [trained]; remove the folder to train it again")
        return record

    def training_losses(self, run: Run, *, steps_an_epoch: int) -> list[float]:
        """Of each epoch of a finished run: the mean of D + β·R over its steps, in nats an image.

        A line of metrics.jsonl is a mean over the steps since the line before, and counts for each of them.
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

    def _train(self, run: Run, number: str) -> tuple[float, ...] | None:
        folder = self.folder / run.name
        check_same_recipe(folder, run.recipe)
        if (folder / DIVERGED).is_file() and json.loads((folder / DIVERGED).read_bytes()).get("of") == self._made_of:
            logger.info("%s diverged before", number)
            return None
        if is_finished(folder):
            self._check_is_of_today(run)
            logger.info("%s is there already", number)
            return self._on_validation(run)
        logger.info(number)
        try:
            with self.bar() as report:
                train(
                    run.recipe,
                    self.data_root,
                    folder,
                    resume=folder.is_dir(),
                    split="valid",
                    betas=run.betas,
                    draws=1,
                    device=self.device,
                    report=report,
                )
        except FloatingPointError as error:
            write_atomically(folder / DIVERGED, json.dumps({"error": str(error), "of": self._made_of}) + "\n")
            logger.info("%s diverged: %s", run.name, error)
            return None
        losses = self._on_validation(run)
        time = format_seconds(self.trained(run).seconds)
        logger.info("%s: %s nats on the validation split, %s", run.name, ", ".join(f"{x:.2f}" for x in losses), time)
        return losses

    def _on_validation(self, run: Run) -> tuple[float, ...]:
        """From the curve of a finished run; measured again at β that are not on it."""
        folder = self.folder / run.name
        curve = RDCurve.read(folder / CURVE)
        if curve.data.get("split") != "valid" or not {*run.betas} <= {*curve.betas}:
            data = load_data(self.data, "valid", self.data_root, self.shape)
            curve = rate_distortion(
                load_checkpoint(folder, device=find_device(self.device)), data, run.betas, seed=run.recipe.training.seed
            )
        return tuple(curve.at(beta).loss for beta in run.betas)


def _read_losses(path: Path, made_from: dict[str, str]) -> Losses | None:
    """What a file holds; None where there is none, or it was made from something else."""
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            if file.metadata() != made_from:
                return None
            return Losses(rate=file.get_tensor("rate"), distortion=file.get_tensor("distortion"))
    except safetensors.SafetensorError:
        return None
