"""What the card of a model is about, read from its folder and checked."""

import glob
import json
from dataclasses import dataclass, replace
from pathlib import Path

from mrvae_zoo.catalogue import list_models, model_folder, root
from mrvae_zoo.checkpoint import CURVE, WEIGHTS, CheckpointConfig, load_checkpoint, read_config
from mrvae_zoo.config import ModelConfig
from mrvae_zoo.data_facts import DataFacts, data_facts
from mrvae_zoo.hub import HUB, LOCAL
from mrvae_zoo.rd_curve import RDCurve, RDPoint
from mrvae_zoo.recipes import Recipe, read_recipe
from mrvae_zoo.run_folder import RECIPE
from mrvae_zoo.typed import from_mapping
from mrvae_zoo.vae import FixedRateVAE, MultiRateVAE


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A Multi-Rate VAE beside β-VAEs of the same architecture, each trained for one β."""

    mrvae: tuple[RDPoint, ...]
    dedicated: tuple[RDPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a card is about.

    Attributes:
        name: of the model.
        source: what `load_pretrained` takes.
        model: with its curve.
        curve: of the model.
        record: config.json.
        weights_bytes: the size of model.safetensors.
        recipe: how it was trained.
        recipe_text: recipe.toml as it is.
        data: that it was measured on.
        comparison: where dedicated β-VAEs were measured.
    """

    name: str
    source: str
    model: MultiRateVAE | FixedRateVAE
    curve: RDCurve
    record: CheckpointConfig
    weights_bytes: int
    recipe: Recipe
    recipe_text: str
    data: DataFacts
    comparison: Comparison | None

    @property
    def config(self) -> ModelConfig:
        """Of the model."""
        return self.record.model


def read_subject(folder: Path, *, name: str, repo_id: str | None, compare: Path | None) -> Subject:
    """The subject of a card: see `mrvae_zoo.cards.make_card`."""
    model = load_checkpoint(folder)
    if model.curve is None:
        raise ValueError(f"{folder / CURVE} is missing; a card shows the measured curve of a model")
    if "name" not in model.curve.data:
        raise ValueError(f"{folder / CURVE} does not say what the curve was measured on; a card does")
    path = folder / RECIPE
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; a card says how a model was trained")
    recipe, record = read_recipe(path), read_config(folder)
    _check_recipe(recipe, record.model, folder)
    compare = _find_comparison(name) if compare is None else compare
    return Subject(
        name=name,
        source=_source(folder, name, repo_id),
        model=model,
        curve=model.curve,
        record=record,
        weights_bytes=(folder / WEIGHTS).stat().st_size,
        recipe=recipe,
        recipe_text=path.read_text(encoding="utf-8"),
        data=data_facts(str(model.curve.data["name"])),
        comparison=None if compare is None else read_comparison(compare),
    )


def read_comparison(path: Path) -> Comparison:
    """The comparison in a file: betas, and of mrvae and dedicated the lists rate and distortion, one value for each β.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a file; naming it and the key.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except ValueError:
        raise ValueError(f"{path} is not JSON") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} should hold an object, with betas, mrvae and dedicated")
    kept = {key: data[key] for key in ("betas", "mrvae", "dedicated") if key in data}
    for key in ("mrvae", "dedicated"):
        if isinstance(kept.get(key), dict):
            kept[key] = {name: kept[key][name] for name in ("rate", "distortion") if name in kept[key]}
    file = from_mapping(_File, kept, where=str(path))
    return Comparison(mrvae=file.points("mrvae", path), dedicated=file.points("dedicated", path))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    rate: tuple[float, ...]
    distortion: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    betas: tuple[float, ...]
    mrvae: _Figures
    dedicated: _Figures

    def points(self, key: str, path: Path) -> tuple[RDPoint, ...]:
        figures = getattr(self, key)
        if not len(self.betas) == len(figures.rate) == len(figures.distortion):
            raise ValueError(f"{path}: {key} should hold as many values of rate and distortion as there are betas")
        rows = zip(self.betas, figures.rate, figures.distortion, strict=True)
        points = (RDPoint(beta=beta, rate=rate, distortion=distortion) for beta, rate, distortion in rows)
        return tuple(sorted(points, key=lambda point: point.beta))


def _check_recipe(recipe: Recipe, config: ModelConfig, folder: Path) -> None:
    """A ValueError, where the recipe is that of another model."""
    trained = recipe.model
    if config.beta is not None:  # folded after it was trained
        trained = replace(trained, gating="none", beta=config.beta)
    if trained != config:
        raise ValueError(
            f"{folder}: {RECIPE} describes another model than config.json; put the recipe of this one there"
        )


def _source(folder: Path, name: str, repo_id: str | None) -> str:
    if repo_id is not None:
        return f"{HUB}{repo_id}"
    if name in list_models() and model_folder(name).resolve() == folder.resolve():
        return name
    return f"{LOCAL}{folder}"


def _find_comparison(name: str) -> Path | None:
    """The last by name of the comparisons of a model that a checkout holds."""
    found = sorted((root() / "benchmarks" / "results").glob(f"compare_{glob.escape(name)}_*.json"))
    return found[-1] if found else None
