"""One training step, computed on the device from beginning to end.

    place in the order ─► images ─► x, β, ε ─► loss ─► gradient ─► clip ─► optimiser ─► moving average
                                        └─ rate, distortion, loss ─► history, one row a line of the log

Everything that a step needs lies on the device: the images, their order, the tables of what changes from step to step,
and the number of the step itself, which noise is a function of. Nothing is read back. A step may therefore be compiled,
and captured as one CUDA graph. M models of one architecture may be trained side by side; they may differ in the seed,
the learning rate and the one β of a dedicated training.

Letters: M models, N examples, B examples of a whole batch, b those of one process, L lines of the log, P parameters.
"""

import bisect
import copy
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mrvae_zoo.common.precision import widest_dtype
from mrvae_zoo.common.processes import gather
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.models.vae import MultiRateVAE
from mrvae_zoo.training.batches import count_steps, order, whole_batch
from mrvae_zoo.training.losses import FIGURES, LossesOf
from mrvae_zoo.training.objectives import GlobalBatch
from mrvae_zoo.training.recipe import Recipe
from mrvae_zoo.training.schedule import average_weights, make_optimizer, schedule
from mrvae_zoo.training.settings import Settings
from mrvae_zoo.training.weights import Weights

if TYPE_CHECKING:
    from accelerate import Accelerator


class Step:
    """The step of a training, and the state that it changes, all of which lies on the device.

    Args:
        models: The M models to train, in place.
        recipes: Their recipes, which differ at most in the seed, the learning rate and the objective's β.
        data: The training data, on the device.
        accelerator: The Accelerator, which knows the device and the processes.
        settings: How the step computes.
        from_checkpoint: Whether the weights are those of a trained model. Then β is drawn as at the end of a training.

    Attributes:
        steps: The number of steps of the whole training.
        learning_rates: The learning rate of each model at each step.
        done: The number of steps done, () int64.
        history: The sums of FIGURES over the steps of each line of the log, (M, L, 3).
        lines: The last step of each line of the log, rising.
        faults: The first step with a loss that was not finite and its β, (M, 2); 0 if there is none.
        averages: The models whose weights are moving averages, or the models themselves.

    Raises:
        ValueError: The batch cannot be split evenly over the processes and accumulation steps.
    """

    def __init__(
        self,
        models: Sequence[MultiRateVAE],
        recipes: Sequence[Recipe],
        data: ImageData,
        accelerator: "Accelerator",
        settings: Settings,
        *,
        from_checkpoint: bool = False,
    ) -> None:
        self.recipe, self.data, self.accelerator, self.settings = recipes[0], data, accelerator, settings
        self.training, device = self.recipe.training, accelerator.device
        self.batch = whole_batch(self.training, len(data), accelerator.num_processes)
        self.share = self.batch // accelerator.num_processes
        self.first = accelerator.process_index * self.share
        self.steps, self.steps_an_epoch = count_steps(self.training, len(data)), max(1, len(data) // self.batch)
        self.context = GlobalBatch(examples=len(data), start=self.first, gather=gather)

        self.models = [model.to(device).train() for model in models]
        self.weights = Weights(self.models, channels_last=settings.channels_last)
        self.averages = self.models
        if self.training.ema:
            self.average = self.weights.flat.clone()
            self.averages = [copy.deepcopy(model) for model in self.models]
            for model, row in zip(self.averages, self.average, strict=True):
                self.weights.attach(model, row)
            self.newest = torch.tensor(average_weights(self.training.ema, self.steps), device=device)
        shares = torch.tensor(schedule(self.training, self.steps), dtype=torch.float64, device="cpu")
        highest = torch.tensor([recipe.training.learning_rate for recipe in recipes], dtype=torch.float64, device="cpu")
        final = self.training.final_learning_rate
        rates = final + torch.outer(highest - final, shares)
        self.learning_rates: list[list[float]] = rates.tolist()
        self.rates = rates.float().to(device)
        self.rate = self.rates[:, 0].clone()
        self.optimizer = make_optimizer(self.weights.rows, self.training)
        for group, rate in zip(self.optimizer.param_groups, self.rate, strict=True):
            group["lr"] = rate  # a view, so that the optimiser sees what a step writes there

        self.seeds = [recipe.training.seed for recipe in recipes]
        self.alike = len({*self.seeds}) == 1  # then all models see the same images, β and noise
        self.seed = torch.tensor(self.seeds[0] if self.alike else self.seeds, device=device)
        one_beta = [recipe.objective.beta for recipe in recipes]
        self.beta = None if None in one_beta else torch.tensor(one_beta, dtype=torch.float32, device=device)
        self.done = torch.zeros((), dtype=torch.int64, device=device)
        self.order = torch.zeros(*self.seed.shape, len(data), dtype=torch.int64, device=device)
        self.lines = self._lines()
        of_step = itertools.chain.from_iterable(
            [line] * (end - start) for line, (start, end) in enumerate(itertools.pairwise([0, *self.lines]))
        )
        self.line = torch.tensor([*of_step], device=device)
        dtype = widest_dtype(device)
        self.history = torch.zeros(len(models), len(self.lines), len(FIGURES), dtype=dtype, device=device)
        self.faults = torch.zeros(len(models), 2, dtype=dtype, device=device)
        self.raw: Tensor | None = None  # the images of a streamed set
        steps = None if from_checkpoint else self.steps
        self._eager = LossesOf(self.models[0], self.recipe, data, self.context, self.batch, settings, steps)
        self._losses_of = torch.compile(self._eager, dynamic=False) if settings.compile else self._eager

    def run_eagerly(self) -> None:
        """Compute the losses without a compiler."""
        self._losses_of = self._eager

    def _lines(self) -> list[int]:
        """Return the last step of each line of the log: every so many steps, at each validation, and at the end."""
        ends = {self.steps, *range(self.training.log_every, self.steps, self.training.log_every)}
        if self.training.validate_every:
            ends |= {*range(self.training.validate_every, self.steps, self.training.validate_every)}
        return sorted(ends)

    def line_after(self, done: int) -> int:
        """Return the number of the line of the log that the next step belongs to, after `done` steps."""
        return bisect.bisect_right(self.lines, done)

    def start_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch."""
        if self.alike:
            self.order.copy_(order(len(self.data), self.seed, epoch))
        else:
            for row, seed in zip(self.order, self.seed, strict=True):
                row.copy_(order(len(self.data), seed, epoch))

    def __call__(self) -> None:
        """Take one step of the optimiser."""
        training, weights = self.training, self.weights
        part = self.share // training.accumulate
        raw = self._images() if self.raw is None else self.raw
        stacked = weights.leaves if len(self.models) > 1 else None
        figures, fault = [], []
        for number in range(training.accumulate):
            first = torch.full((), self.first + number * part, device=self.done.device)
            here = raw.narrow(-4, number * part, part)
            losses = self._losses_of(stacked, here, self.seed, self.beta, self.done, first)
            weights.differentiate(losses.loss.sum() / training.accumulate, add=number > 0)
            figures.append(losses.figures)
            fault.append(losses.fault)
        with torch.no_grad():
            if self.accelerator.num_processes > 1:
                torch.distributed.all_reduce(weights.gradient)
                weights.gradient /= self.accelerator.num_processes
            if training.clip_norm is not None:
                weights.clip(training.clip_norm)
            now = self.done.view(1)
            self.rate.copy_(self.rates.index_select(1, now).squeeze(1))
            self.optimizer.step()
            if training.ema:
                self._average(self.newest.index_select(0, now))
            row = torch.stack(figures).mean(0).view(len(self.models), 1, len(FIGURES))
            self.history.index_add_(1, self.line.index_select(0, now), row.to(self.history.dtype))
            self._note_faults(torch.stack(fault).amax(0).view(len(self.models), 1))
            self.done += 1

    def _images(self) -> Tensor:
        """Return the uint8 images of this step and process: (b, C, H, W), or (M, b, C, H, W) for several seeds."""
        start = self.done % self.steps_an_epoch * self.batch + self.first
        places = start + torch.arange(self.share, device=start.device)
        assert isinstance(self.data.images, Tensor)
        return self.data.images[self.order.index_select(-1, places)]

    def _average(self, newest: Tensor) -> None:
        """Move the averages towards the weights; numbers of batch norms that are counts are copied."""
        self.average.lerp_(self.weights.flat, newest)
        for model, average in zip(self.models, self.averages, strict=True):
            for own, buffer in zip(model.buffers(), average.buffers(), strict=True):
                if buffer.is_floating_point():
                    buffer.lerp_(own, newest.to(buffer.dtype).view(()))
                else:
                    buffer.copy_(own)

    def _note_faults(self, fault: Tensor) -> None:
        """Keep the step and the β of the first loss that is not finite."""
        here = torch.cat([torch.ones_like(fault) * (self.done + 1), fault], dim=1).to(self.faults.dtype)
        is_new = (fault > 0) & (self.faults[:, 1:] == 0)
        self.faults.copy_(torch.where(is_new, here, self.faults))
