"""Records by name, and patterns of names.

A contribution of a plug-in stays an entry point until it is asked for, so names are known before anything is imported.
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
        """The name that it is registered under."""


R = TypeVar("R", bound=Named)


class Table(Generic[R]):
    """Records by name. A duplicate is an error, and an error leaves the table unchanged.

    `mrvae_zoo.common.entry_points` describes what happens to plug-ins that are broken, or bring a name that is taken.
    """

    def __init__(self, kind: str, records: Iterable[R] = (), *, plugins: type[Any] | None = None) -> None:
        """Make a table with these records.

        Args:
            kind: The word for a record in messages, for example "architecture".
            records: The records of the zoo itself.
            plugins: The class of the records that plug-ins may bring (or whose subclasses they bring). They are read
                when the table is first used.
        """
        self.kind = kind
        self._plugins = plugins
        self._records: dict[str, R] = {}
        self._packages: dict[str, str] = {}
        self._insert(records, "mrvae_zoo")

    def add(self, *records: R, package: str = "mrvae_zoo") -> None:
        """Register all of `records`, or none of them; `package` is the package that brings them.

        Raises:
            ValueError: A name is already taken, or occurs twice in `records`; the message names both packages.
        """
        for record in records:
            if record.name in self._brought:
                raise ValueError(self._taken(record.name, self._brought[record.name].package, package))
        self._insert(records, package)

    def __getitem__(self, name: str) -> R:
        """Return the record of that name; a plug-in is imported now.

        Raises:
            UnknownNameError: There is no such name; the message suggests the nearest names.
            ValueError: The plug-in that brings it is broken, or two packages bring it; the message names them.
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
        """The contributions of plug-ins by name. One that is broken or whose name is taken has that as its fault."""
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
    """Return the names that match a pattern (fnmatch), or any of several, sorted."""
    patterns = [pattern] if isinstance(pattern, str) else pattern
    return sorted({name for name in names for one in patterns if fnmatch.fnmatchcase(name, one)})
