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
from mrvae_zoo.gating.beta import MAX_SHARE, MIN_SHARE, BetaFall, BetaSampling, check_density
from mrvae_zoo.models.architecture_table import architectures
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.factory import ANY_SIZE, config_from_options

SQUARED_ERROR_SIGMA = math.sqrt(0.5)  # a recipe's, where it names none: D is the sum of squared errors


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveRecipe:
    """[objective]: the loss that is minimised.

    Attributes:
        name: The name of the objective: "beta_vae", "beta_tcvae" or that of a plug-in (see
            `mrvae_zoo.training.objectives`).
        beta_sampling: The way β is drawn, log-uniformly: "stratified" draws one β per example, "batch" draws one β for
            the whole batch.
        beta_min_share: The share of the examples that get the lowest β of the range, at the start and at the end of the
            training. What the lowest β learns serves all others, and it learns slowly; so a training starts with
            nearly all examples there. A training that starts from --init has the share of the end throughout.
        beta_min_fall: The way from the share at the start to that at the end: "linear", or "cosine" (half a period).
        beta_max_share: The share of the other examples that get the highest β, which has neighbours on one side only.
        beta_skew: The skew of the other values of β (see `sample_beta`). 1 is log-uniform; a smaller value gives more
            high β.
        beta_weighting: The exponent w of the weight β^-w that multiplies the loss of an example.
        beta: A single β to train at. With `model.gating = "none"` this is a dedicated β-VAE. No β is drawn, so the keys
            above that concern β are not used, and the curve is measured at this β only.
    """

    name: str = "beta_vae"
    beta_sampling: BetaSampling = "stratified"
    beta_min_share: tuple[float, float] = MIN_SHARE
    beta_min_fall: BetaFall = "linear"
    beta_max_share: float = MAX_SHARE
    beta_skew: float = 1.0
    beta_weighting: float = 0.1
    beta: float | None = None

    def __post_init__(self) -> None:
        check_density(self.beta_min_share, self.beta_max_share, self.beta_skew)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """[training]: how the loss is minimised.

    Attributes:
        epochs: The number of passes over the training images.
        max_steps: The largest number of steps; training stops there even if epochs are left.
        batch_size: The number of images per step, over all processes together.
        accumulate: The number of parts that each process cuts its share of the batch into, to save memory. The result
            is the same.
        start: The weights that a training starts from: "random", or "pca", the optimum of a linear VAE of the training
            images (see `mrvae_zoo.gating.optimum`), which takes seconds to compute. It is for `mrvae_resnet_spatial`,
            and for `mrvae_resnet` with `components`, under a Gaussian likelihood. With --init neither is used.
        optimizer: The optimiser: "adam" or "adamw".
        weight_decay: The weight decay of the optimiser.
        adam_beta2: The decay of Adam's average of squared gradients.
        learning_rate: The highest learning rate of the schedule.
        final_learning_rate: The learning rate at the end of the schedule.
        schedule: The schedule of the learning rate: "linear" or "cosine" (down to the final one), or "constant".
        warmup_steps: The number of steps at the start in which the learning rate rises linearly.
        clip_norm: The largest norm of the gradients; larger ones are scaled down to it. Leave it out for no limit.
        ema: The decay of the moving average of the weights, which becomes the model. 0 keeps the last weights instead.
        precision: The precision of matrix products and convolutions: "fp32", "tf32" (on a GPU), "bf16", or "auto",
            which takes bf16 where the device has it in hardware. Weights, gates, losses and sums are float32 in any
            case.
        channels_last: Whether images and the weights of convolutions are stored with the channels last; "auto" does
            what is faster on the device.
        compile: Whether the step is compiled: "none", "step", or "auto", which compiles where it pays: on a GPU, and
            in a long training on a CPU. On a single GPU a compiled step is one CUDA graph. True means "step", and
            False "none".
        weights_dtype: The dtype that the weights are stored in. The curve is measured on the stored weights.
        seed: The seed of everything that is drawn.
        checkpoint_every: The number of steps between saved states; without it one is saved about every minute. An
            interrupted training continues from the newest one.
        log_every: The number of steps between two lines of metrics.jsonl.
        validate_every: The number of steps between two validations; 0 for none. Each one measures L at three β on the
            validation split, with the averaged weights if there are any. L goes into the log and to the trackers.
        patience: The number of validations without a lower L after which training stops and the weights of the lowest L
            are kept. 0 never stops early.
    """

    epochs: int
    max_steps: int | None = None
    batch_size: int = 128
    accumulate: int = 1
    start: Literal["random", "pca"] = "random"
    optimizer: Literal["adam", "adamw"] = "adam"
    weight_decay: float = 0.0
    adam_beta2: float = 0.99
    learning_rate: float = 4e-3
    final_learning_rate: float = 0.0
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: int = 0
    clip_norm: float | None = None
    ema: float = 0.999
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    channels_last: bool | Literal["auto"] = "auto"
    compile: bool | Literal["auto", "step", "none"] = "auto"
    weights_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    seed: int = 0
    checkpoint_every: int | None = None
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
        if isinstance(self.compile, bool):
            object.__setattr__(self, "compile", "step" if self.compile else "none")
        if self.seed >= 1 << 31:
            raise ValueError(f"seed={self.seed} should be below 2^31")
        if not 0 < self.learning_rate <= 1:
            raise ValueError(f"learning_rate={self.learning_rate} should be above 0 and at most 1")
        if not 0 <= self.final_learning_rate <= self.learning_rate:
            raise ValueError(
                f"final_learning_rate={self.final_learning_rate} should be at least 0 and at most learning_rate"
            )
        if not 0 <= self.adam_beta2 < 1:
            raise ValueError(f"adam_beta2={self.adam_beta2} should be at least 0 and below 1")
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
    """[trained]: a record of the training that produced the model beside the recipe. It is not used to train again.

    Attributes:
        seconds: The duration of the training in seconds, without the measurement of the curve.
        hardware: The hardware it ran on, for example "1 CPU thread".
        version: The version of mrvae_zoo.
        settings: How a step was computed, for example "bf16, compiled"; None if it was float32 without a compiler.
        commit: The commit of the git checkout that mrvae_zoo ran from, with "-dirty" if files had been changed.
        date: The day the training ended, as an ISO date in UTC.
        data: A checksum of the training images.
        init: The source of the initial weights (--init); None if they were random.
        init_sha256: The checksum of the initial weights.
    """

    seconds: float
    hardware: str
    version: str
    settings: str | None = None
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
    """The sections of a recipe other than [model], whose keys depend on the architecture."""

    data: DataRecipe
    training: TrainingRecipe
    objective: ObjectiveRecipe = field(default_factory=ObjectiveRecipe)
    trained: TrainedRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(RecipeWithoutModel):
    """A complete recipe, with the record of its training if it has been trained."""

    model: ModelConfig


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read the recipe in a file, with `overrides` such as "training.epochs=2" (a TOML value, or a bare string).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not TOML, or keys are unknown, missing, or of a wrong type or value. The message names
            the file (or --set, if that is wrong) and every key, with the nearest known ones.
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
    """Make a recipe from the tables of a TOML file; `where` names the file in messages."""
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
    check_start(recipe, where=where)
    check_objective(recipe, where=where)
    return recipe


def _model_config(model: Any, where: str) -> ModelConfig:
    if not isinstance(model, dict):
        raise ValueError(f"{where}: the table [model] is missing")
    if model.get("likelihood") == "gaussian":
        model = {"sigma": SQUARED_ERROR_SIGMA, **model}
    return config_from_options(model, where=f"{where}: [model]")


def check_start(recipe: Recipe, *, where: str) -> None:
    """Raise a ValueError naming `where` and the key if a training cannot start as the recipe says."""
    model = recipe.model
    if recipe.training.start == "random":
        return
    if architectures[model.architecture].start is None:
        able = ", ".join(name for name in architectures if architectures[name].start is not None)
        raise ValueError(f'{where}: training.start = "pca" is for {able}, not for {model.architecture}')
    if model.likelihood != "gaussian":
        raise ValueError(
            f'{where}: training.start = "pca" needs model.likelihood = "gaussian", not {model.likelihood!r}'
        )


def check_objective(recipe: Recipe, *, where: str) -> None:
    """Raise a ValueError naming `where` and the key if the objective is unknown or does not fit the rest."""
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
            f"{recipe.objective.beta_sampling!r}, one β per example, q(z) would be a mixture over β"
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
    """Parse text such as "training.epochs=2" -> ("training", "epochs", 2). A value that is not TOML is a string.

    Raises:
        ValueError: The text does not have that form.
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
    """Return the recipe as the text of a recipe.toml, with every key written out.

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
