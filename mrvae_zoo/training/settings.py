"""How a step computes: the settings that a recipe leaves to the machine, decided for this one."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from mrvae_zoo.training.recipe import TrainingRecipe

Precision = Literal["fp32", "tf32", "bf16"]

WORTH_COMPILING = 5000  # steps, on a CPU: it takes half a minute, and saves a tenth to a quarter of each step

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a step computes.

    Attributes:
        precision: The precision of matrix products and convolutions.
        channels_last: Whether images and the weights of convolutions are stored with the channels last.
        compile: Whether the step is compiled.
        capture: Whether the whole step is captured as a CUDA graph.
        may_fall_back: Whether a step that cannot be compiled or captured runs without; otherwise that is an error.
    """

    precision: Precision = "fp32"
    channels_last: bool = False
    compile: bool = False
    capture: bool = False
    may_fall_back: bool = True

    def __str__(self) -> str:
        words: list[str] = [self.precision]
        words += ["channels last"] if self.channels_last else []
        words += ["compiled"] if self.compile else []
        words += ["one CUDA graph"] if self.capture else []
        return ", ".join(words)


def choose_settings(
    training: TrainingRecipe, network: nn.Module, device: torch.device, *, steps: int, processes: int
) -> Settings:
    """Decide what a recipe leaves open ("auto"), for a network on a device.

    The choices are those that `benchmarks/training_step.py` found the fastest without a higher loss.
    """
    on_gpu = device.type == "cuda"
    convolutional = any(isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)) for part in network.modules())
    precision = training.precision
    if precision == "auto":
        precision = "bf16" if on_gpu or (device.type == "cpu" and has_fast_bf16()) else "fp32"
    if precision == "tf32" and not on_gpu:
        precision = "fp32"  # which no other device has a shorter form of
    channels_last = training.channels_last
    if channels_last == "auto":
        channels_last = convolutional and on_gpu
    compiled = training.compile == "step"
    if training.compile == "auto":
        compiled = on_gpu or (device.type == "cpu" and steps >= WORTH_COMPILING and _has_compiler())
    return Settings(
        precision=precision,
        channels_last=channels_last,
        compile=compiled,
        capture=compiled and on_gpu and processes == 1,
        may_fall_back=training.compile == "auto",
    )


def has_fast_bf16() -> bool:
    """Whether this CPU has instructions for bf16 products; without them bf16 is slower than float32."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def _has_compiler() -> bool:
    return any(shutil.which(name) for name in ("g++", "clang++", "c++"))


@contextlib.contextmanager
def arithmetic(settings: Settings) -> Iterator[None]:
    """Set, inside the `with` block, whether a GPU may use TF32 for what is float32; algorithms do not change."""
    if not torch.cuda.is_available():
        yield
        return
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.deterministic
    fast = settings.precision != "fp32"
    torch.set_float32_matmul_precision("high" if fast else "highest")
    cudnn.allow_tf32, cudnn.deterministic = fast, True  # a resumed training ends with the same bits
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32, cudnn.deterministic = before[1:]
