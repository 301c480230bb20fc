"""Measuring a published curve again."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mrvae_zoo.common.layout import CURVE
from mrvae_zoo.common.schema import check_value, from_mapping
from mrvae_zoo.data.recipe import Binarization, DataRecipe, Split
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.evaluation.rate_distortion import rate_distortion
from mrvae_zoo.models.curve import RDCurve, RDPoint
from mrvae_zoo.models.vae import BaseVAE

TOLERANCE = 0.01  # how far a curve that is measured again may differ, see `deviation`


def measure_again(
    model: BaseVAE,
    data_root: Path,
    *,
    betas: Sequence[float] | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> RDCurve:
    """Measure the published curve of a model again, with the same β, draws and seed.

    Args:
        model: A model with a curve.
        data_root: The folder that holds the data sets.
        betas: The values of β to measure again, all of them on the curve; the total correlation is then left out. None
            measures the whole curve.
        progress: A function that is called with the share done, in [0, 1].

    Raises:
        ValueError: The model has no curve, or its curve does not say what it was measured on.
        FileNotFoundError: The data set is missing.
    """
    data = measured_split(model, data_root)
    curve = model.curve
    assert curve is not None  # measured_split checked it
    return rate_distortion(
        model,
        data,
        curve.betas if betas is None else betas,
        samples=[draws for beta, draws in zip(curve.betas, curve.draws, strict=True) if betas is None or beta in betas],
        seed=curve.seed,
        total_correlation=betas is None and curve.points[0].total_correlation is not None,
        progress=progress,
    )


def measured_split(
    model: BaseVAE,
    data_root: Path,
    *,
    data_name: str | None = None,
    binarize: Binarization | None = None,
) -> ImageData:
    """Load the data that the published curve of a model was measured on, or the test split of another data set.

    Args:
        model: The model. It needs a curve if `data_name` is None.
        data_root: The folder that holds the data sets.
        data_name: The name of another data set than that of the curve, or of a data set for a model without a curve.
        binarize: The binarisation of a data set other than that of the curve. None does not binarise it.

    Raises:
        ValueError: The model has no curve that says what it was measured on, or the curve says it in an unknown way.
        FileNotFoundError: The data set is missing.
    """
    published = {} if model.curve is None else model.curve.data
    if data_name is None and "name" not in published:
        raise ValueError("this model has no curve that says what it was measured on; name a data set (--data)")
    same = data_name in (None, published.get("name"))
    size = published.get("size") if same or "crop" not in published else None  # else it is that before the crop
    chosen = {key: published[key] for key in ("binarize", "held_out", "crop") if same and key in published}
    table = {"name": data_name or published["name"], "size": size, **chosen}
    if binarize is not None:
        table["binarize"] = binarize
    recipe = from_mapping(DataRecipe, {k: v for k, v in table.items() if v is not None}, where=f"{CURVE}: data")
    split: Split = check_value(published.get("split", "test") if same else "test", Split, where=CURVE, key="data.split")
    return load_data(recipe, split, data_root, model.input_shape)


def deviation(published: RDPoint, measured: RDPoint) -> float:
    """Return the larger of the relative differences in rate and in distortion; for figures below 1 nat, in nats."""
    pairs = ((published.rate, measured.rate), (published.distortion, measured.distortion))
    return max(abs(new - old) / max(abs(old), 1.0) for old, new in pairs)
