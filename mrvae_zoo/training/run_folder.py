"""RUN, the folder of a training: its recipe, metrics and states, and in the end the files of a checkpoint."""

import json
import logging
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mrvae_zoo.common.files import STAGED, check_output, finish_replacing, write_atomically
from mrvae_zoo.common.layout import (
    CONFIG,
    CURVE,
    LATENTS,
    LOCK,
    METRICS,
    ORIGIN,
    RECIPE,
    RECONSTRUCTIONS,
    RUN_PLOT,
    SAMPLER,
    STATES,
    WEIGHTS,
)
from mrvae_zoo.common.schema import flat, from_mapping, to_plain
from mrvae_zoo.errors import name_some
from mrvae_zoo.models.curve import RDCurve
from mrvae_zoo.training.provenance import Origin, format_seconds
from mrvae_zoo.training.recipe import Recipe, read_recipe, to_toml

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a training: one line of metrics.jsonl.

    Attributes:
        step: The number of steps done.
        steps: The number of steps in the whole training.
        epoch: The epoch of the step, counted from 0.
        rate: The rate in nats, averaged over the steps since the previous line.
        distortion: The distortion in nats, averaged in the same way.
        loss: The loss as the objective weights it, averaged in the same way.
        learning_rate: The learning rate of the step.
        num_processes: The number of processes that share a batch.
        seconds: The seconds since the start, including those before a resume.
        validation: The loss L on the validation split at each of three β, if it was measured at this step.
        losses: The same loss on up to 128 training images, for a training without validation.
    """

    step: int
    steps: int
    epoch: int
    rate: float
    distortion: float
    loss: float
    learning_rate: float
    num_processes: int
    seconds: float
    validation: dict[str, float] | None = None
    losses: dict[str, float] | None = None


def check_run(run: Path, *, force: bool, resume: bool) -> None:
    """Raise an OSError that explains why a training cannot start in `run`, or continue there.

    Raises:
        FileExistsError: The folder holds something, and neither `force` nor `resume` is given.
        FileNotFoundError: There is nothing to resume, or no folder to create `run` in.
        PermissionError: The folder cannot be written to.
    """
    if resume and run.parent.is_dir() and not run.is_dir():
        raise FileNotFoundError(f"{run}: no such folder, so there is nothing to resume; begin one without --resume")
    if not (force or resume) and next(iter((run / STATES).glob("*")), None) is not None:
        raise FileExistsError(
            f"{run} holds a training that is not finished; continue it with --resume, or replace it with --force"
        )
    check_output(run, force=force or resume)


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keep other processes out of a run as long as this one lives.

    Raises:
        BlockingIOError: Another process is training there.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(run / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BlockingIOError(f"{run} is in use: another process trains there; wait for it, or stop it") from None
    except NotImplementedError:  # a file system without locks
        yield
        return
    try:
        yield
    finally:
        (run / LOCK).unlink(missing_ok=True)
        lock.release()


def check_same_recipe(run: Path, recipe: Recipe) -> None:
    """Raise a ValueError that names the differing keys if a run to be resumed has another recipe."""
    if not (run / RECIPE).exists():
        return
    theirs, ours = (flat(to_plain(replace(one, trained=None))) for one in (read_recipe(run / RECIPE), recipe))
    changed = [
        f"{key} = {theirs.get(key)!r} there, {ours.get(key)!r} now"
        for key in dict.fromkeys((*theirs, *ours))
        if theirs.get(key) != ours.get(key)
    ]
    if changed:
        raise ValueError(f"{run} cannot be resumed with another recipe: {name_some(changed, '; ')}")


def write_origin(run: Path, origin: Origin) -> None:
    """Record what a training begins with, beside its states."""
    (run / STATES).mkdir(exist_ok=True)
    write_atomically(run / STATES / ORIGIN, json.dumps(asdict(origin)) + "\n")


def check_origin(run: Path, origin: Origin) -> Origin:
    """Return what a run to be resumed began with, or `origin` if it has no record.

    Raises:
        ValueError: The run began with other images, or with other --init weights, than those of `origin`.
    """
    path = run / STATES / ORIGIN
    if not path.is_file():
        return origin
    try:
        began = from_mapping(Origin, json.loads(path.read_text(encoding="utf-8")), where=str(path))
    except json.JSONDecodeError:
        raise ValueError(f"{path} is not JSON") from None
    if began.data != origin.data:
        raise ValueError(f"{run} cannot be resumed: its training images are not those that it began with")
    if origin.init is not None and origin.init_sha256 != began.init_sha256:
        what = "drawn weights" if began.init is None else f"the weights of {began.init}"
        raise ValueError(f"{run} cannot be resumed with --init {origin.init}: it began with {what}")
    if began.version != origin.version:
        logger.warning("%s was begun with mrvae_zoo %s and continues with %s", run, began.version, origin.version)
    return began


def is_finished(run: Path) -> bool:
    """Whether the training is finished: config.json is written last."""
    finish_replacing(run, CONFIG)
    return (run / CONFIG).is_file()


def clear(run: Path) -> None:
    """Remove the files of an earlier training, config.json first, so that the rest is never taken for a model."""
    for name in (CONFIG, WEIGHTS, CURVE, LATENTS, SAMPLER, METRICS, RECIPE, RUN_PLOT, RECONSTRUCTIONS):
        (run / name).unlink(missing_ok=True)
    remove_states(run)
    remove_temporary(run)
    shutil.rmtree(run / STAGED, ignore_errors=True)


def remove_states(run: Path) -> None:
    """Remove the states."""
    if (run / STATES).is_dir():
        shutil.rmtree(run / STATES)


def remove_temporary(run: Path) -> None:
    """Remove files that a process was writing when it was killed."""
    for folder in (run, run / STATES):
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def append_metrics(run: Path, lines: Sequence[Progress]) -> None:
    """Add lines to metrics.jsonl."""
    path = run / METRICS
    known = ({key: value for key, value in asdict(line).items() if value is not None} for line in lines)
    text = "".join(json.dumps(line) + "\n" for line in known)
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        error.filename = str(path)
        raise


def cut_metrics(run: Path, step: int) -> None:
    """Remove from metrics.jsonl everything later than `step`, and a line that was cut off."""
    path = run / METRICS
    if not path.exists():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if _step(line) <= step]
    write_atomically(path, "".join(kept))


def write_recipe(run: Path, recipe: Recipe, *, header: str = "") -> str:
    """Write recipe.toml with every key, below a comment; returns its text."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines())
    text = f"{comment}\n{to_toml(recipe)}" if comment else to_toml(recipe)
    write_atomically(run / RECIPE, text)
    return text


def train_again(init: str | None) -> str:
    """Return the command that trains a model again from the recipe beside it."""
    start = "" if init is None else f" --init {shlex.quote(init)}"
    return f"mrvae train {RECIPE} --data-root DIR{start} -o RUN"


def describe(recipe: Recipe, curve: RDCurve, *, seconds: float, hardware: str, init: str | None = None) -> str:
    """Return the comment at the top of a finished run's recipe: the command, the time, and the curve to expect."""
    points = curve.points[:: max(1, (len(curve.points) - 1) // 4)]
    rows = (("beta", [f"{p.beta:g}" for p in points]), ("L", [f"{p.loss:.2f}" for p in points]))
    table = "\n".join(f"  {name:<6}" + "".join(f"{value:>9}" for value in values) for name, values in rows)
    time = format_seconds(seconds)
    measured_on = {"valid": "validation"}.get(curve.data["split"], curve.data["split"])
    return (
        f"{train_again(init)}\n\n"
        f"{time} on {hardware}. "
        f"Expect L = D + beta * R on the {measured_on} set of {recipe.data.name}, in nats per image:\n"
        f"{table}"
    )


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
