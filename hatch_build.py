"""Build hook: the registry goes into the wheel, an editable install reads it from the checkout."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

EMBEDDED_MODEL = "mrvae_mlp.mnist"


class RegistryHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds registry/ and cards/ as mrvae_zoo/_registry/, with the weights of the default model only."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files; an editable build gets none, or a frozen copy would shadow the checkout."""
        if version == "editable":
            return
        root = Path(self.root)
        for folder in ("registry", "cards"):
            for path in sorted((root / folder).rglob("*")):
                if not path.is_file() or (path.suffix == ".safetensors" and path.parent.name != EMBEDDED_MODEL):
                    continue
                build_data["force_include"][str(path)] = f"mrvae_zoo/_registry/{path.relative_to(root).as_posix()}"
