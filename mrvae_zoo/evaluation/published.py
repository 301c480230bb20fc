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

TOLERANCE = 0.01  # what a curve that is measured again may be off by, see `deviation`


def measure_again(
    model: BaseVAE,
    data_root: Path,
    *,
    betas: Sequence[float] | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> RDCurve:
    """The published curve of a model, measured again with the same β, draws and seed.

    Args:
        model: with a curve.
        data_root: the folder of data sets.
        betas: some of those of the curve, without its total correlation; None is all.
        progress: see `rate_distortion`.

    Raises:
        ValueError: the model has no curve, or its curve does not say what it was measured on.
        FileNotFoundError: the data set is not there.
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
    """The data that the published curve of a model was measured on, or the test split of another set.

    Args:
        model: with a curve, where `data_name` is None.
        data_root: the folder of data sets.
        data_name: another set than the one the curve names, or the set of a model without a curve.
        binarize: of what is not the set of the curve; None does not.

    Raises:
        ValueError: the model has no curve that says what it was measured on, or says it in a way that is not known.
        FileNotFoundError: the data set is not there.
    """
    published = {} if model.curve is None else model.curve.data
    if data_name is None and "name" not in published:
        raise ValueError("this model has no curve that says what it was measured on; name a data set (--data)")
    size = published.get("size")
    same = data_name in (None, published.get("name"))
    chosen = {key: published[key] for key in ("binarize", "held_out") if same and key in published}
    table = {"name": data_name or published["name"], "size": size, **chosen}
    if binarize is not None:
        table["binarize"] = binarize
    recipe = from_mapping(DataRecipe, {k: v for k, v in table.items() if v is not None}, where=f"{CURVE}: data")
    split: Split = check_value(published.get("split", "test") if same else "test", Split, where=CURVE, key="data.split")
    return load_data(recipe, split, data_root, model.input_shape)


def deviation(published: RDPoint, measured: RDPoint) -> float:
    """The larger of the relative differences in rate and in distortion; below 1 nat, in nats."""
    pairs = ((published.rate, measured.rate), (published.distortion, measured.distortion))
    return max(abs(new - old) / max(abs(old), 1.0) for old, new in pairs)
