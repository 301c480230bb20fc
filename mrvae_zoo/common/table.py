"""Records by name: the object, and patterns of names.

What a plug-in brings is an entry point until it is asked for, so that names are known before anything is imported.
"""

import fnmatch
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from mrvae_zoo.common.entry_points import Contribution, contributions, warn_once
from mrvae_zoo.errors import UnknownNameError, nearest


class Named(Protocol):
    """A record with a name."""

    @property
    def name(self) -> str:
        """What it is registered under."""


R = TypeVar("R", bound=Named)


class Table(Generic[R]):
    """Records by name. A duplicate is an error, and an error leaves the table as it was.

    What becomes of plug-ins that are broken, or bring a name that is taken: see `mrvae_zoo.common.entry_points`.
    """

    def __init__(self, kind: str, records: Iterable[R] = (), *, plugins: type[Any] | None = None) -> None:
        """An object with those records.

        Args:
            kind: the word for a record in messages, such as "architecture".
            records: what the zoo brings.
            plugins: the class of the records that plug-ins bring too (or whose subclasses they bring), read when the
                table is first used.
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
            record: R = self._brought[name].load(self._plugins)
            return record
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


def matching(names: Iterable[str], pattern: str | list[str]) -> list[str]:
    """The names that match a pattern (fnmatch), or any of several, sorted."""
    patterns = [pattern] if isinstance(pattern, str) else pattern
    return sorted({name for name in names for one in patterns if fnmatch.fnmatchcase(name, one)})
