"""Plug-ins: what other packages bring, known from their entry points before any of their code is imported.

    [project.entry-points."mrvae_zoo.plugins"]
    "architecture.NAME" = "module:attribute"    an `Architecture` of that name
    "data_set.NAME" = "module:attribute"        a `DataSet` of that name
    "objective.NAME" = "module:attribute"       an `Objective` of that name
    "gating.NAME" = "module:attribute"          a subclass of `Gating` of that name
    "metric.NAME" = "module:attribute"          a `Metric` of that name, for a sweep
    "registry.NAME" = "package:folder"         a folder inside the package: MODEL/recipe.toml, and what belongs to it

A plug-in that is visibly broken is logged once and left out of lists. Asking for it by name raises a ValueError that
names the package. A fault that only an import can show raises the same error once the plug-in is asked for. If two
packages bring the same name, it is in no list, and asking for it raises an error that names both packages. Other names
keep working, and nothing is silently replaced.
"""

import functools
import importlib
import importlib.util
import inspect
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from importlib.metadata import Distribution


GROUP = "mrvae_zoo.plugins"
KINDS = ("architecture", "data_set", "objective", "gating", "metric", "registry")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One entry point of a plug-in.

    Attributes:
        kind: The kind of contribution, one of KINDS.
        name: The name of the architecture, data set, objective, gating or metric. For a registry it only tells two
            folders of one package apart.
        package: The distribution that brings it.
        target: The object it names: "module:attribute", or "package:folder".
        fault: The reason why it cannot be used, as far as is known without an import; None if nothing is wrong.
    """

    kind: str
    name: str
    package: str
    target: str
    fault: str | None = None

    def load(self, expected: type[Any]) -> Any:
        """Import the record now: an instance of `expected`, or a subclass of it.

        Raises:
            ValueError: There is a fault, or the import shows one; the message names the package.
        """
        if self.fault is not None:
            raise ValueError(f"{self}: {self.fault}")
        try:
            record = import_target(self.target)
        except ValueError as error:
            raise ValueError(f"{self}: {error}") from error
        is_one = issubclass(record, expected) if isinstance(record, type) else isinstance(record, expected)
        if not is_one or getattr(record, "name", None) != self.name:
            raise ValueError(f"{self}: {self.target} is not the {expected.__name__} of that name")
        if inspect.isabstract(record):
            lacking = ", ".join(sorted(record.__abstractmethods__))
            raise ValueError(f"{self}: {self.target} has no {lacking}, which a {expected.__name__} needs")
        return record

    def folder(self) -> Path:
        """Return the folder of a registry, which exists if `fault` is None."""
        folder = find_folder(self.target)
        assert folder is not None
        return folder

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.name!r} of the plug-in {self.package}"


def contributions(kind: str) -> tuple[Contribution, ...]:
    """Return what the installed plug-ins bring of one kind, including broken ones; read once per process."""
    return tuple(one for one in _read() if one.kind == kind)


def import_target(target: str) -> Any:
    """Return the object that "module:attribute" names.

    Raises:
        ValueError: The module cannot be imported, whatever error it raises, or lacks the attribute.
    """
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{target} cannot be imported ({reason})") from error


@functools.cache
def warn_once(message: str) -> None:
    """Log a warning, but only the first time."""
    logger.warning("%s", message)


def find_top(module: str) -> "ModuleSpec | None":
    """Find the spec of a module's top-level package without importing it, as find_spec of a dotted name would."""
    try:
        return importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return None


def find_folder(target: str) -> Path | None:
    """Return the folder that "package:folder" names, or None."""
    package, _, folder = target.partition(":")
    top = find_top(package)
    locations = None if top is None else top.submodule_search_locations
    candidates = (Path(location, *package.split(".")[1:], folder) for location in locations or ())
    return next((path for path in candidates if path.is_dir()), None)


@functools.cache
def _read() -> tuple[Contribution, ...]:
    from importlib.metadata import distributions  # slow to import, and `mrvae --help` does without

    found: list[Contribution] = []
    seen: set[str] = set()
    for distribution in distributions():
        try:  # one distribution at a time: entry_points() fails for all where one has an unreadable file
            points = list(distribution.entry_points.select(group=GROUP))
        except Exception as error:  # noqa: BLE001 (no promise is made of what a damaged file raises)
            warn_once(f"{_package(distribution)} has entry points that cannot be read, and is skipped: {error!r}")
            continue
        if not points:
            continue
        package = _package(distribution)
        key = re.sub(r"[-_.]+", "-", package).lower()
        if key in seen:  # the same distribution further down the path, where nothing is imported from
            continue
        seen.add(key)
        found += [one for point in points if (one := _contribution(point.name, point.value, package)) is not None]
    return tuple(found)


def _contribution(entry: str, target: str, package: str) -> Contribution | None:
    kind, _, name = entry.partition(".")
    if kind not in KINDS or not name or (kind == "architecture" and "." in name):
        expected = ", ".join(f"{kind}.NAME" for kind in KINDS)
        warn_once(f"the plug-in {package} has an entry point {entry!r} that is skipped; expected {expected}")
        return None
    fault = _fault(kind, target)
    one = Contribution(kind=kind, name=name, package=package, target=target, fault=fault)
    if fault is not None:
        warn_once(f"{one} is skipped: {fault}")
    return one


def _fault(kind: str, target: str) -> str | None:
    """Return what is wrong with a target, as far as can be seen without importing it."""
    module, _, attribute = target.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        return f"{target!r} should be {'package:folder' if kind == 'registry' else 'module:attribute'}"
    if find_top(module) is None:
        return f"there is no module {module}"
    if kind == "registry" and find_folder(target) is None:
        return f"{target} is no folder"
    return None


def _package(distribution: "Distribution") -> str:
    try:
        name: str | None = distribution.name
    except Exception:  # noqa: BLE001 (damaged metadata, see _read)
        name = None
    return name or f"a package without a name in {distribution.locate_file('')}"
