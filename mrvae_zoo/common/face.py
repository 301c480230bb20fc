"""The public face, lent to the rooms below it: what `mrvae_zoo` gives by name, without importing it.

A model has methods that save and push it, as users expect; what they call stands in rooms above it. The face, which
stands above all rooms, hands its own look-up down when it is imported.
"""

from collections.abc import Callable
from typing import Any

_look_up: Callable[[str], Any]


def lend(look_up: Callable[[str], Any]) -> None:
    """Hand down the look-up of public names."""
    global _look_up  # noqa: PLW0603 (set once, when the package is imported)
    _look_up = look_up


def public(name: str) -> Any:
    """What `mrvae_zoo` calls `name`."""
    return _look_up(name)
