"""Training a model: from a recipe and a folder of data sets to a checkpoint with its measured curve."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mrvae_zoo.common.progress import Bar, no_bar
from mrvae_zoo.data.recipe import Split
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.recipe import Recipe
from mrvae_zoo.training.run_folder import Progress
from mrvae_zoo.training.side_by_side import Options, train_alone
from mrvae_zoo.training.stacks import Job


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
    options = Options(
        data_root=Path(data_root),
        init=None if init is None else Path(init),
        init_name=init_name,
        resume=resume,
        force=force,
        trackers=trackers,
        split=split,
        draws=draws,
        device=device,
        pictures=pictures,
        report=report,
        measuring=measuring,
    )
    return train_alone(Job(recipe=recipe, run=Path(run), betas=betas), options)
