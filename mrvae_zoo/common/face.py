"""The public names of `mrvae_zoo`, made available to the modules below it without an import cycle.

A model has methods that save and push it, as users expect, but the functions that they call live in higher modules. The
package passes its own look-up down when it is imported.
"""

from collections.abc import Callable
from typing import Any

_look_up: Callable[[str], Any]


def lend(look_up: Callable[[str], Any]) -> None:
    """Register the look-up of public names."""
    global _look_up  # noqa: PLW0603 (set once, when the package is imported)
    _look_up = look_up


def public(name: str) -> Any:
    """Return the object that `mrvae_zoo` calls `name`."""
    return _look_up(name)
