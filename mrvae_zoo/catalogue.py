"""The catalogue: one folder a model, in a checkout (registry/, cards/) or in an installed wheel. Needs no torch."""

from pathlib import Path

from mrvae_zoo.errors import UnknownNameError, nearest
from mrvae_zoo.registry import matching

DEFAULT_MODEL = "mrvae_mlp.mnist"


def root() -> Path:
    """The folder that holds registry/ and cards/: the wheel's own copy, or the checkout around the package."""
    package = Path(__file__).parent
    installed = package / "_catalogue"
    return installed if installed.is_dir() else package.parent


def list_models(pattern: str | list[str] = "*", *, pretrained: bool = False) -> list[str]:
    """The names of the catalogue, sorted.

    Args:
        pattern: an fnmatch pattern, such as "*mnist*", or several.
        pretrained: only those whose weights are at hand.
    """
    folders = [path.parent for path in (root() / "registry").glob("*/recipe.toml")]
    if pretrained:
        folders = [folder for folder in folders if has_weights(folder)]
    return matching((folder.name for folder in folders), pattern)


def model_folder(name: str) -> Path:
    """The folder of a model of the catalogue.

    Raises:
        UnknownNameError: with the nearest names.
    """
    names = list_models()
    if name not in names:
        raise UnknownNameError(f"unknown model {name!r}; {nearest(name, names)}")
    return root() / "registry" / name


def has_weights(folder: Path) -> bool:
    """Whether a folder of the catalogue holds a trained model."""
    return (folder / "model.safetensors").is_file() and (folder / "config.json").is_file()
