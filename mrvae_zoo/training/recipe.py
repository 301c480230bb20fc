"""recipe.toml, typed: what a model is and how it is trained."""

import copy
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mrvae_zoo.common.schema import check_at_least, fault, from_mapping, to_plain
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.errors import MissingExtraError, UnknownNameError, nearest
from mrvae_zoo.gating.beta import BetaSampling, check_density
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.factory import ANY_SIZE, config_from_options

SQUARED_ERROR_SIGMA = math.sqrt(0.5)  # a recipe's, where it names none: D is the sum of squared errors


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveRecipe:
    """[objective]: what is minimised.

    Attributes:
        name: of the objective, "beta_vae", "beta_tcvae" or one of a plug-in, see `mrvae_zoo.training.objectives`.
        beta_sampling: log-uniform, "stratified", one β an example, or "batch", one β for all of a batch.
        beta_at_ends: the share of the examples whose β is the lowest of the range, and of those whose β is the highest:
            an end learns from one side only.
        beta_skew: of the β between the ends, see `sample_beta`: 1 is log-uniform, below it there are more high ones.
        beta_weighting: w, for a loss weighted by β^-w.
        beta: train at this β only (with `model.gating = "none"`, a dedicated β-VAE): none is drawn, so that none of the
            keys above on β is used, and the curve is measured there alone.
    """

    name: str = "beta_vae"
    beta_sampling: BetaSampling = "stratified"
    beta_at_ends: tuple[float, float] = (0.0, 0.0)
    beta_skew: float = 1.0
    beta_weighting: float = 0.25
    beta: float | None = None

    def __post_init__(self) -> None:
        check_density(self.beta_at_ends, self.beta_skew)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """[training]: how it is minimised.

    Attributes:
        epochs: passes over the training images.
        max_steps: stop after so many steps at the latest.
        batch_size: of all processes together.
        accumulate: parts that a process cuts its share of the batch into, to save memory; the result is the same.
        optimizer: "adam" or "adamw".
        weight_decay: of the optimiser.
        learning_rate: the highest of the schedule.
        schedule: "cosine" to zero, or "constant".
        warmup_steps: of a linear rise at the start.
        clip_norm: gradients of a larger norm are scaled down to it; leave it out for none.
        ema: decay of the average of weights that is kept as the model; 0 keeps the last weights.
        precision: of the arithmetic, "fp32" or "bf16".
        compile: whether the network is compiled (torch.compile).
        weights_dtype: what the weights are stored in; the curve is measured on them as stored.
        seed: of everything that is drawn.
        checkpoint_every: steps from one state to the next, from which a training that was killed goes on.
        log_every: steps from one line of metrics.jsonl to the next.
        validate_every: steps from one look at the validation split to the next; 0 for none. L at three β, of the
            averaged weights where there is an average, is in the log and with the trackers.
        patience: stop after so many looks without a lower L, and keep the weights of the lowest; 0 never stops.
    """

    epochs: int
    max_steps: int | None = None
    batch_size: int = 128
    accumulate: int = 1
    optimizer: Literal["adam", "adamw"] = "adam"
    weight_decay: float = 0.0
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = 0
    clip_norm: float | None = None
    ema: float = 0.999
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    weights_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    seed: int = 0
    checkpoint_every: int = 1000
    log_every: int = 10
    validate_every: int = 0
    patience: int = 0

    def __post_init__(self) -> None:
        for name, low in (
            ("epochs", 1),
            ("max_steps", 1),
            ("batch_size", 1),
            ("accumulate", 1),
            ("checkpoint_every", 1),
            ("log_every", 1),
            ("warmup_steps", 0),
            ("seed", 0),
            ("validate_every", 0),
            ("patience", 0),
        ):
            check_at_least(name, getattr(self, name), low)
        if self.seed >= 1 << 31:
            raise ValueError(f"seed={self.seed} should be below 2^31")
        if not 0 < self.learning_rate <= 1:
            raise ValueError(f"learning_rate={self.learning_rate} should be above 0 and at most 1")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm={self.clip_norm} should be above 0")
        if self.patience and not self.validate_every:
            raise ValueError(f"patience={self.patience} counts validations; say how often with validate_every")
        if not 0 <= self.weight_decay < 1:
            raise ValueError(f"weight_decay={self.weight_decay} should be at least 0 and below 1")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema={self.ema} should be at least 0 and below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRecord:
    """[trained]: how the training went that the recipe lies beside. Nothing of it is used to train again.

    Attributes:
        seconds: of the training, without the measuring of the curve.
        hardware: that it ran on, such as "1 CPU thread".
        version: of mrvae_zoo.
        commit: of the git checkout that mrvae_zoo ran from, with "-dirty" where it had been changed.
        date: of its end, an ISO day in UTC.
        data: a checksum of the images that it trained on.
        init: where its first weights came from (--init), and
        init_sha256: their checksum.
    """

    seconds: float
    hardware: str
    version: str
    commit: str | None = None
    date: str | None = None
    data: str | None = None
    init: str | None = None
    init_sha256: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < math.inf:
            raise ValueError(f"seconds={self.seconds} should be a time, at least 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeWithoutModel:
    """What a recipe says beside [model], whose keys are those of an architecture."""

    data: DataRecipe
    training: TrainingRecipe
    objective: ObjectiveRecipe = field(default_factory=ObjectiveRecipe)
    trained: TrainedRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(RecipeWithoutModel):
    """A whole recipe, and where it has been trained, the record of that."""

    model: ModelConfig


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a file, with `overrides` such as "training.epochs=2" (a TOML value, or a bare string).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: naming the file (or --set, where that is at fault) and every key: not TOML, unknown keys (with the
            nearest right ones), missing ones, wrong types or values.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise ValueError(f"{path} is not TOML: {error}") from None
    if not overrides:
        return recipe_from_table(table, where=str(path))
    changed = _override(table, overrides)
    try:
        return recipe_from_table(changed, where=str(path))
    except ValueError:
        recipe_from_table(table, where=str(path))  # an error of the file itself comes first
        at_fault = [text for text in overrides if _is_right(table, [other for other in overrides if other != text])]
        return recipe_from_table(changed, where=" ".join(f"--set {text}" for text in at_fault or overrides))


def _override(table: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    changed = copy.deepcopy(table)
    for section, key, value in map(parse_override, overrides):
        sections = Recipe.__dataclass_fields__.keys() - {"trained"}
        if section not in sections:
            raise ValueError(f"--set {section}.{key}: unknown section; {nearest(section, sections)}")
        changed.setdefault(section, {})[key] = value
    return changed


def _is_right(table: dict[str, Any], overrides: Sequence[str]) -> bool:
    try:
        recipe_from_table(_override(table, overrides), where="")
    except ValueError:
        return False
    return True


def recipe_from_table(table: dict[str, Any], *, where: str) -> Recipe:
    """The recipe in the tables of a TOML file; `where` names the file in messages."""
    errors = []
    try:
        config = _model_config(table.get("model"), where)
    except ValueError as error:
        if not str(error).startswith(where):  # not of the file, but of a plug-in that it names
            raise
        errors.append(error)
    try:
        rest = from_mapping(RecipeWithoutModel, {k: v for k, v in table.items() if k != "model"}, where=where)
    except ValueError as error:
        errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ValueError(f"{where}: {'; '.join(fault(error, where) for error in errors)}")
    recipe = Recipe(
        model=config, data=rest.data, training=rest.training, objective=rest.objective, trained=rest.trained
    )
    check_objective(recipe, where=where)
    return recipe


def _model_config(model: Any, where: str) -> ModelConfig:
    if not isinstance(model, dict):
        raise ValueError(f"{where}: the table [model] is missing")
    if model.get("likelihood") == "gaussian":
        model = {"sigma": SQUARED_ERROR_SIGMA, **model}
    return config_from_options(model, where=f"{where}: [model]")


def check_objective(recipe: Recipe, *, where: str) -> None:
    """A ValueError naming `where` and the key, if the objective is unknown or does not go with the rest."""
    from mrvae_zoo.training.objectives import objectives

    name, beta, (low, high) = recipe.objective.name, recipe.objective.beta, recipe.model.beta_range
    try:
        objective = objectives[name]
    except UnknownNameError as error:
        raise UnknownNameError(f"{where}: objective.name: {error}") from None
    if beta is not None and not low <= beta <= high:
        raise ValueError(f"{where}: objective.beta={beta} should be within model.beta_range={[low, high]}")
    if objective.one_beta and beta is None and recipe.objective.beta_sampling != "batch":
        raise ValueError(
            f'{where}: {name} needs objective.beta_sampling = "batch", one β for all of a batch; with '
            f"{recipe.objective.beta_sampling!r}, one β an example, q(z) would be a mixture over β"
        )
    if low < objective.lowest_beta:
        raise ValueError(
            f"{where}: model.beta_range begins at {low}; it should not begin below {objective.lowest_beta} for {name}"
        )
    if objective.whole_batch and recipe.training.batch_size < 2:
        raise ValueError(
            f"{where}: training.batch_size={recipe.training.batch_size} should be at least 2 for {name}, "
            "which compares the examples of a batch"
        )
    if objective.whole_batch and recipe.training.accumulate > 1:
        raise ValueError(
            f"{where}: training.accumulate={recipe.training.accumulate} should be 1 for {name}, which compares the "
            "examples of a batch, all at once"
        )


def parse_override(text: str) -> tuple[str, str, Any]:
    """Text such as "training.epochs=2" -> ("training", "epochs", 2); what is no TOML value is a string.

    Raises:
        ValueError: the text has not that form.
    """
    name, equals, literal = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        raise ValueError(f"--set {text}: should be section.key=value, such as training.epochs=2")
    try:
        return section, key, tomllib.loads(f"value = {literal}")["value"]
    except tomllib.TOMLDecodeError:
        return section, key, literal.strip()


def to_toml(recipe: Recipe) -> str:
    """The recipe as the text of a recipe.toml, every key written out.

    Raises:
        MissingExtraError: tomli-w is not installed.
    """
    try:
        import tomli_w
    except ImportError:
        raise MissingExtraError("tomli-w", "train") from None
    table = to_plain(recipe)
    model = table.pop("model")
    arguments = model.pop("arguments")
    model["input_shape"] = [ANY_SIZE if size is None else size for size in model["input_shape"]]
    table = {"model": model | arguments, **table}
    return tomli_w.dumps({section: _without_none(keys) for section, keys in table.items() if keys is not None})


def _without_none(keys: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in keys.items() if value is not None}
