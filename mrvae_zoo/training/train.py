"""Training a model: from a recipe and a folder of data sets to a checkpoint with its measured curve."""

import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mrvae_zoo._version import __version__
from mrvae_zoo.checkpoints.folder import DTYPES, load_checkpoint, read_config, save_pretrained, stored
from mrvae_zoo.common.environment import is_main_process
from mrvae_zoo.common.layout import STATES
from mrvae_zoo.common.processes import make_accelerator
from mrvae_zoo.common.progress import Bar, no_bar
from mrvae_zoo.common.schema import flat, to_plain
from mrvae_zoo.data.fingerprint import fingerprint
from mrvae_zoo.data.recipe import Split
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.errors import name_some
from mrvae_zoo.evaluation.curve import CURVE_POINTS, measure_curve
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.models.factory import build_model
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.loop import Loop
from mrvae_zoo.training.objectives import objectives
from mrvae_zoo.training.pictures import draw_pictures
from mrvae_zoo.training.provenance import Origin, record_training
from mrvae_zoo.training.recipe import Recipe, TrainingRecipe
from mrvae_zoo.training.run_folder import (
    Progress,
    check_origin,
    check_run,
    check_same_recipe,
    clear,
    cut_metrics,
    describe,
    is_finished,
    locked,
    remove_states,
    remove_temporary,
    write_origin,
    write_recipe,
)
from mrvae_zoo.training.state import TrainingState, load_state
from mrvae_zoo.training.validation import Validation

if TYPE_CHECKING:
    from accelerate import Accelerator


# What makes other functions of the same tensors; where there are gates, the features of β as well.
MEANING = ("architecture", "gating", "likelihood", "data_range", "arguments")
MEANING_OF_GATES = ("beta_range", "gating_degree")

logger = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    data_root: str | Path,
    run: str | Path,
    *,
    init: str | Path | None = None,
    init_name: str | None = None,
    resume: bool = False,
    force: bool = False,
    trackers: Sequence[str] = (),
    split: Split = "test",
    betas: Sequence[float] | None = None,
    draws: int | None = None,
    device: str = "auto",
    pictures: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
    measuring: Bar = no_bar,
) -> MultiRateVAE:
    """Train a model and write its recipe, metrics and checkpoint, with the measured curve, into the folder `run`.

    The files are recipe.toml, metrics.jsonl, config.json, model.safetensors and rd_curve.json. Under torchrun or
    `accelerate launch`, each process calls this function, and they share every batch. All of them must see the folder
    `run`.

    Args:
        recipe: The recipe: what to train, and how. A record of an earlier training in it is replaced.
        data_root: The folder that holds the data sets.
        run: The folder to write to. It is created once the recipe and the data have been checked.
        init: The folder of a checkpoint that provides the initial weights.
        init_name: The name of `init` in the record of the training. None uses the path of the folder.
        resume: Whether to continue from the newest undamaged state in `run`, or from the start if there is none.
        force: Whether to replace the training in `run`.
        trackers: The experiment trackers to log to: "tensorboard", "wandb".
        split: The split to measure the curve on, "test" or "valid". The other one is not read.
        betas: The values of β to measure the curve at, in rising order. None takes 13 log-spaced ones, or the β of a
            recipe that has only one.
        draws: The number of draws of z per example for the curve. None takes enough that another seed would change L by
            less than 0.03%.
        device: The device: "auto" for a GPU if there is one, "cpu", "cuda" or "mps".
        pictures: Whether to draw curve.png (with matplotlib) and reconstructions.png into `run` at the end.
        report: A function that is called in the main process with each line of the metrics.
        measuring: A function that makes a progress bar for the curve, in the main process. The bar takes the share
            done.

    Returns:
        The model as stored, with its curve. Resuming a finished run returns its model with the curve it already has.

    Raises:
        ValueError: The data or `init` do not fit the model (the message names the tensor); `run` holds another recipe
            (the message names the key) or began with other images or weights; `betas` are not rising or lie outside the
            model's range; or the recipe validates and there is no validation split.
        BlockingIOError: Another process is training in `run`.
        FloatingPointError: The loss or a weight is not finite; the message names the step and β.
        KeyboardInterrupt: SIGINT or SIGTERM came; the step was finished and the state saved.
        MissingExtraError: Accelerate or a tracker is not installed.
        OSError: `run` already exists without `resume` or `force`, or cannot be written.
    """
    data_root, run = Path(data_root), Path(run)
    recipe = replace(recipe, trained=None)
    betas = _curve_betas(recipe, betas)
    check_run(run, force=force, resume=resume)
    with ExitStack() as stack:
        if run.is_dir() and is_main_process():
            stack.enter_context(locked(run))
        if resume:
            check_same_recipe(run, recipe)
            if is_finished(run):
                return _finished(run)
        accelerator = make_accelerator(device, trackers, run)
        with accelerator.main_process_first():  # it may have to download them
            splits = _Splits.load(recipe, data_root, split)
        train_data = splits.train.to(accelerator.device)
        origin = Origin(version=__version__, data=fingerprint(splits.train))
        torch.manual_seed(recipe.training.seed)
        model = build_model(recipe.model)
        assert isinstance(model, MultiRateVAE)  # a recipe holds no β
        if init is not None:
            name = str(init) if init_name is None else init_name
            origin = replace(origin, init=name, init_sha256=start_from(model, Path(init)))
        state = load_state(run / STATES) if resume else None
        if state is not None:
            origin = check_origin(run, origin)
        validation = None if splits.valid is None else Validation(recipe, splits.valid)
        loop = Loop(model, train_data, recipe, accelerator, run, state, validation)
        accelerator.wait_for_everyone()  # all have seen the folder as it was
        if accelerator.is_main_process:
            if not run.is_dir():
                run.mkdir()
                stack.enter_context(locked(run))
            _prepare(run, recipe, state, origin)
        if trackers:
            settings = {key: str(value) for key, value in flat(to_plain(recipe)).items()}
            accelerator.init_trackers("mrvae_zoo", config=settings, init_kwargs={"wandb": {"dir": str(run)}})
        try:
            model = loop.run_steps(report)
            seconds = loop.seconds()
            model.load_state_dict(as_stored(model, recipe.training))
            with measuring() if accelerator.is_main_process else no_bar() as progress:
                model.curve = measure_curve(
                    model,
                    splits.measured,
                    betas,
                    draws=draws,
                    seed=recipe.training.seed,
                    total_correlation=objectives[recipe.objective.name].total_correlation,
                    progress=progress,
                    accelerator=accelerator,
                )
            if accelerator.is_main_process and not model.curve.is_monotone:
                logger.warning(
                    "the curve is not monotone in β, as it would be at the optimum: train longer (training.epochs)"
                )
            model.cpu()
            if accelerator.is_main_process:
                hardware = _hardware(accelerator)
                header = describe(recipe, model.curve, seconds=seconds, hardware=hardware, init=origin.init)
                trained = record_training(seconds=seconds, hardware=hardware, origin=origin)
                model.recipe = write_recipe(run, replace(recipe, trained=trained), header=header)
                save_pretrained(model, run, dtype=DTYPES[recipe.training.weights_dtype])
                remove_states(run)
                if pictures:
                    draw_pictures(run, model, splits.measured)
            accelerator.wait_for_everyone()
        finally:
            accelerator.end_training()
    return model


@dataclass(frozen=True, slots=True, kw_only=True)
class _Splits:
    """The data that a training reads; `valid` is None unless it validates."""

    train: ImageData
    measured: ImageData
    valid: ImageData | None

    @classmethod
    def load(cls, recipe: Recipe, data_root: Path, measured: Split) -> "_Splits":
        def load(split: Split) -> ImageData:
            return load_data(recipe.data, split, data_root, recipe.model.input_shape)

        valid = load("valid") if recipe.training.validate_every else None
        both = measured == "valid" and valid is not None
        return cls(train=load("train"), measured=valid if both and valid is not None else load(measured), valid=valid)


def _curve_betas(recipe: Recipe, betas: Sequence[float] | None) -> list[float]:
    """Return the β of the curve, checked before the training rather than after it."""
    low, high = recipe.model.beta_range
    if betas is None:
        return log_spaced((low, high), CURVE_POINTS) if recipe.objective.beta is None else [recipe.objective.beta]
    rising = all(a < b for a, b in itertools.pairwise(betas))
    if not (betas and rising and all(low <= beta <= high for beta in betas)):
        raise ValueError(f"betas={list(betas)} should be at least one β, rising, within model.beta_range={[low, high]}")
    return list(betas)


def _finished(run: Path) -> MultiRateVAE:
    model = load_checkpoint(run)
    assert isinstance(model, MultiRateVAE)
    remove_states(run)
    logger.info("%s is finished already", run)
    return model


def _prepare(run: Path, recipe: Recipe, state: TrainingState | None, origin: Origin) -> None:
    """Prepare the folder for a training that starts, or that continues from `state`."""
    if state is None:
        clear(run)
        write_recipe(run, recipe)
        write_origin(run, origin)
    else:
        remove_temporary(run)
        cut_metrics(run, state.step)
        logger.info("%s continues after step %d", run, state.step)


def _hardware(accelerator: "Accelerator") -> str:
    """Return what a training ran on, for example "1 CPU thread" or "2 × NVIDIA H100"."""
    if accelerator.device.type == "cuda":
        name, count = torch.cuda.get_device_name(accelerator.device), accelerator.num_processes
        return name if count == 1 else f"{count} × {name}"
    threads = torch.get_num_threads() * accelerator.num_processes
    return f"{threads} CPU thread{'s' if threads > 1 else ''}"


def as_stored(model: nn.Module, training: TrainingRecipe) -> dict[str, Any]:
    """Return the weights rounded to their stored dtype, so that the curve describes what is published."""
    dtype = DTYPES[training.weights_dtype]
    return {name: stored(tensor, dtype).to(tensor.dtype) for name, tensor in model.state_dict().items()}


def start_from(model: MultiRateVAE, source: Path) -> str:
    """Take all weights of a checkpoint; returns their checksum.

    Raises:
        ValueError: The checkpoint does not fit. The message names the tensors that are missing, left over or of another
            shape, and the keys of the model that change the meaning of the weights.
    """
    checkpoint = load_checkpoint(source)
    theirs, ours = checkpoint.state_dict(), model.state_dict()
    meaning = [
        f"model.{name} = {getattr(checkpoint.config, name)!r} there, and {getattr(model.config, name)!r} in the recipe"
        for name in (*MEANING, *(MEANING_OF_GATES if model.gating.gates else ()))
        if getattr(checkpoint.config, name) != getattr(model.config, name)
    ]
    shapes = [
        f"{name} has shape {tuple(theirs[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in ours.items()
        if name in theirs and theirs[name].shape != tensor.shape
    ]
    missing = [f"{name} is missing" for name in ours if name not in theirs]
    more = [f"{name} is not in the recipe's model" for name in theirs if name not in ours]
    if faults := [name_some(part, "; ") for part in (meaning, shapes, missing, more) if part]:
        raise ValueError(f"--init {source} does not fit the recipe's model: {'; '.join(faults)}")
    model.load_state_dict(theirs)
    return read_config(source).weights.sha256
