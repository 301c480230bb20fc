"""The training loop, on Accelerate.

Every draw of a step (binarisation, β, z) comes from a generator seeded by (seed, step), and the order of an epoch from
one seeded by (seed, epoch).
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mrvae_zoo.checkpoint import DTYPES, save_pretrained, stored
from mrvae_zoo.data import ImageData, load_data
from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.evaluation import log_spaced, rate_distortion
from mrvae_zoo.factory import build_model
from mrvae_zoo.files import write_atomically
from mrvae_zoo.hub import load_pretrained
from mrvae_zoo.noise import Noise
from mrvae_zoo.objectives import beta_vae_loss, sample_beta
from mrvae_zoo.recipes import Recipe, TrainingRecipe, to_toml
from mrvae_zoo.vae import MultiRateVAE

if TYPE_CHECKING:
    from accelerate import Accelerator

RECIPE, METRICS = "recipe.toml", "metrics.jsonl"
CURVE_POINTS = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a training stands.

    Means over the steps of the epoch so far: rate and distortion in nats, the loss as the objective weights it.
    """

    step: int
    steps: int
    epoch: int
    rate: float
    distortion: float
    loss: float
    learning_rate: float
    seconds: float


def train(
    recipe: Recipe,
    data_root: Path,
    run: Path,
    *,
    init: str | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> MultiRateVAE:
    """Train a model and write recipe.toml, metrics.jsonl, config.json, model.safetensors and rd_curve.json into `run`.

    Args:
        recipe: what to train, and how.
        data_root: the folder of data sets.
        run: a folder, made once the recipe and the data are known to be right.
        init: a source to start the weights from.
        report: called after every step of the main process.

    Returns:
        The model as stored, with its curve on the test split.

    Raises:
        ValueError: the data or `init` do not fit the model; naming the tensor.
        FloatingPointError: the loss is not finite; naming the step.
        MissingExtraError: Accelerate is not installed.
    """
    accelerator = make_accelerator()
    train_data = load_data(recipe.data, "train", data_root, recipe.model.input_shape).to(accelerator.device)
    test_data = load_data(recipe.data, "test", data_root, recipe.model.input_shape)
    torch.manual_seed(recipe.training.seed)
    model = build_model(recipe.model)
    assert isinstance(model, MultiRateVAE)  # a recipe holds no β
    if init is not None:
        start_from(model, init)
    text = to_toml(recipe)
    run.mkdir(exist_ok=True)
    write_atomically(run / RECIPE, text)
    model = optimise(model, train_data, recipe, accelerator, run / METRICS, report)
    model.load_state_dict(as_stored(model, recipe.training))
    betas = log_spaced(model.beta_range, CURVE_POINTS)
    model.curve = rate_distortion(model, test_data, betas, seed=recipe.training.seed)
    save_pretrained(model.cpu(), run, dtype=DTYPES[recipe.training.weights_dtype])
    return model


def make_accelerator() -> "Accelerator":
    """The Accelerator of this process. It could hold the precision too, but one for the life of the process."""
    try:
        from accelerate import Accelerator
    except ImportError:
        raise MissingExtraError("accelerate", "train") from None
    return Accelerator(mixed_precision="no")


def optimise(
    model: MultiRateVAE,
    data: ImageData,
    recipe: Recipe,
    accelerator: "Accelerator",
    log: Path,
    report: Callable[[Progress], None],
) -> MultiRateVAE:
    """Run the steps of a recipe; returns the averaged model (or the last, without averaging) in eval mode."""
    from timm.scheduler.cosine_lr import CosineLRScheduler
    from timm.utils.model_ema import ModelEmaV3

    training, objective = recipe.training, recipe.objective
    steps = count_steps(training, len(data))
    optimizer = torch.optim.Adam(model.parameters(), lr=training.learning_rate)
    scheduler = CosineLRScheduler(
        optimizer,
        t_initial=max(1, steps - training.warmup_steps),
        lr_min=training.learning_rate if training.schedule == "constant" else 0.0,  # a cosine from it to itself
        warmup_t=training.warmup_steps,
        warmup_prefix=True,
        t_in_epochs=False,
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    plain: MultiRateVAE = accelerator.unwrap_model(model)
    average = ModelEmaV3(plain, decay=training.ema, use_warmup=True) if training.ema else None
    generator = torch.Generator(accelerator.device)
    start = time.perf_counter()
    sums, lines = torch.zeros(3, dtype=torch.float64), []
    epoch_steps = 0
    for step, (epoch, index, last) in enumerate(batches(len(data), training, steps)):
        generator.manual_seed((training.seed << 32) + step)
        scheduler.step_update(step)
        (images,) = data.read([index])
        x = data.prepare(images, Noise(generator, len(index), slice(None)))
        beta = sample_beta(len(x), plain.beta_range, generator, accelerator.device)
        with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=training.precision == "bf16"):
            output = model(x, beta, generator=generator)
        loss = beta_vae_loss(output, beta, weighting=objective.beta_weighting)
        optimizer.zero_grad()
        accelerator.backward(loss)
        if training.clip_norm is not None:
            accelerator.clip_grad_norm_(model.parameters(), training.clip_norm)
        optimizer.step()
        if average is not None:
            average.update(plain, step=step)
        means = (output.rate.detach().mean(), output.distortion.detach().mean(), loss.detach())
        sums += torch.stack(means).double().cpu()
        epoch_steps += 1
        rate, distortion, loss_value = (sums / epoch_steps).tolist()
        progress = Progress(
            step=step + 1,
            steps=steps,
            epoch=epoch,
            rate=rate,
            distortion=distortion,
            loss=loss_value,
            learning_rate=optimizer.param_groups[0]["lr"],
            seconds=round(time.perf_counter() - start, 2),
        )
        if not loss_value < float("inf"):
            raise FloatingPointError(f"the loss is {loss_value} at step {step}; try a lower training.learning_rate")
        report(progress)
        if last:
            lines.append(json.dumps(asdict(progress)))
            write_atomically(log, "\n".join(lines) + "\n")
            sums.zero_()
            epoch_steps = 0
    result = plain if average is None else average.module
    return result.eval()


def count_steps(training: TrainingRecipe, examples: int) -> int:
    """The steps of a training: whole batches only, at least one an epoch."""
    steps = training.epochs * max(1, examples // training.batch_size)
    return steps if training.max_steps is None else min(steps, training.max_steps)


def batches(examples: int, training: TrainingRecipe, steps: int) -> Iterator[tuple[int, Tensor, bool]]:
    """For each step: the epoch, the indices of the batch, and whether an epoch or the training ends with it."""
    each = max(1, examples // training.batch_size)
    order = torch.Generator()
    for step in range(steps):
        epoch, position = divmod(step, each)
        if position == 0:
            order.manual_seed((training.seed << 32) + epoch)
            permutation = torch.randperm(examples, generator=order)
        index = permutation[position * training.batch_size : (position + 1) * training.batch_size]
        yield epoch, index, position == each - 1 or step == steps - 1


def as_stored(model: nn.Module, training: TrainingRecipe) -> dict[str, Any]:
    """The weights rounded to what they are stored in, so that the curve is measured on what is published."""
    dtype = DTYPES[training.weights_dtype]
    return {name: stored(tensor, dtype).to(tensor.dtype) for name, tensor in model.state_dict().items()}


def start_from(model: MultiRateVAE, source: str) -> None:
    """Take the weights of a checkpoint, all of them.

    Raises:
        ValueError: naming the tensors that are missing, left over or of another shape.
    """
    theirs, ours = load_pretrained(source).state_dict(), model.state_dict()
    faults = [f"{name} is missing" for name in ours if name not in theirs]
    faults += [f"{name} is not in the recipe's model" for name in theirs if name not in ours]
    faults += [
        f"{name} has shape {tuple(theirs[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in ours.items()
        if name in theirs and theirs[name].shape != tensor.shape
    ]
    if faults:
        raise ValueError(f"--init {source} does not fit the recipe's model: {'; '.join(faults)}")
    model.load_state_dict(theirs)
