"""The registry: one folder per model, in a checkout (registry/, cards/) or in an installed wheel. Needs no torch.

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
    """Return the folder that holds registry/ and cards/: the wheel's own copy, or the checkout around the package."""
    package = Path(__file__).parents[1]
    installed = package / "_registry"
    return installed if installed.is_dir() else package.parent


def list_models(pattern: str | list[str] = "*", *, pretrained: bool = False) -> list[str]:
    """List the names of the models in the registry, including those of plug-ins, sorted.

    Args:
        pattern: An fnmatch pattern, for example "*mnist*", or a list of patterns.
        pretrained: Whether to list only models whose weights are in the registry.
    """
    names = []
    for name, sources in _entries().items():
        if len(sources) > 1:
            warn_once(_ambiguous(name, sources))
        elif not pretrained or has_weights(sources[0][1]):
            names.append(name)
    return matching(names, pattern)


def model_folder(name: str) -> Path:
    """Return the folder of a model in the registry.

    Raises:
        UnknownNameError: There is no such model; the message suggests the nearest names.
        ValueError: Two packages bring a model of that name; the message names both.
    """
    sources = _entries().get(name)
    if sources is None:
        raise UnknownNameError(f"unknown model {name!r}; {nearest(name, list_models())}")
    if len(sources) > 1:
        raise ValueError(_ambiguous(name, sources))
    return sources[0][1]


def own_models() -> dict[str, Path]:
    """Return the folders of the models in this package's own registry/, by name, sorted. Plug-ins are left out."""
    return {path.parent.name: path.parent for path in sorted((root() / REGISTRY).glob(f"*/{RECIPE}"))}


def is_checkout() -> bool:
    """Whether the registry is that of a checkout, rather than of an installed wheel."""
    return root() == Path(__file__).parents[2]


def has_weights(folder: Path) -> bool:
    """Whether a folder of the registry holds a trained model."""
    return (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file()


def data_name(folder: Path, curve: RDCurve | None) -> str | None:
    """Return the name of the data set a model was trained on, from its recipe or else from its curve."""
    try:
        name = tomllib.loads((folder / RECIPE).read_text(encoding="utf-8"))["data"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        name = None if curve is None else curve.data.get("name")
    return name if isinstance(name, str) else None


def _entries() -> dict[str, list[Source]]:
    """Return every model by name, with each package that brings it: normally one."""
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
