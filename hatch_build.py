"""Build hook: the registry goes into the wheel, an editable install reads it from the checkout."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DEFAULT_MODEL = "mrvae_mlp.mnist"  # its weights are in every wheel, as the README promises
MOST_BYTES = 60_000_000  # of all weights in the wheel


class RegistryHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds registry/ and cards/ as mrvae_zoo/_registry/, with the weights of every model that is not on the Hub yet."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files; an editable build gets none, or a frozen copy would shadow the checkout."""
        if version == "editable":
            return
        root = Path(self.root)
        for path in registry_files(root):
            build_data["force_include"][str(path)] = f"mrvae_zoo/_registry/{path.relative_to(root).as_posix()}"


def registry_files(root: Path) -> Iterator[Path]:
    """Yield the files of registry/ and cards/ that belong into the wheel.

    Raises:
        ValueError: The weights among them are too large together.
    """
    pins = root / "registry" / "pins.toml"
    pinned = set(tomllib.loads(pins.read_text(encoding="utf-8"))) if pins.is_file() else set()
    total = 0
    for folder in ("registry", "cards"):
        for path in sorted((root / folder).rglob("*")):
            if not path.is_file():
                continue
            if path.suffix == ".safetensors":
                if path.parent.name in pinned - {DEFAULT_MODEL}:
                    continue  # downloaded from its pin when it is first used
                total += path.stat().st_size
            yield path
    if total > MOST_BYTES:
        raise ValueError(
            f"the weights for the wheel take {total / 1e6:.1f} MB, and at most {MOST_BYTES / 1e6:.0f} MB may go in; "
            "publish models with `mrvae publish`, whose weights then stay out"
        )
