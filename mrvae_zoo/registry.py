"""The Registry object, and the one that holds the architectures.

A record may name its function as "module:function", and one that a plug-in brings is an entry point until it is asked
for: names are known before any architecture is imported.
"""

import fnmatch
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from mrvae_zoo.config import GatingName
from mrvae_zoo.errors import UnknownNameError, nearest
from mrvae_zoo.plugins import Contribution, contributions, import_target, warn_once


class Named(Protocol):
    """A record with a name."""

    @property
    def name(self) -> str:
        """What it is registered under."""


R = TypeVar("R", bound=Named)


class Registry(Generic[R]):
    """Records by name. A duplicate is an error, and an error leaves the registry as it was.

    What becomes of plug-ins that are broken, or bring a name that is taken: see `mrvae_zoo.plugins`.
    """

    def __init__(self, kind: str, records: Iterable[R] = (), *, plugins: type[R] | None = None) -> None:
        """An object with those records.

        Args:
            kind: the word for a record in messages, such as "architecture".
            records: what the zoo brings.
            plugins: the class of the records that plug-ins bring too, read when the registry is first used.
        """
        self.kind = kind
        self._plugins = plugins
        self._records: dict[str, R] = {}
        self._packages: dict[str, str] = {}
        self._insert(records, "mrvae_zoo")

    def add(self, *records: R, package: str = "mrvae_zoo") -> None:
        """Register all of `records`, or none of them; `package` is who brings them.

        Raises:
            ValueError: a name is taken already, or twice among `records`; the message names both packages.
        """
        for record in records:
            if record.name in self._brought:
                raise ValueError(self._taken(record.name, self._brought[record.name].package, package))
        self._insert(records, package)

    def __getitem__(self, name: str) -> R:
        """The record of that name; one of a plug-in is imported now.

        Raises:
            UnknownNameError: with the nearest names.
            ValueError: the plug-in that brings it is broken, or two packages bring it; the message names them.
        """
        if name in self._brought:
            assert self._plugins is not None
            return self._brought[name].load(self._plugins)
        if name not in self._records:
            raise UnknownNameError(f"unknown {self.kind} {name!r}; {nearest(name, self)}")
        return self._records[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names()))

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> set[str]:
        broken = {name for name, one in self._brought.items() if one.fault is not None}
        return (self._records.keys() | self._brought.keys()) - broken

    @cached_property
    def _brought(self) -> dict[str, Contribution]:
        """What plug-ins bring, by name: where it is broken, and where the name is taken, with that as its fault."""
        found = contributions(self.kind.replace(" ", "_")) if self._plugins is not None else ()
        brought = {one.name: one for one in found if one.fault is not None and one.name not in self._records}
        packages = dict(self._packages)
        for one in found:
            if one.fault is not None:
                continue
            if one.name in packages:
                fault = f"{packages[one.name]} brings that name too; uninstall one of them, or rename it there"
                one = replace(one, fault=fault)
                warn_once(f"{one}: {fault}")
            packages.setdefault(one.name, one.package)
            brought[one.name] = one
        return brought

    def _insert(self, records: Iterable[R], package: str) -> None:
        added, packages = dict(self._records), dict(self._packages)
        for record in records:
            if record.name in added:
                raise ValueError(self._taken(record.name, packages[record.name], package))
            added[record.name], packages[record.name] = record, package
        self._records, self._packages = added, packages

    def _taken(self, name: str, by: str, package: str) -> str:
        return f"{self.kind} {name!r} is registered already by {by}; {package} should choose another name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A family of networks.

    Attributes:
        name: as in `create_model(name)`.
        build: builds (encoder, decoder) from input_shape, latent_dim and gating, and by keyword the
            architecture's own arguments; or "module:function", imported when first used.
        gatings: the kinds of gating it supports, its default first.
        spatial: whether it takes images of any size, and input_shape is (C, None, None).
    """

    name: str
    build: Callable[..., Any] | str
    gatings: tuple[GatingName, ...] = ("affine", "paper", "none")
    spatial: bool = False

    def builder(self) -> Callable[..., Any]:
        """The function that builds it.

        Raises:
            ValueError: it cannot be imported.
        """
        if not isinstance(self.build, str):
            return self.build
        builder: Callable[..., Any] = import_target(self.build)
        return builder


ALL_GATINGS: tuple[GatingName, ...] = ("shrinkage", "affine", "paper", "concat", "none")

architectures: Registry[Architecture] = Registry(
    "architecture",
    (
        Architecture(
            name="mrvae_linear",
            build="mrvae_zoo.architectures.linear:build",
            gatings=("linear", "affine", "paper", "none"),
        ),
        Architecture(name="mrvae_mlp", build="mrvae_zoo.architectures.mlp:build", gatings=ALL_GATINGS),
        Architecture(name="mrvae_conv", build="mrvae_zoo.architectures.conv:build", gatings=ALL_GATINGS),
        Architecture(name="mrvae_resnet", build="mrvae_zoo.architectures.resnet:build", gatings=ALL_GATINGS),
        Architecture(
            name="mrvae_resnet_spatial",
            build="mrvae_zoo.architectures.resnet_spatial:build",
            gatings=ALL_GATINGS,
            spatial=True,
        ),
        Architecture(name="mrvae_timm", build="mrvae_zoo.architectures.timm_encoder:build"),
    ),
    plugins=Architecture,
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
        ValueError: the name is taken, also by a plug-in, or holds a dot (names of models are `architecture.tag`).
    """
    if "." in name or not name:
        raise ValueError(f"architecture name {name!r} should not be empty nor hold a dot")

    def register(build: F) -> F:
        package = build.__module__.partition(".")[0]
        architectures.add(Architecture(name=name, build=build, gatings=gatings), package=package)
        return build

    return register


def list_architectures() -> list[str]:
    """The names of all architectures, those of plug-ins included, sorted."""
    return list(architectures)


def matching(names: Iterable[str], pattern: str | list[str]) -> list[str]:
    """The names that match a pattern (fnmatch), or any of several, sorted."""
    patterns = [pattern] if isinstance(pattern, str) else pattern
    return sorted({name for name in names for one in patterns if fnmatch.fnmatchcase(name, one)})
