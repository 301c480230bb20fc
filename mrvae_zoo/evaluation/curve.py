"""The rate-distortion curve of a model as it is published: at 13 β, with as many draws of z as its figures take."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mrvae_zoo.evaluation.draws import draws_needed
from mrvae_zoo.evaluation.examples import Examples
from mrvae_zoo.evaluation.rate_distortion import rate_distortion
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.models.curve import RDCurve
from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE, unwrap

if TYPE_CHECKING:
    from accelerate import Accelerator


CURVE_POINTS = 13


def measure_curve(
    model: BaseVAE,
    data: Examples,
    betas: Sequence[float] | None = None,
    *,
    draws: int | None = None,
    seed: int = 0,
    total_correlation: bool = False,
    progress: Callable[[float], None] = lambda _: None,
    accelerator: "Accelerator | None" = None,
) -> RDCurve:
    """The curve of a model as it is published; arguments and errors as of `rate_distortion`.

    Example:
        model.curve = mrvae_zoo.measure_curve(model, mrvae_zoo.load_data("mnist", "test", "data", model.input_shape))

    Args:
        model: in eval mode.
        data: where to measure.
        betas: rising; None for 13 log-spaced ones over the range, or for the one β of a model that has one.
        draws: of z for an example and β; None for what `draws_needed` finds.
        seed: of these draws.
        total_correlation: whether to measure it as well.
        progress: called with the share done, in [0, 1].
        accelerator: with several processes.
    """
    betas = curve_betas(unwrap(model)) if betas is None else betas
    return rate_distortion(
        model,
        data,
        betas,
        samples=draws_needed(model, data, betas, seed=seed) if draws is None else draws,
        seed=seed,
        total_correlation=total_correlation,
        progress=progress,
        accelerator=accelerator,
    )


def curve_betas(model: BaseVAE) -> list[float]:
    """Where a curve is measured if nothing else is said."""
    return [model.beta] if isinstance(model, FixedRateVAE) else log_spaced(model.beta_range, CURVE_POINTS)
