"""Measuring a published curve again."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.evaluation.rate_distortion import rate_distortion
from mrvae_zoo.models.curve import RDCurve, RDPoint
from mrvae_zoo.models.vae import FixedRateVAE, MultiRateVAE

TOLERANCE = 0.01  # what a curve that is measured again may be off by, see `deviation`


def measure_again(
    model: MultiRateVAE | FixedRateVAE,
    data_root: Path,
    *,
    data_name: str | None = None,
    betas: Sequence[float] | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> RDCurve:
    """The published curve of a model, measured again with the same β, draws and seed.

    Args:
        model: with a curve.
        data_root: the folder of data sets.
        data_name: another set than the one the curve names; it is not binarised.
        betas: some of those of the curve, without its total correlation; None is all.
        progress: see `rate_distortion`.

    Raises:
        ValueError: the model has no curve, or its curve does not say what it was measured on.
        FileNotFoundError: the data set is not there.
    """
    data = measured_split(model, data_root, data_name=data_name)
    curve = model.curve
    assert curve is not None  # test_split checked it
    return rate_distortion(
        model,
        data,
        curve.betas if betas is None else betas,
        samples=curve.samples,
        seed=curve.seed,
        total_correlation=betas is None and curve.points[0].total_correlation is not None,
        progress=progress,
    )


def measured_split(model: MultiRateVAE | FixedRateVAE, data_root: Path, *, data_name: str | None = None) -> ImageData:
    """The data that the published curve of a model was measured on; arguments and errors as of `measure_again`."""
    if model.curve is None or "name" not in model.curve.data:
        raise ValueError("this model has no curve that says what it was measured on")
    published = model.curve.data
    size = tuple(published["size"]) if "size" in published else None
    if data_name is not None and data_name != published["name"]:
        return load_data(DataRecipe(name=data_name, size=size), "test", data_root, model.input_shape)
    recipe = DataRecipe(
        name=published["name"],
        binarize=published.get("binarize", "none"),
        size=size,
        held_out=published.get("held_out", 0),
    )
    return load_data(recipe, published.get("split", "test"), data_root, model.input_shape)


def deviation(published: RDPoint, measured: RDPoint) -> float:
    """The larger of the relative differences in rate and in distortion; below 1 nat, in nats."""
    pairs = ((published.rate, measured.rate), (published.distortion, measured.distortion))
    return max(abs(new - old) / max(abs(old), 1.0) for old, new in pairs)
