"""The registry: one folder a model, in a checkout (registry/, cards/) or in an installed wheel. Needs no torch.

A plug-in may bring a folder of such folders (see `mrvae_zoo.common.entry_points`).
"""

import tomllib
from pathlib import Path

from mrvae_zoo.common.entry_points import contributions, warn_once
from mrvae_zoo.common.layout import CONFIG, RECIPE, REGISTRY, WEIGHTS
from mrvae_zoo.common.table import matching
from mrvae_zoo.errors import UnknownNameError, nearest
from mrvae_zoo.models.curve import RDCurve

Source = tuple[str, Path]  # the package that brings a model, and the folder of the model in it


def root() -> Path:
    """The folder that holds registry/ and cards/: the wheel's own copy, or the checkout around the package."""
    package = Path(__file__).parents[1]
    installed = package / "_registry"
    return installed if installed.is_dir() else package.parent


def list_models(pattern: str | list[str] = "*", *, pretrained: bool = False) -> list[str]:
    """The names of the registry and of the registries of plug-ins, sorted.

    Args:
        pattern: an fnmatch pattern, such as "*mnist*", or several.
        pretrained: only those whose weights are at hand.
    """
    names = []
    for name, sources in _entries().items():
        if len(sources) > 1:
            warn_once(_ambiguous(name, sources))
        elif not pretrained or has_weights(sources[0][1]):
            names.append(name)
    return matching(names, pattern)


def model_folder(name: str) -> Path:
    """The folder of a model of the registry.

    Raises:
        UnknownNameError: with the nearest names.
        ValueError: two packages bring a model of that name; the message names both.
    """
    sources = _entries().get(name)
    if sources is None:
        raise UnknownNameError(f"unknown model {name!r}; {nearest(name, list_models())}")
    if len(sources) > 1:
        raise ValueError(_ambiguous(name, sources))
    return sources[0][1]


def own_models() -> dict[str, Path]:
    """The folders of the models of this package's own registry/, by name, sorted; those of plug-ins are left out."""
    return {path.parent.name: path.parent for path in sorted((root() / REGISTRY).glob(f"*/{RECIPE}"))}


def is_checkout() -> bool:
    """Whether the registry is that of a checkout, and not of an installed wheel."""
    return root() == Path(__file__).parents[2]


def has_weights(folder: Path) -> bool:
    """Whether a folder of the registry holds a trained model."""
    return (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file()


def data_name(folder: Path, curve: RDCurve | None) -> str | None:
    """The set that a model was trained on, by the recipe in its folder, or else the one of its curve."""
    try:
        name = tomllib.loads((folder / RECIPE).read_text(encoding="utf-8"))["data"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        name = None if curve is None else curve.data.get("name")
    return name if isinstance(name, str) else None


def _entries() -> dict[str, list[Source]]:
    """Every model by name, from each package that brings it: one, unless by mistake."""
    brought = [(one.package, one.folder()) for one in contributions("registry") if one.fault is None]
    entries: dict[str, list[Source]] = {}
    for name, folder in own_models().items():
        entries[name] = [("mrvae_zoo", folder)]
    for package, folder in brought:
        for path in folder.glob(f"*/{RECIPE}"):
            entries.setdefault(path.parent.name, []).append((package, path.parent))
    return entries


def _ambiguous(name: str, sources: list[Source]) -> str:
    packages = " and ".join(package for package, _ in sources)
    return f"the model {name!r} is brought by {packages}; uninstall one of them, or rename it there"
