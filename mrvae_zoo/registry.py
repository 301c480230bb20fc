"""The Registry object, and the one that holds the architectures.

A record may name its function as "module:function": names are known before any architecture is imported.
"""

import fnmatch
import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from mrvae_zoo.config import GatingName
from mrvae_zoo.errors import UnknownNameError, nearest


class Named(Protocol):
    """A record with a name."""

    @property
    def name(self) -> str:
        """What it is registered under."""


R = TypeVar("R", bound=Named)


class Registry(Generic[R]):
    """Records by name. A duplicate is an error, and an error leaves the registry as it was."""

    def __init__(self, kind: str, records: Iterable[R] = ()) -> None:
        """`kind` is the word for a record in messages, such as "architecture"."""
        self.kind = kind
        self._records: dict[str, R] = {}
        self.add(*records)

    def add(self, *records: R) -> None:
        """Register all of `records`, or none of them.

        Raises:
            ValueError: a name is taken already, or twice among `records`.
        """
        added = dict(self._records)
        for record in records:
            if record.name in added:
                raise ValueError(f"{self.kind} {record.name!r} is registered already")
            added[record.name] = record
        self._records = added

    def __getitem__(self, name: str) -> R:
        """The record of that name.

        Raises:
            UnknownNameError: with the nearest names.
        """
        if name not in self._records:
            raise UnknownNameError(f"unknown {self.kind} {name!r}; {nearest(name, self._records)}")
        return self._records[name]

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._records))

    def __len__(self) -> int:
        return len(self._records)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A family of networks.

    Attributes:
        name: as in `create_model(name)`.
        build: builds (encoder, decoder) from input_shape, latent_dim and gating, and by keyword the
            architecture's own arguments; or "module:function", imported when first used.
        gatings: the kinds of gating it supports, its default first.
    """

    name: str
    build: Callable[..., Any] | str
    gatings: tuple[GatingName, ...] = ("affine", "paper", "none")

    def builder(self) -> Callable[..., Any]:
        """The function that builds it."""
        if not isinstance(self.build, str):
            return self.build
        module, _, function = self.build.partition(":")
        builder: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return builder


architectures: Registry[Architecture] = Registry(
    "architecture",
    (
        Architecture(
            name="mrvae_linear",
            build="mrvae_zoo.architectures.linear:build",
            gatings=("linear", "affine", "paper", "none"),
        ),
        Architecture(name="mrvae_mlp", build="mrvae_zoo.architectures.mlp:build"),
        Architecture(name="mrvae_timm", build="mrvae_zoo.architectures.timm_encoder:build"),
    ),
)

F = TypeVar("F", bound=Callable[..., Any])


def register_architecture(
    name: str, *, gatings: tuple[GatingName, ...] = ("affine", "paper", "none")
) -> Callable[[F], F]:
    """Decorator that registers a function building (encoder, decoder) as the architecture `name`.

    The function is called as `build(input_shape, latent_dim, gating, **arguments)`: its keyword-only parameters,
    with their annotations and defaults, are the architecture's own arguments. The encoder is called as
    `encoder(x, features) -> (mean, log_var)`, the decoder as `decoder(z, features)`, and gives what the
    likelihood takes: logits or the mean, (B, C, H, W).

    Raises:
        ValueError: the name is taken, or holds a dot (names of models are `architecture.tag`).
    """
    if "." in name or not name:
        raise ValueError(f"architecture name {name!r} should not be empty nor hold a dot")

    def register(build: F) -> F:
        architectures.add(Architecture(name=name, build=build, gatings=gatings))
        return build

    return register


def list_architectures() -> list[str]:
    """The names of all architectures, sorted."""
    return list(architectures)


def matching(names: Iterable[str], pattern: str | list[str]) -> list[str]:
    """The names that match a pattern (fnmatch), or any of several, sorted."""
    patterns = [pattern] if isinstance(pattern, str) else pattern
    return sorted({name for name in names for one in patterns if fnmatch.fnmatchcase(name, one)})
