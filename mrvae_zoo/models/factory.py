"""Building a model from its description: create_model, and the functions that recipes and checkpoints use."""

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, get_type_hints

from mrvae_zoo.common.schema import check_value, fault, from_mapping
from mrvae_zoo.errors import UnknownNameError, name_some, nearest
from mrvae_zoo.models.architecture_table import Architecture, architectures
from mrvae_zoo.models.config import ModelConfig

if TYPE_CHECKING:
    from mrvae_zoo.models.vae import BaseVAE, MultiRateVAE


ANY_SIZE = "any"
CONFIG_KEYS = frozenset(field.name for field in fields(ModelConfig)) - {"arguments", "beta"}


def create_model(architecture: str, *, pretrained: bool = False, **options: Any) -> "MultiRateVAE":
    """Create an untrained model, without internet access; or, as in timm, load a trained one with pretrained=True.

    Args:
        architecture: The name of a registered architecture; see `list_architectures()`. With pretrained=True, the name
            of a trained model (`mrvae_mlp.mnist`); the options are then those of `load_pretrained`.
        pretrained: Whether to load a trained model.
        options: The keys of the model. input_shape=(C, H, W) is required ((C, None, None) for a spatial architecture).
            The others are latent_dim=32, beta_range=(0.01, 10.0), likelihood="bernoulli" or "gaussian" (with sigma=),
            data_range=(0, 1), gating= (default: that of the architecture), gating_degree=3, and the architecture's own
            arguments.

    Raises:
        ValueError: The architecture or an option is unknown, or a value is wrong; the message names it.
    """
    from mrvae_zoo.models.vae import MultiRateVAE

    known = architecture in architectures
    if pretrained and known:
        raise ValueError(
            f"create_model: {architecture} is an architecture; name a trained model of it, see "
            f'list_models("{architecture}.*", pretrained=True)'
        )
    if pretrained:
        return MultiRateVAE.from_pretrained(architecture, **options)
    if not known and str(architecture).partition(".")[0] in architectures:
        raise UnknownNameError(f"create_model: {architecture} is the name of a trained model; say pretrained=True")
    model = build_model(config_from_options({"architecture": architecture, **options}, where="create_model"))
    assert isinstance(model, MultiRateVAE)  # options cannot hold beta
    return model


def config_from_options(options: Mapping[str, Any], *, where: str) -> ModelConfig:
    """Make a config from one flat table that holds the keys of ModelConfig and the architecture's own arguments.

    Raises:
        ValueError: A key or value is wrong; the message names `where` and the key.
    """
    if not isinstance(options.get("architecture"), str):
        meant = difflib.get_close_matches("architecture", options, n=1)
        raise ValueError(f"{where}: architecture is missing" + "".join(f" (unknown key {key})" for key in meant))
    record = _find(options["architecture"], where)
    known = CONFIG_KEYS | set(parameters_of(record))
    faults = [f"unknown key {key} for {record.name}; {nearest(key, known)}" for key in options if key not in known]
    table = {"gating": record.gatings[0], **{key: options[key] for key in options if key in CONFIG_KEYS}}
    if isinstance(table.get("input_shape"), (list, tuple)):  # TOML has no null
        table["input_shape"] = [None if size == ANY_SIZE else size for size in table["input_shape"]]
    arguments = {key: options[key] for key in options if key in known - CONFIG_KEYS}
    try:
        config = from_mapping(ModelConfig, {**table, "arguments": arguments}, where=where)
    except ValueError as error:
        faults.append(fault(error, where))
    if faults:
        raise ValueError(f"{where}: {name_some(faults, '; ')}")
    return complete(config, where=where)


def complete(config: ModelConfig, *, where: str) -> ModelConfig:
    """Check every argument of the config's architecture, and write out those that are defaults."""
    record = _find(config.architecture, where)
    gatings = record.supported_gatings()
    if config.gating not in gatings:
        raise ValueError(f"{where}: gating={config.gating!r} is not one of {', '.join(gatings)}")
    if config.spatial != record.spatial:
        expected = "(C, None, None), any size" if record.spatial else "(C, H, W)"
        raise ValueError(f"{where}: input_shape={config.input_shape} should be {expected} for {record.name}")
    parameters = parameters_of(record)
    arguments = {}
    for key in config.arguments:
        if key not in parameters:
            raise ValueError(f"{where}: unknown argument {key} for {record.name}; {nearest(key, parameters)}")
    for key, (annotation, default) in parameters.items():
        value = config.arguments.get(key, default)
        if value is inspect.Parameter.empty:
            raise ValueError(f"{where}: {key} is missing, an argument of {record.name}")
        arguments[key] = check_value(value, annotation, where=where, key=key)
    return replace(config, arguments=arguments)


def build_model(config: ModelConfig) -> "BaseVAE":
    """Build the model of a complete config, with initial weights; a FixedRateVAE if the config holds a β.

    Raises:
        ValueError: The architecture refuses its arguments.
    """
    from mrvae_zoo.models.gating_table import make_gating
    from mrvae_zoo.models.vae import FixedRateVAE, MultiRateVAE

    builder = architectures[config.architecture].builder()
    encoder, decoder = builder(config.input_shape, config.latent_dim, make_gating(config), **config.arguments)
    return (MultiRateVAE if config.beta is None else FixedRateVAE)(config, encoder, decoder)


def _find(architecture: str, where: str) -> Architecture:
    try:
        return architectures[architecture]
    except UnknownNameError as error:
        raise UnknownNameError(f"{where}: {error}") from None


def parameters_of(record: Architecture) -> dict[str, tuple[Any, Any]]:
    """Return the architecture's own arguments: name -> annotation and default."""
    builder = record.builder()
    hints = get_type_hints(builder)
    return {
        name: (hints.get(name, Any), parameter.default)
        for name, parameter in inspect.signature(builder).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
