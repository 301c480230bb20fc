"""What the card of a model is about, read from its folder and checked."""

import glob
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mrvae_zoo.checkpoints.folder import CheckpointConfig, load_checkpoint, read_config
from mrvae_zoo.checkpoints.registry import list_models, model_folder, root
from mrvae_zoo.checkpoints.sources import HUB, LOCAL
from mrvae_zoo.common.devices import find_device
from mrvae_zoo.common.layout import CONFIG, CURVE, RECIPE, WEIGHTS
from mrvae_zoo.common.schema import from_mapping
from mrvae_zoo.comparison.record import Dedicated, check_lengths, read_object, record_from_plain
from mrvae_zoo.data.data_set import DataFacts
from mrvae_zoo.data.sets import data_facts
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.curve import RDCurve, RDPoint
from mrvae_zoo.models.vae import BaseVAE
from mrvae_zoo.training.recipe import Recipe, read_recipe, to_toml

CARDS = "cards"  # the folder of a checkout that holds the pages of its registry
GENERIC = ("run", "runs", "out", "output", "model", "checkpoint")  # names of folders that say nothing of a model


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A Multi-Rate VAE beside β-VAEs of the same architecture, each trained for one β.

    Attributes:
        dedicated: The β-VAEs, averaged over the seeds.
        losses: L of the model that the card is about, at the same β.
        gaps: The mean and the standard deviation over the seeds of the gap at each β; None for one seed.
        seeds: The number of trainings of either kind.
        seed: The seed of the model, if it is one of these; None if `losses` are averaged over the seeds.
        budget: The compute of a training of the model, in trainings of one β-VAE; None if the file does not say.
        regime: The regime, "short", "converged", "not converged" or "overfits"; None if the file does not say.
        draws: The number of draws of z per image; None if the file does not say.
        tuned_at: The number of β that the learning rates of the β-VAEs were chosen at; None if these are the two ends.
    """

    dedicated: tuple[RDPoint, ...]
    losses: tuple[float, ...]
    gaps: tuple[tuple[float, float], ...] | None = None
    seeds: int = 1
    seed: int | None = None
    budget: float | None = None
    regime: str | None = None
    draws: int | None = None
    tuned_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a card is about.

    Attributes:
        name: The name of the model.
        source: The name that `load_pretrained` takes, without the path of the machine that the card is made on.
        page: The folder of the page, relative to the one that holds `source`; "" for that one.
        model: The model, with its curve.
        curve: The curve of the model.
        record: The content of config.json.
        weights_bytes: The size of model.safetensors in bytes.
        recipe: The recipe of the training; None for a model that was trained in a loop of its author's own.
        recipe_text: The text of recipe.toml.
        data: The facts of the data that the model was trained on.
        measured_on: The facts of the data that the curve was measured on, most often the same.
        comparison: The comparison with dedicated β-VAEs; None if there is none.
        beside: Markdown that sets the model beside something known, from benchmarks/results/beside_NAME.md of a
            checkout; "" if there is none.
    """

    name: str
    source: str
    page: str
    model: BaseVAE
    curve: RDCurve
    record: CheckpointConfig
    weights_bytes: int
    recipe: Recipe | None
    recipe_text: str
    data: DataFacts
    measured_on: DataFacts
    comparison: Comparison | None
    beside: str

    @property
    def data_name(self) -> str:
        """The name of the data that the model was trained on, or else that its curve was measured on."""
        return _trained_on(self.recipe, self.curve)

    @property
    def config(self) -> ModelConfig:
        """The description of the model."""
        return self.record.model

    @property
    def repo_id(self) -> str | None:
        """The repository of the Hub that the card says to load the model from; None for a model that is elsewhere."""
        return self.source.removeprefix(HUB) if self.source.startswith(HUB) else None

    @property
    def title(self) -> str:
        """The name of the model, or what it is where the name says nothing."""
        if self.name.lower() not in GENERIC:
            return self.name
        return f"Multi-Rate VAE trained on {self.data.title.replace('`', '')}"

    @property
    def key_points(self) -> list[RDPoint]:
        """The points at both ends of the curve, and at β = 0.1 and β = 1 where it was measured there."""
        points = self.curve.points
        wanted = (points[0].beta, 0.1, 1.0, points[-1].beta)
        return [point for point in points if any(math.isclose(point.beta, beta, rel_tol=1e-6) for beta in wanted)]


def read_subject(
    folder: Path, *, name: str, repo_id: str | None, compare: Path | None, device: str = "cpu", page: str = ""
) -> Subject:
    """The subject of a card: see `mrvae_zoo.cards.card.make_card`."""
    model = load_checkpoint(folder, device=find_device(device))
    if model.curve is None:
        raise ValueError(f"{folder / CURVE} is missing; a card shows the measured curve of a model")
    if "name" not in model.curve.data:
        raise ValueError(f"{folder / CURVE} does not say what the curve was measured on; a card does")
    recipe, record = None, read_config(folder)
    if (folder / RECIPE).is_file():
        recipe = read_recipe(folder / RECIPE)
        _check_recipe(recipe, record.model, folder)
    compare = _find_comparison(name, recipe) if compare is None and recipe is not None else compare
    trained_on = _trained_on(recipe, model.curve)
    source = _source(folder, name, repo_id)
    return Subject(
        name=name,
        source=source,
        page=f"{CARDS}/{name}" if source in list_models() else page,
        model=model,
        curve=model.curve,
        record=record,
        weights_bytes=(folder / WEIGHTS).stat().st_size,
        recipe=recipe,
        recipe_text=model.recipe or "",
        data=data_facts(trained_on),
        measured_on=data_facts(str(model.curve.data["name"])),
        comparison=None
        if compare is None
        else read_comparison(compare, seed=None if recipe is None else recipe.training.seed),
        beside=_find_beside(source),
    )


def _trained_on(recipe: Recipe | None, curve: RDCurve) -> str:
    return str(curve.data["name"]) if recipe is None else recipe.data.name


def read_comparison(path: Path, *, seed: int | None = None) -> Comparison:
    """Read a comparison as `mrvae compare` writes it. The model is the one of `seed`, or else the mean over seeds.

    A file of figures from elsewhere needs only betas, and the lists rate and distortion in mrvae and in dedicated, with
    one value per β. Further keys are ignored.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no comparison; the message names the file and the key.
    """
    data = read_object(path)
    if "regime" in data:
        record = record_from_plain(data, where=str(path))
        own = next((each for each in record.per_seed if each.seed == seed), None)
        spread = record.mrvae.gap_spread
        return Comparison(
            dedicated=_points(record.betas, record.dedicated),
            losses=record.mrvae.L if own is None else own.mrvae.L,
            gaps=None if spread is None else tuple(zip(record.mrvae.gap, spread, strict=True)),
            seeds=len(record.seeds),
            seed=None if own is None else own.seed,
            budget=record.budget,
            regime=record.reached,
            draws=record.draws,
            tuned_at=None if record.dedicated.tuned_at is None else len(record.dedicated.tuned_at),
        )
    kept: dict[str, Any] = {key: data[key] for key in ("betas", "mrvae", "dedicated") if key in data}
    for key in ("mrvae", "dedicated"):
        if isinstance(kept.get(key), dict):
            kept[key] = {name: kept[key][name] for name in ("rate", "distortion") if name in kept[key]}
    file = from_mapping(_File, kept, where=str(path))
    losses = tuple(point.loss for point in _points(file.betas, file.mrvae))
    return Comparison(dedicated=_points(file.betas, file.dedicated), losses=losses)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    rate: tuple[float, ...]
    distortion: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    betas: tuple[float, ...]
    mrvae: _Figures
    dedicated: _Figures

    def __post_init__(self) -> None:
        for label, side in (("mrvae", self.mrvae), ("dedicated", self.dedicated)):
            check_lengths(label, self.betas, {"rate": side.rate, "distortion": side.distortion})


def _points(betas: Sequence[float], side: "_Figures | Dedicated") -> tuple[RDPoint, ...]:
    """By rising β."""
    rows = sorted(zip(betas, side.rate, side.distortion, strict=True))
    return tuple(RDPoint(beta=beta, rate=rate, distortion=distortion) for beta, rate, distortion in rows)


def _check_recipe(recipe: Recipe, config: ModelConfig, folder: Path) -> None:
    """A ValueError, where the recipe is that of another model."""
    trained = recipe.model
    if config.beta is not None:  # folded after it was trained
        trained = replace(trained, gating="none", beta=config.beta)
    if trained != config:
        raise ValueError(f"{folder}: {RECIPE} describes another model than {CONFIG}; put the recipe of this one there")


def _source(folder: Path, name: str, repo_id: str | None) -> str:
    if repo_id is not None:
        return f"{HUB}{repo_id}"
    if name in list_models() and model_folder(name).resolve() == folder.resolve():
        return name
    own = folder.resolve().name
    return f"{LOCAL}{own}" if own in list_models() or own.startswith((LOCAL, HUB)) else own


def _find_beside(source: str) -> str:
    """What a checkout says of one of its models beside something known."""
    path = root() / "benchmarks" / "results" / f"beside_{source}.md"
    return path.read_text(encoding="utf-8").strip() if source in list_models() and path.is_file() else ""


def _find_comparison(name: str, recipe: Recipe) -> Path | None:
    """The comparison of a model's own recipe, where a checkout holds one; the converged one comes first by name."""
    folder = root() / "benchmarks" / "results"
    found = sorted(folder.glob(f"compare_{glob.escape(name)}_*.json"))
    return next((path for path in found if _is_of_recipe(path, recipe)), None)


def _is_of_recipe(path: Path, recipe: Recipe) -> bool:
    """Whether a comparison trained this model, with these draws of β and this learning rate.

    The files of two regimes hold two trainings, and the model is one of them. Figures from elsewhere do not say.
    """
    data = read_object(path)
    if "regime" not in data:
        return True
    record, own = record_from_plain(data, where=str(path)), tomllib.loads(to_toml(recipe))
    same = all(record.recipe[part] == own[part] for part in ("model", "objective"))
    trained = record.mrvae.learning_rate == recipe.training.learning_rate and recipe.training.seed in record.seeds
    return same and trained
