"""The published rate-distortion curve of a model: 13 values of β, with as many draws of z as the figures need."""

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
    """Measure the curve of a model as it is published; the data and errors are those of `rate_distortion`.

    Example:
        model.curve = mrvae_zoo.measure_curve(model, mrvae_zoo.load_data("mnist", "test", "data", model.input_shape))

    Args:
        model: A model in eval mode.
        data: The data to measure on.
        betas: The values of β to measure at, in rising order. None takes 13 log-spaced values over the range, or the β
            of a model that has only one.
        draws: The number of draws of z per example and β. None takes what `draws_needed` finds.
        seed: The seed of these draws.
        total_correlation: Whether to measure the total correlation as well.
        progress: A function that is called with the share done, in [0, 1].
        accelerator: The Accelerator of several processes, which then share the work.
    """
    betas = curve_betas(unwrap(model)) if betas is None else betas
    progress(0.0)  # finding out how many draws it takes has no progress of its own
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
    """Return the values of β at which a curve is measured by default."""
    return [model.beta] if isinstance(model, FixedRateVAE) else log_spaced(model.beta_range, CURVE_POINTS)
