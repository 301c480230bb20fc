"""The steps of a training.

All noise of a step (β, binarisation, augmentation, ε) comes from a generator seeded by (seed, step). It is drawn for
the whole batch, and each process takes its part. The order of an epoch comes from a generator seeded by (seed, epoch).
Neither a resume nor the number of processes changes them.

Letters: B examples of a whole batch, b those of one process.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mrvae_zoo.common.layout import STATES
from mrvae_zoo.common.noise import Noise, seed_of
from mrvae_zoo.common.precision import widest_dtype
from mrvae_zoo.common.processes import gather
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.gating.beta import draw_beta
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.objectives import GlobalBatch, objectives, weigh
from mrvae_zoo.training.recipe import Recipe, TrainingRecipe
from mrvae_zoo.training.run_folder import Progress, append_metrics
from mrvae_zoo.training.signals import stop_requests
from mrvae_zoo.training.state import TrainingState, restore, save_state
from mrvae_zoo.training.validation import Glance, Validation

if TYPE_CHECKING:
    from accelerate import Accelerator


logger = logging.getLogger(__name__)

LOSSES = {"rate": 0, "distortion": 1, "loss": 2}


class Loop:
    """One training: the state that changes from step to step, and the step itself.

    Args:
        model: The model to train, in place.
        data: The training data, on the device.
        recipe: The recipe of the training.
        accelerator: The Accelerator, which knows the device and the processes.
        run: The folder for metrics and states.
        state: The state to continue from; None starts afresh.
        validation: The validation to run during the training; None for no validation.

    Raises:
        ValueError: The batch cannot be split evenly over the processes and accumulation steps.
    """

    def __init__(
        self,
        model: MultiRateVAE,
        data: ImageData,
        recipe: Recipe,
        accelerator: "Accelerator",
        run: Path,
        state: TrainingState | None = None,
        validation: Validation | None = None,
    ) -> None:
        from timm.utils.model_ema import ModelEmaV3

        self.recipe, self.training, self.data = recipe, recipe.training, data
        self.accelerator, self.device, self.run = accelerator, accelerator.device, run
        self.validation = validation
        self.batch = whole_batch(self.training, len(data), accelerator.num_processes)
        self.steps = count_steps(self.training, len(data))
        self.glance = Glance(recipe, data, self.steps) if validation is None else None
        share = self.batch // accelerator.num_processes
        self.part = slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)
        self.objective = objectives[recipe.objective.name]
        self.weighting = recipe.objective.beta_weighting if recipe.objective.beta is None else 0.0
        self.context = GlobalBatch(examples=len(data), start=self.part.start, gather=gather)

        self.model = model.to(self.device).train()
        self.optimizer = make_optimizer(self.model, self.training)
        self.scheduler = make_scheduler(self.optimizer, self.training, self.steps)
        decay = self.training.ema
        self.average = ModelEmaV3(self.model, decay=decay, use_warmup=True) if decay else None
        self.done, self.seconds_before = 0, 0.0
        if state is not None:
            restore(state, self.model, self._averaged(), self.optimizer, validation)
            self.done, self.seconds_before = state.step, state.seconds
        if self.training.compile:
            self.model.compile()
        self.wrapped: nn.Module = accelerator.prepare_model(self.model)
        self.generator = torch.Generator(self.device)
        dtype = widest_dtype(self.device)
        self.sums = torch.zeros(3, dtype=dtype, device=self.device)  # see LOSSES
        self.summed = 0  # steps in them
        self.fault = torch.zeros(2, dtype=dtype, device=self.device)  # the first step with one, and its β
        self.clock = time.perf_counter()

    def run_steps(self, report: Callable[[Progress], None]) -> MultiRateVAE:
        """Run all remaining steps.

        Args:
            report: A function that is called in the main process with each line of the metrics.

        Returns:
            The averaged model (or the last one, without averaging) in eval mode. If the recipe has a patience, it is
            the model of the best validation. It is the same in every process.

        Raises:
            FloatingPointError: The loss or a weight is not finite; the message names the step and β.
            KeyboardInterrupt: SIGINT or SIGTERM came; the step was finished and the state saved.
            OSError: The run cannot be written to.
        """
        indices = orders(len(self.data), self.batch, self.steps, self.training.seed, self.done)
        with stop_requests() as stop:
            for raw in self.data.read(index[self.part] for index in indices):
                self.take_step(raw)
                saving = self.done % self.training.checkpoint_every == 0 or self.done == self.steps
                validating = self._is_to_validate()
                logging_now = saving or validating or self.done % self.training.log_every == 0
                stopping = self._agree(stop.received, logging_now)
                if logging_now or stopping:
                    self._check_finite()
                    if saving or stopping or validating or self._is_to_glance():
                        self._check_weights()
                    self._log(report, validation=self._validate() if validating else None, losses=self._glance())
                if saving or stopping:
                    self._save()
                if stopping:
                    logger.info("stopped after step %d, which is saved; --resume continues from it", self.done)
                    raise KeyboardInterrupt
                if self.validation is not None and self.validation.exhausted:
                    text = "stopped after step %d: the loss on the validation split has not fallen for %d validations"
                    logger.info(text, self.done, self.validation.waited)
                    break
        result = self._result()
        if self.validation is not None and self.validation.best:
            result.load_state_dict(self.validation.best)
            if self.validation.waited:
                text = "kept the weights of step %d, where the loss on the validation split is lowest"
                logger.info(text, self.validation.best_step)
        for buffer in result.buffers():  # so that all processes measure what the main one saves
            if self.accelerator.num_processes > 1:
                torch.distributed.broadcast(buffer, src=0)
        return result.eval()

    def take_step(self, raw: Tensor) -> None:
        """Take one step of the optimiser on this process's uint8 images (b, C, H, W)."""
        training, device = self.training, self.device
        self._seed()
        self.scheduler.step_update(self.done)
        noise = Noise(self.generator, self.batch, self.part)
        x = self.recipe.model.to_data_range(self.data.prepare(raw, noise))
        beta = self._beta()[self.part]
        epsilon = noise.normal(*self.model.latent_shape((x.shape[2], x.shape[3])))
        self.optimizer.zero_grad()
        chunks = [tensor.chunk(training.accumulate) for tensor in (x, beta, epsilon)]
        for number, (some_x, some_beta, some_epsilon) in enumerate(zip(*chunks, strict=True), 1):
            last = number == training.accumulate
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                with torch.autocast(device.type, torch.bfloat16, enabled=training.precision == "bf16"):
                    output = self.wrapped(some_x, some_beta, noise=some_epsilon)
                each = self.objective.loss(output, some_beta, self.context)
                loss = weigh(each, some_beta, self.weighting) / training.accumulate
                self.accelerator.backward(loss)
            with torch.no_grad():
                means = (output.rate.mean() / training.accumulate, output.distortion.mean() / training.accumulate)
                self.sums += torch.stack([*means, loss]).to(self.sums.dtype)
                self._note_fault(each, some_beta)
        if training.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.wrapped.parameters(), training.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.model, step=self.done)
        self.done += 1
        self.summed += 1

    def seconds(self) -> float:
        """Return the seconds since the start, including those before a resume."""
        return self.seconds_before + time.perf_counter() - self.clock

    def _seed(self) -> None:
        """Seed the generator of the step, and torch's own for layers that draw (dropout)."""
        self.generator.manual_seed(seed_of(self.training.seed, self.done))
        torch.manual_seed(seed_of(self.training.seed, self.done, self.accelerator.process_index))

    def _beta(self) -> Tensor:
        """Draw the β of each example of the whole batch: (B,)."""
        objective = self.recipe.objective
        if objective.beta is not None:
            return torch.full((self.batch,), objective.beta, device=self.device)
        return draw_beta(
            self.batch,
            self.model.beta_range,
            objective.beta_sampling,
            self.generator,
            self.device,
            at_ends=objective.beta_at_ends,
            skew=objective.beta_skew,
        )

    def _result(self) -> MultiRateVAE:
        result: MultiRateVAE = self.model if self.average is None else self.average.module
        return result

    def _is_to_validate(self) -> bool:
        every = self.training.validate_every
        return self.validation is not None and every > 0 and (self.done % every == 0 or self.done == self.steps)

    def _validate(self) -> dict[str, float]:
        assert self.validation is not None
        return self.validation.look(self._result(), self.done, self.accelerator)

    def _is_to_glance(self) -> bool:
        return self.glance is not None and (self.done % self.glance.every == 0 or self.done == self.steps)

    def _glance(self) -> dict[str, float] | None:
        if self.glance is None or not self._is_to_glance():
            return None
        return self.glance.look(self._result(), self.accelerator)

    def _averaged(self) -> nn.Module | None:
        return None if self.average is None else self.average.module

    def _note_fault(self, losses: Tensor, beta: Tensor) -> None:
        """Keep the step and the β of the first loss that is not finite, without waiting for the device."""
        worst = torch.where(losses.isfinite(), 0.0, beta).max().to(self.fault.dtype)
        here = torch.stack([torch.full_like(worst, self.done + 1), worst])
        self.fault = torch.where((worst > 0) & (self.fault[1] == 0), here, self.fault)

    def _check_finite(self) -> None:
        faults = [fault for fault in self.accelerator.gather(self.fault[None]).tolist() if fault[1] > 0]
        if faults:
            step, beta = min(faults)
            raise FloatingPointError(f"the loss is not finite at step {step:.0f}, β={beta:.4g}; {self._remedy()}")

    def _remedy(self) -> str:
        saved = [path.name.partition("-")[0] for path in sorted((self.run / STATES).glob("*-*.safetensors"))]
        kept = f"; the state of step {int(saved[-1])} is kept" if saved else ""
        return f"try a lower training.learning_rate, or training.clip_norm{kept}"

    def _agree(self, received: bool, logging_now: bool) -> bool:
        """Decide whether to stop. Several processes ask one another at points where they meet anyway."""
        if self.accelerator.num_processes == 1:
            return received
        if not logging_now:
            return False
        flags: Tensor = self.accelerator.gather(torch.tensor([received], device=self.device))
        return bool(flags.any())

    def _log(self, report: Callable[[Progress], None], **looks: dict[str, float] | None) -> None:
        rate, distortion, loss = (self.accelerator.reduce(self.sums, reduction="mean") / self.summed).tolist()
        progress = Progress(
            step=self.done,
            steps=self.steps,
            epoch=(self.done - 1) // max(1, len(self.data) // self.batch),
            rate=rate,
            distortion=distortion,
            loss=loss,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            num_processes=self.accelerator.num_processes,
            seconds=round(self.seconds(), 2),
            **looks,
        )
        self.sums.zero_()
        self.summed = 0
        if self.accelerator.is_main_process:
            append_metrics(self.run, progress)
            report(progress)
        values = {name: getattr(progress, name) for name in (*LOSSES, "learning_rate", "epoch")}
        for name, look in looks.items():
            values |= {f"{name}/beta={beta}": loss for beta, loss in (look or {}).items()}
        self.accelerator.log(values, step=self.done)

    def _check_weights(self) -> None:
        """Check that the weights are finite, before they are measured or saved."""
        weights = [tensor for tensor in self.model.state_dict().values() if tensor.is_floating_point()]
        if not all(bool(tensor.isfinite().all()) for tensor in weights):
            raise FloatingPointError(f"a weight is not finite after step {self.done}; {self._remedy()}")

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            folder = self.run / STATES
            steps, validation = (self.done, self.seconds()), self.validation
            save_state(folder, self.model, self._averaged(), self.optimizer, steps, validation)
        self.accelerator.wait_for_everyone()


def make_optimizer(model: nn.Module, training: TrainingRecipe) -> torch.optim.Optimizer:
    """Make the optimiser that a recipe names, with one kernel for all weights where torch has it."""
    from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]

    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    return create_optimizer_v2(
        model,
        opt=training.optimizer,
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        filter_bias_and_bn=False,
        fused=fused,
    )


def make_scheduler(optimizer: torch.optim.Optimizer, training: TrainingRecipe, steps: int) -> Any:
    """Make timm's schedule, in which the learning rate is a function of the step."""
    from timm.scheduler.cosine_lr import CosineLRScheduler

    if training.warmup_steps >= steps:
        highest = training.learning_rate * steps / training.warmup_steps
        text = "training.warmup_steps=%d: the training ends within it, after %d steps and at a learning rate of %.2g"
        logger.warning(text, training.warmup_steps, steps, highest)
        logging.getLogger("timm.scheduler.cosine_lr").setLevel(logging.ERROR)  # it warns of a cosine of one step
    return CosineLRScheduler(
        optimizer,
        t_initial=max(1, steps - training.warmup_steps),
        lr_min=training.learning_rate if training.schedule == "constant" else 0.0,  # a cosine from it to itself
        warmup_t=training.warmup_steps,
        warmup_lr_init=training.learning_rate / max(1, training.warmup_steps),  # of the first step, which counts too
        warmup_prefix=True,
        t_in_epochs=False,
    )


def whole_batch(training: TrainingRecipe, examples: int, num_processes: int) -> int:
    """Return B: the batch size of the recipe, or the number of examples if there are fewer.

    Raises:
        ValueError: The batch cannot be split evenly.
    """
    batch = min(training.batch_size, examples)
    if batch % (num_processes * training.accumulate):
        raise ValueError(
            f"a batch of {batch} cannot be split evenly over {num_processes} processes and "
            f"training.accumulate={training.accumulate}; choose another training.batch_size"
        )
    return batch


def count_steps(training: TrainingRecipe, examples: int) -> int:
    """Count the steps of a training: whole batches only, at least one per epoch."""
    steps = training.epochs * max(1, examples // training.batch_size)
    return steps if training.max_steps is None else min(steps, training.max_steps)


def orders(examples: int, batch: int, steps: int, seed: int, start: int = 0) -> Iterator[Tensor]:
    """Yield the indices (B,) of the whole batch for each step from `start` on. Each example comes once per epoch."""
    each = examples // batch
    generator = torch.Generator()
    permutation: Tensor | None = None
    for step in range(start, steps):
        epoch, position = divmod(step, each)
        if position == 0 or permutation is None:
            permutation = torch.randperm(examples, generator=generator.manual_seed(seed_of(seed, epoch)), device="cpu")
        yield permutation[position * batch : (position + 1) * batch]
