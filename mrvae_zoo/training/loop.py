"""The steps of one or several trainings side by side, and what happens between them: the log, states, validations.

The steps run on the device ahead of this loop, which waits for them only to write lines of the log, a few times a
second, to save a state, or to measure. The number of processes and a resume change no noise and no line of the log.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mrvae_zoo.common.layout import STATES
from mrvae_zoo.common.noise import seed_of
from mrvae_zoo.data.encoded_images import StreamedImages
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.batches import order
from mrvae_zoo.training.captured import WARM_UPS, Captured
from mrvae_zoo.training.losses import FIGURES
from mrvae_zoo.training.recipe import Recipe
from mrvae_zoo.training.run_folder import Progress, append_metrics
from mrvae_zoo.training.settings import Settings, arithmetic
from mrvae_zoo.training.signals import stop_requests
from mrvae_zoo.training.state import TrainingState, put_state, save_state, take_state
from mrvae_zoo.training.step import Step
from mrvae_zoo.training.validation import Glance, Validation
from mrvae_zoo.training.writer import Writer

if TYPE_CHECKING:
    from accelerate import Accelerator


LOG_SECONDS = 0.1  # between two times that the loop waits for the steps, to write the lines of the log
STATE_SECONDS = 60.0  # between two states, for a recipe that does not say

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Training:
    """One of the trainings of a loop.

    Attributes:
        recipe: Its recipe.
        model: The model to train, in place.
        run: The folder for metrics and states.
        validation: The validation to run during the training; None for no validation.
        state: The state to continue from; None starts afresh.
        glance: The looks at some training images, in a training without validation.
        error: The reason why the training ended before its last step, if it did.
        from_checkpoint: Whether the model began with the weights of a checkpoint (--init).
    """

    recipe: Recipe
    model: MultiRateVAE
    run: Path
    validation: Validation | None = None
    state: TrainingState | None = None
    glance: Glance | None = None
    error: FloatingPointError | None = None
    from_checkpoint: bool = False


class Loop:
    """Runs trainings side by side, step by step.

    Args:
        trainings: The trainings: of one architecture, from states after the same number of steps. The recipes of
            several differ at most in the seed, the learning rate and the objective's β, and have no validation.
        data: The training data, on the device.
        accelerator: The Accelerator, which knows the device and the processes.
        settings: How a step computes.

    Raises:
        ValueError: The batch cannot be split evenly over the processes and accumulation steps.
    """

    def __init__(
        self, trainings: Sequence[Training], data: ImageData, accelerator: "Accelerator", settings: Settings
    ) -> None:
        self.trainings, self.data, self.accelerator, self.settings = trainings, data, accelerator, settings
        recipes = [one.recipe for one in trainings]
        self.training = recipes[0].training
        models, from_checkpoint = [one.model for one in trainings], trainings[0].from_checkpoint
        self.step = Step(models, recipes, data, accelerator, settings, from_checkpoint=from_checkpoint)
        self.steps, self.done, self.seconds_before = self.step.steps, 0, 0.0
        for number, one in enumerate(trainings):
            if one.validation is None:
                one.glance = Glance(one.recipe, data, self.steps)
            if one.state is not None:
                put_state(self.step, number, one.state, one.validation)
                self.done, self.seconds_before = one.state.step, one.state.seconds
                one.state = None
        self.logged = self.step.line_after(self.done)  # lines of the log
        self.step.done.fill_(self.done)
        if accelerator.num_processes > 1:
            torch.distributed.broadcast(self.step.weights.flat, src=0)
        self.take: Callable[[], None] = Captured(self.step) if settings.capture else self.step
        self.network_draws = True  # until the first step has shown that it does not
        self.unsettled = 1 + (WARM_UPS if settings.capture else 0)  # steps after which all is compiled and captured
        self.writer = Writer()
        self.clock = self.flushed = self.saved = time.perf_counter()

    def run_steps(self, report: Callable[[Progress], None]) -> list[MultiRateVAE]:
        """Run all remaining steps.

        Args:
            report: A function that is called in the main process with each line of the metrics of the first training.

        Returns:
            The averaged model (or the last one, without averaging) of each training, in eval mode. If the recipe has a
            patience, it is the model of the best validation. It is the same in every process.

        Raises:
            FloatingPointError: The loss or a weight of a single training is not finite; the message names the step and
                β. One of several that are trained side by side ends, and keeps the error.
            KeyboardInterrupt: SIGINT or SIGTERM came; the step was finished and the state saved.
            OSError: The run cannot be written to.
        """
        if self.settings.compile and self.done < self.steps:
            logger.info("compiling the step, which takes up to a minute")
        with stop_requests() as stop, self.writer, arithmetic(self.settings):
            for raw in self._batches():
                self._take(raw)
                flushing, saving, stopping = self._agree(self._wishes(stop.received))
                looking = self._is_to_look()
                if flushing or saving or stopping or looking:
                    self._flush(report, looking=looking, checking=saving or stopping)
                if saving or stopping:
                    self._save()
                if stopping:
                    self.writer.wait()
                    logger.info("stopped after step %d, which is saved; --resume continues from it", self.done)
                    raise KeyboardInterrupt
                if self._is_exhausted():
                    break
        results = [self._result(number) for number in range(len(self.trainings))]
        for result in results:
            for buffer in result.buffers():  # so that all processes measure what the main one saves
                if self.accelerator.num_processes > 1:
                    torch.distributed.broadcast(buffer, src=0)
        return results

    def seconds(self) -> float:
        """Return the seconds since the start, including those before a resume."""
        return self.seconds_before + time.perf_counter() - self.clock

    def _batches(self) -> Iterator[Tensor | None]:
        """Yield once before each step: the images (b, C, H, W) of a streamed set, or None."""
        each = self.step.steps_an_epoch
        if isinstance(self.data.images, StreamedImages):
            yield from self.data.read(self._indices())
            return
        for step in range(self.done, self.steps):
            if step % each == 0 or step == self.done:
                self.step.start_epoch(step // each)
            yield None

    def _indices(self) -> Iterator[Tensor]:
        """Yield the places (b,) of the images of this process for each step."""
        each, batch = self.step.steps_an_epoch, self.step.batch
        whole = None
        for step in range(self.done, self.steps):
            epoch, position = divmod(step, each)
            if whole is None or position == 0:
                whole = order(len(self.data), self.step.seed, epoch).cpu()
            start = position * batch + self.step.first
            yield whole[start : start + self.step.share]

    def _take(self, raw: Tensor | None) -> None:
        """Take a step."""
        if raw is not None:
            self.step.raw = raw.clone() if self.step.raw is None else self.step.raw.copy_(raw)
        take = self._take_or_fall_back if self.unsettled else self.take
        if self.network_draws:
            self._take_seeded(take)
        else:
            take()
        self.unsettled = max(0, self.unsettled - 1)
        self.done += 1

    def _take_seeded(self, take: Callable[[], None]) -> None:
        """Take a step of a network that draws noise of its own (dropout), from a seed; and see whether it does."""
        device = self.accelerator.device
        on_gpu = device.type == "cuda"
        generator = torch.cuda.default_generators[device.index or 0] if on_gpu else torch.default_generator
        generator.manual_seed(seed_of(self.training.seed, self.done, self.accelerator.process_index))
        before = generator.get_state()
        take()
        self.network_draws = not torch.equal(before, generator.get_state())

    def _take_or_fall_back(self) -> None:
        """Take a step; if it cannot be compiled or captured here, take it without, unless the recipe asks for it."""
        try:
            self.take()
        except RuntimeError as error:
            if not self.settings.compile:
                raise
            reason = str(error).strip().splitlines()[0]
            if not self.settings.may_fall_back:
                raise ValueError(
                    f'training.compile = "step" does not work for this network here: {reason}; leave it out'
                ) from None
            logger.warning("the step is not compiled: %s", reason)
            self.settings = replace(self.settings, compile=False, capture=False)
            self.step.run_eagerly()
            self.take = self.step
            self.take()

    def _wishes(self, received: bool) -> tuple[bool, bool, bool]:
        """Return whether it is time to write the log, to save a state, and to stop."""
        now, every, last = time.perf_counter(), self.training.checkpoint_every, self.done == self.steps
        in_time = now - self.saved > STATE_SECONDS if every is None else self.done % every == 0
        return now - self.flushed > LOG_SECONDS or last, in_time or last, received

    def _agree(self, wishes: tuple[bool, bool, bool]) -> tuple[bool, bool, bool]:
        """Agree with the other processes on what to do now; they ask one another only after a line of the log."""
        if self.accelerator.num_processes == 1:
            return wishes
        every = self.training.checkpoint_every
        due = self.done == self.steps or (every is not None and self.done % every == 0)
        if self.done % self.training.log_every and not due:
            return False, False, False
        all_of_them: Tensor = self.accelerator.gather(torch.tensor([wishes], device=self.accelerator.device))
        flushing, saving, stopping = all_of_them.any(0).tolist()
        return flushing, saving, stopping

    def _is_to_look(self) -> bool:
        """Whether it is time for a validation or a glance."""
        one = self.trainings[0]
        every = self.training.validate_every if one.glance is None else one.glance.every
        return every > 0 and (self.done % every == 0 or self.done == self.steps)

    def _flush(self, report: Callable[[Progress], None], *, looking: bool, checking: bool) -> None:
        """Wait for the steps, look for faults, measure if it is time, and write the finished lines of the log."""
        step = self.step
        first, end = self.logged, step.line_after(self.done)
        sums = self.accelerator.reduce(step.history[:, first:end], reduction="mean").cpu().double()
        faults = self.accelerator.gather(step.faults[None]).cpu()
        finite = step.weights.flat.isfinite().all(dim=1).tolist() if checking or looking else None
        for number, one in enumerate(self.trainings):
            if one.error is None:
                found = sorted(fault for fault in faults[:, number].tolist() if fault[1] > 0)
                if found or (finite is not None and not finite[number]):
                    self._fail(one, found)
            if one.error is None:
                looks = self._look(number) if looking else {}
                self._write_lines(number, first, sums[number], looks, report)
        self.logged, self.flushed = end, time.perf_counter()

    def _look(self, number: int) -> dict[str, dict[str, float]]:
        one, model = self.trainings[number], self.step.averages[number]
        if one.validation is not None:
            return {"validation": one.validation.look(model, self.done, self.accelerator)}
        assert one.glance is not None
        return {"losses": one.glance.look(model, self.accelerator)}

    def _write_lines(
        self,
        number: int,
        first: int,
        sums: Tensor,
        looks: dict[str, dict[str, float]],
        report: Callable[[Progress], None],
    ) -> None:
        """Write the lines of one training from the number `first` on; `looks` belong to the last."""
        one, step = self.trainings[number], self.step
        fresh = []
        for line, of_line in enumerate(sums, first):
            end = step.lines[line]
            count = end - (step.lines[line - 1] if line else 0)
            means = dict(zip(FIGURES, (of_line / count).tolist(), strict=True))
            progress = Progress(
                step=end,
                steps=self.steps,
                epoch=(end - 1) // step.steps_an_epoch,
                **means,
                learning_rate=step.learning_rates[number][end - 1],
                num_processes=self.accelerator.num_processes,
                seconds=round(self.seconds(), 2),
                **(looks if end == self.done else {}),  # type: ignore[arg-type]
            )
            fresh.append(progress)
        if self.accelerator.is_main_process and fresh:
            append_metrics(one.run, fresh)
        if number == 0:
            for progress in fresh:
                if self.accelerator.is_main_process:
                    report(progress)
                self._track(progress)

    def _track(self, progress: Progress) -> None:
        values = {name: getattr(progress, name) for name in (*FIGURES, "learning_rate", "epoch")}
        for name in ("validation", "losses"):
            look = getattr(progress, name) or {}
            values |= {f"{name}/beta={beta}": loss for beta, loss in look.items()}
        self.accelerator.log(values, step=progress.step)

    def _fail(self, one: Training, found: list[list[float]]) -> None:
        """End a training whose loss or weights are not finite; raise the error if it is the only one."""
        self.writer.wait()
        saved = [path.name.partition("-")[0] for path in sorted((one.run / STATES).glob("*-*.safetensors"))]
        kept = f"; the state of step {int(saved[-1])} is kept" if saved else ""
        remedy = f"try a lower training.learning_rate, or training.clip_norm{kept}"
        if found:
            at, beta = found[0]
            one.error = FloatingPointError(f"the loss is not finite at step {at:.0f}, β={beta:.4g}; {remedy}")
        else:
            one.error = FloatingPointError(f"a weight is not finite after step {self.done}; {remedy}")
        if len(self.trainings) == 1:
            raise one.error

    def _is_exhausted(self) -> bool:
        """Whether the patience of a validation has run out."""
        validation = self.trainings[0].validation
        if validation is None or not validation.exhausted:
            return False
        text = "stopped after step %d: the loss on the validation split has not fallen for %d validations"
        logger.info(text, self.done, validation.waited)
        return True

    def _save(self) -> None:
        """Save the state of every training that goes on, in the background."""
        if self.accelerator.is_main_process:
            done, seconds = self.done, self.seconds()
            taken = [
                (one.run, take_state(self.step, number, done=done, seconds=seconds, validation=one.validation))
                for number, one in enumerate(self.trainings)
                if one.error is None
            ]

            def write() -> None:
                for run, bring in taken:
                    save_state(run / STATES, bring())

            self.writer(write)
        self.saved = time.perf_counter()
        self.accelerator.wait_for_everyone()

    def _result(self, number: int) -> MultiRateVAE:
        model, validation = self.step.averages[number], self.trainings[number].validation
        if validation is not None and validation.best:
            model.load_state_dict(validation.best)
            if validation.waited:
                text = "kept the weights of step %d, where the loss on the validation split is lowest"
                logger.info(text, validation.best_step)
        self.step.weights.release(model)
        return model.eval()
