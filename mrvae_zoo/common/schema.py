"""From the plain data of a TOML or JSON file to a typed, frozen dataclass, checked once when it is read."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mrvae_zoo.errors import name_some, nearest, short

T = TypeVar("T")


def from_mapping(cls: type[T], data: Mapping[str, Any], *, where: str) -> T:
    """Make an instance of the dataclass `cls` from `data`, including nested dataclasses.

    Args:
        cls: A dataclass whose annotations are int, float, str, bool, tuples of them, literals, optionals, dictionaries
            or dataclasses.
        data: The keys and values as read from the file.
        where: The name of the data in messages ("recipe.toml", "config.json").

    Raises:
        ValueError: Keys or values are wrong. The message names every unknown key (with the nearest known one), every
            missing key and every value of the wrong type.
    """
    return _record(cls, data, where=where, path="")


def check_value(value: Any, annotation: Any, *, where: str, key: str) -> Any:
    """Convert `value` to `annotation` (a list becomes a tuple, an int a float), or raise a ValueError naming `key`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return value
    if origin in (Union, types.UnionType):
        return _union(value, arguments, where=where, key=key)
    if origin is Literal:
        if value in arguments and isinstance(value, str):
            return value
        raise ValueError(f"{where}: {key}={short(value)} is not one of {', '.join(map(repr, arguments))}")
    if dataclasses.is_dataclass(annotation):
        if type(value) is annotation:
            return value
        if isinstance(value, Mapping):
            return _record(annotation, value, where=where, path=f"{key}.")
    elif origin is tuple:
        if isinstance(value, (list, tuple)):
            kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
            if len(kinds) == len(value):
                pairs = zip(value, kinds, strict=True)
                return tuple(check_value(v, k, where=where, key=f"{key}[{i}]") for i, (v, k) in enumerate(pairs))
    elif origin is dict:
        if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
            return {name: check_value(v, arguments[1], where=where, key=f"{key}.{name}") for name, v in value.items()}
    elif annotation is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                raise ValueError(f"{where}: {key} is too large for a number") from None
    elif type(value) is annotation:  # exact: True is not an int here
        return value
    raise ValueError(f"{where}: {key}={short(value)} should be {_describe(annotation)}")


def to_plain(value: Any) -> Any:
    """Convert dataclasses to dictionaries and tuples to lists, ready for JSON; the inverse of `from_mapping`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def flat(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Flatten nested tables: {"training": {"seed": 0}} -> {"training.seed": 0}."""
    one: dict[str, Any] = {}
    for key, value in table.items():
        key = f"{path}{key}"
        one |= flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return one


def _record(cls: Any, data: Mapping[str, Any], *, where: str, path: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = get_type_hints(cls)
    faults = [f"unknown key {path}{key}; {nearest(str(key), fields)}" for key in data if key not in fields]
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in data:
            faults.append(f"{path}{name} is missing")
    values: dict[str, Any] = {}
    for key in (key for key in data if key in fields):
        try:
            values[key] = check_value(data[key], hints[key], where=where, key=f"{path}{key}")
        except ValueError as error:
            faults.append(fault(error, where))
    if faults:
        raise ValueError(f"{where}: {name_some(faults, '; ')}")
    try:
        return cls(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {path}{error}" if path else f"{where}: {error}") from None


def fault(error: ValueError, where: str) -> str:
    """Return the message of an error without the leading `where`."""
    return str(error).removeprefix(f"{where}: ")


def _union(value: Any, options: tuple[Any, ...], *, where: str, key: str) -> Any:
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    literal = len(options) > 1 and any(get_origin(option) is Literal for option in options)
    for option in options if literal else options[:-1]:
        try:
            return check_value(value, option, where=where, key=key)
        except ValueError:
            continue
    if literal:
        raise ValueError(f"{where}: {key}={short(value)} should be {' or '.join(map(_describe, options[::-1]))}")
    return check_value(value, options[-1], where=where, key=key)


def _describe(annotation: Any) -> str:
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple:
        if arguments[-1] is Ellipsis:
            return f"a list of {_describe(arguments[0])}"
        return f"a list of {len(arguments)} ({', '.join(map(_describe, arguments))})"
    if get_origin(annotation) is Literal:
        return ", ".join(map(repr, arguments))
    if dataclasses.is_dataclass(annotation) or get_origin(annotation) is dict:
        return "a table"
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(map(_describe, arguments))
    names = {int: "an integer", float: "a number", str: "a string", bool: "true or false", type(None): "nothing"}
    return names.get(annotation, str(annotation))


def check_at_least(name: str, value: int | None, low: int) -> None:
    """Raise a ValueError that names the value if it is below `low`; None passes."""
    if value is not None and value < low:
        raise ValueError(f"{name}={value} should be at least {low}")
