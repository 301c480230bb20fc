"""Training models of one architecture as one network, each into a folder of its own. A single one is the usual case."""

import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mrvae_zoo._version import __version__
from mrvae_zoo.checkpoints.folder import DTYPES, load_checkpoint, save_pretrained, stored
from mrvae_zoo.common.environment import is_main_process
from mrvae_zoo.common.layout import STATES
from mrvae_zoo.common.processes import make_accelerator
from mrvae_zoo.common.progress import Bar, no_bar
from mrvae_zoo.common.schema import flat, to_plain
from mrvae_zoo.data.fingerprint import fingerprint
from mrvae_zoo.data.recipe import Split
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.evaluation.curve import CURVE_POINTS, measure_curve
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.models.factory import build_model
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.batches import count_steps
from mrvae_zoo.training.loop import Loop, Training
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
from mrvae_zoo.training.settings import choose_settings
from mrvae_zoo.training.stacks import Job, can_be_stacked
from mrvae_zoo.training.start import start_from, start_from_images
from mrvae_zoo.training.state import TrainingState, load_state
from mrvae_zoo.training.validation import Validation

if TYPE_CHECKING:
    from accelerate import Accelerator


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What all trainings that run side by side share: the arguments of `train` of these names."""

    data_root: Path
    init: Path | None = None
    init_name: str | None = None
    resume: bool = False
    force: bool = False
    trackers: Sequence[str] = ()
    split: Split = "test"
    draws: int | None = None
    device: str = "auto"
    pictures: bool = False
    report: Callable[[Progress], None] = lambda _: None
    measuring: Bar = no_bar


def train_alone(job: Job, options: Options) -> MultiRateVAE:
    """Train a single model; see `train`, which has the errors too."""
    (result,) = train_side_by_side([job], options)
    if isinstance(result, FloatingPointError):
        raise result
    return result


def train_side_by_side(jobs: Sequence[Job], options: Options) -> list[MultiRateVAE | FloatingPointError]:
    """Train models as one network, and write what `train` writes into each folder.

    Each of them ends as if it had been trained alone, up to rounding. A record states its share of the seconds.

    Args:
        jobs: The trainings; several must fulfil `can_be_stacked`, and continue after the same number of steps.
        options: What they share.

    Returns:
        The model of each training, or the error of one whose loss or weights were not finite.

    Raises:
        ValueError: The recipes cannot be trained as one network. Other errors are those of `train`.
    """
    jobs = [replace(job, recipe=replace(job.recipe, trained=None), betas=_curve_betas(job)) for job in jobs]
    if len(jobs) > 1 and not can_be_stacked([job.recipe for job in jobs]):
        raise ValueError("these recipes differ in more than seed, learning rate and β, or validate; train each alone")
    for job in jobs:
        check_run(job.run, force=options.force, resume=options.resume)
    with ExitStack() as stack:
        for job in jobs:
            if job.run.is_dir() and is_main_process():
                stack.enter_context(locked(job.run))
            if options.resume:
                check_same_recipe(job.run, job.recipe)
        finished = {job.run: _finished(job.run) for job in jobs if options.resume and is_finished(job.run)}
        left = [job for job in jobs if job.run not in finished]
        results = finished | (_run(left, options, stack) if left else {})
    return [results[job.run] for job in jobs]


def _run(jobs: Sequence[Job], options: Options, stack: ExitStack) -> dict[Path, MultiRateVAE | FloatingPointError]:
    """Run trainings that are not finished, from the beginning or from their states; new folders are locked too."""
    recipe = jobs[0].recipe
    accelerator = make_accelerator(options.device, options.trackers, jobs[0].run)
    with accelerator.main_process_first():  # it may have to download them
        splits = _Splits.load(recipe, options.data_root, options.split)
    train_data = splits.train.to(accelerator.device)
    origin = Origin(version=__version__, data=fingerprint(splits.train))
    begun = [_begin(job, origin, splits, options) for job in jobs]
    trainings = [training for training, _ in begun]
    states = [training.state for training in trainings]
    if len(jobs) > 1 and not _fit_together(trainings, train_data):
        results: dict[Path, MultiRateVAE | FloatingPointError] = {}
        for job in jobs:
            results |= _run([job], options, stack)
        return results
    settings = choose_settings(
        recipe.training,
        trainings[0].model,
        accelerator.device,
        steps=count_steps(recipe.training, len(train_data)),
        processes=accelerator.num_processes,
    )
    loop = Loop(trainings, train_data, accelerator, settings)
    accelerator.wait_for_everyone()  # all have seen the folder as it was
    if accelerator.is_main_process:
        for job, state, (_, began) in zip(jobs, states, begun, strict=True):
            if not job.run.is_dir():
                job.run.mkdir()
                stack.enter_context(locked(job.run))
            _prepare(job.run, job.recipe, state, began)
    if options.trackers:
        keys = {key: str(value) for key, value in flat(to_plain(recipe)).items()}
        accelerator.init_trackers("mrvae_zoo", config=keys, init_kwargs={"wandb": {"dir": str(jobs[0].run)}})
    results = {}
    try:
        models = loop.run_steps(options.report)
        seconds, hardware = loop.seconds() / len(jobs), _hardware(accelerator)
        how = f"{loop.settings}, {len(jobs)} side by side" if len(jobs) > 1 else str(loop.settings)
        for job, (training, began), model in zip(jobs, begun, models, strict=True):
            if training.error is not None:
                results[job.run] = training.error
                continue
            _measure(job, model, splits.measured, options, accelerator)
            if accelerator.is_main_process:
                _finish(job, model, began, seconds=seconds, hardware=hardware, settings=how)
                if options.pictures:
                    draw_pictures(job.run, model, splits.measured)
            results[job.run] = model
        accelerator.wait_for_everyone()
    finally:
        accelerator.end_training()
    return results


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


def _fit_together(trainings: Sequence[Training], data: ImageData) -> bool:
    """Whether trainings of one architecture stand at the same step, and can read the same images from a stream."""
    steps = {0 if one.state is None else one.state.step for one in trainings}
    seeds = {one.recipe.training.seed for one in trainings}
    return len(steps) == 1 and (len(seeds) == 1 or isinstance(data.images, Tensor))


def _curve_betas(job: Job) -> list[float]:
    """Return the β of the curve, checked before the training rather than after it."""
    recipe, betas = job.recipe, job.betas
    low, high = recipe.model.beta_range
    if betas is None:
        return log_spaced((low, high), CURVE_POINTS) if recipe.objective.beta is None else [recipe.objective.beta]
    rising = all(a < b for a, b in itertools.pairwise(betas))
    if not (betas and rising and all(low <= beta <= high for beta in betas)):
        raise ValueError(f"betas={list(betas)} should be at least one β, rising, within model.beta_range={[low, high]}")
    return list(betas)


def _begin(job: Job, origin: Origin, splits: _Splits, options: Options) -> tuple[Training, Origin]:
    """Build the model of a training that starts, or continues from its newest state."""
    torch.manual_seed(job.recipe.training.seed)
    model = build_model(job.recipe.model)
    assert isinstance(model, MultiRateVAE)  # a recipe holds no β
    if options.init is not None:
        name = str(options.init) if options.init_name is None else options.init_name
        origin = replace(origin, init=name, init_sha256=start_from(model, options.init))
    state = load_state(job.run / STATES) if options.resume else None
    if state is not None:
        origin = check_origin(job.run, origin)
    elif options.init is None and job.recipe.training.start == "pca":
        start_from_images(model, splits.train, job.recipe.objective.beta)
    validation = None if splits.valid is None else Validation(job.recipe, splits.valid)
    training = Training(
        recipe=job.recipe,
        model=model,
        run=job.run,
        state=state,
        validation=validation,
        from_checkpoint=origin.init is not None,
    )
    return training, origin


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


def _measure(job: Job, model: MultiRateVAE, data: ImageData, options: Options, accelerator: "Accelerator") -> None:
    """Round the weights to their stored dtype and measure the curve; the model ends on the CPU."""
    recipe = job.recipe
    model.load_state_dict(as_stored(model, recipe.training))
    with options.measuring() if accelerator.is_main_process else no_bar() as progress:
        model.curve = measure_curve(
            model,
            data,
            job.betas,
            draws=options.draws,
            seed=recipe.training.seed,
            total_correlation=objectives[recipe.objective.name].total_correlation,
            progress=progress,
            accelerator=accelerator,
        )
    if accelerator.is_main_process and not model.curve.is_monotone:
        logger.warning("the curve is not monotone in β, as it would be at the optimum: train longer (training.epochs)")
    model.cpu()


def _finish(job: Job, model: MultiRateVAE, origin: Origin, *, seconds: float, hardware: str, settings: str) -> None:
    """Write the files of a training that has ended, and remove its states."""
    recipe = job.recipe
    header = describe(recipe, model.curve, seconds=seconds, hardware=hardware, init=origin.init)
    trained = record_training(seconds=seconds, hardware=hardware, settings=settings, origin=origin)
    model.recipe = write_recipe(job.run, replace(recipe, trained=trained), header=header)
    save_pretrained(model, job.run, dtype=DTYPES[recipe.training.weights_dtype])
    remove_states(job.run)


def as_stored(model: nn.Module, training: TrainingRecipe) -> dict[str, Any]:
    """Return the weights rounded to their stored dtype, so that the curve describes what is published."""
    dtype = DTYPES[training.weights_dtype]
    return {name: stored(tensor, dtype).to(tensor.dtype) for name, tensor in model.state_dict().items()}


def _finished(run: Path) -> MultiRateVAE:
    model = load_checkpoint(run)
    assert isinstance(model, MultiRateVAE)
    remove_states(run)
    logger.info("%s is finished already", run)
    return model


def _hardware(accelerator: "Accelerator") -> str:
    """Return what a training ran on, for example "1 CPU thread" or "2 × NVIDIA H100"."""
    if accelerator.device.type == "cuda":
        name, count = torch.cuda.get_device_name(accelerator.device), accelerator.num_processes
        return name if count == 1 else f"{count} × {name}"
    threads = torch.get_num_threads() * accelerator.num_processes
    return f"{threads} CPU thread{'s' if threads > 1 else ''}"
