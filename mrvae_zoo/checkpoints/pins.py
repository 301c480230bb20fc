"""registry/pins.toml: which commit of which Hub repository holds the weights of a model in the registry."""

import importlib.util
import re
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from mrvae_zoo.checkpoints.registry import root
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.layout import PINS, REGISTRY
from mrvae_zoo.common.schema import from_mapping
from mrvae_zoo.errors import MissingExtraError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """The exact location of a model's weights.

    Attributes:
        repo: The repository on the Hub, "org/name".
        revision: The commit of the repository, 40 hexadecimal digits.
        sha256: The SHA-256 of its model.safetensors, 64 hexadecimal digits.
    """

    repo: str
    revision: str
    sha256: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[^/\s]+/[^/\s]+", self.repo):
            raise ValueError(f"repo={self.repo!r} should be org/name")
        for name, value, digits in (("revision", self.revision, 40), ("sha256", self.sha256, 64)):
            if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", value):
                raise ValueError(f"{name}={value!r} should be {digits} hexadecimal digits, in lower case")

    @property
    def source(self) -> str:
        """The source that `load_pretrained` takes."""
        return f"hf-hub:{self.repo}@{self.revision}"


def pins_path() -> Path:
    """Return the path of the file, in a checkout or in the wheel."""
    return root() / REGISTRY / PINS


def read_pins(path: Path | None = None) -> dict[str, Pin]:
    """Read the pins in a file, by default that of the registry, by model name; empty if there is no file.

    Raises:
        ValueError: The file is damaged, or a pin is not valid; the message names the key.
    """
    path = pins_path() if path is None else path
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    pins = {}
    for name, pin in table.items():
        if not isinstance(pin, dict):
            raise ValueError(f"{path}: {name}={pin!r} should be a table")
        pins[name] = from_mapping(Pin, pin, where=f"{path}: {name}")
    return pins


def write_pins(pins: dict[str, Pin], path: Path) -> None:
    """Write the pins, sorted by name, atomically.

    Raises:
        MissingExtraError: tomli-w is not installed.
    """
    check_tomli_w()
    import tomli_w

    write_atomically(path, tomli_w.dumps({name: asdict(pins[name]) for name in sorted(pins)}))


def check_tomli_w() -> None:
    """Raise a MissingExtraError if tomli-w, which writes pins, is not installed."""
    if importlib.util.find_spec("tomli_w") is None:
        raise MissingExtraError("tomli-w", "hub")
