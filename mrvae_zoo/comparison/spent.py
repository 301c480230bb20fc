"""What a comparison cost, as its file holds it: compute, seconds and operations of each side. Needs no torch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """The cost of one step of a training, measured on the device that the record of the comparison names.

    Attributes:
        seconds: The median of the seconds that a step takes, with all networks of the comparison measured in turn.
        operations: The number of kernels that a step runs on a GPU. On a CPU, the number of operators of torch that it
            calls without a compiler, not counting those that consist of others. None on any other device.
        parameters: The number of parameters of the network.
        settings: How a step computes, for example "bf16, compiled".
    """

    seconds: float
    operations: int | None
    parameters: int
    settings: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """The cost of one training, without the search for learning rates.

    Attributes:
        flops: The floating-point operations of all steps.
        seconds: The seconds of all steps: their number times the seconds of one. In a file without `step` they are
            `wall_seconds`.
        wall_seconds: The seconds that the training took, averaged over seeds, with whatever else the machine did.
        steps: The number of steps.
        step: The cost of one step; None if it was not measured.
    """

    flops: float
    seconds: float
    wall_seconds: float | None = None
    steps: int | None = None
    step: StepCost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentByBeta:
    """The cost of the trainings of the dedicated β-VAEs: all of them together, and each; otherwise as in `Spent`.

    Attributes:
        flops: The floating-point operations of all trainings.
        seconds: The seconds of all trainings.
        flops_per_beta: The floating-point operations at each β.
        seconds_per_beta: The seconds at each β.
        wall_seconds_per_beta: The seconds that the training at each β took, averaged over seeds.
        steps: The number of steps of each training.
        step: The cost of one step; None if it was not measured.
    """

    flops: float
    seconds: float
    flops_per_beta: tuple[float, ...]
    seconds_per_beta: tuple[float, ...]
    wall_seconds_per_beta: tuple[float, ...] | None = None
    steps: int | None = None
    step: StepCost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of each side.

    Attributes:
        mrvae: The cost of the Multi-Rate VAE.
        dedicated: The cost of the dedicated β-VAEs.
        arms: The cost of each further arm, by name.
        device: The device that steps were timed on, by its name; None if they were not timed.
    """

    mrvae: Spent
    dedicated: SpentByBeta
    arms: dict[str, Spent]
    device: str | None = None
