"""The errors that a caller may want to tell apart."""

import difflib
from collections.abc import Iterable


class CheckpointError(ValueError):
    """A checkpoint folder cannot be loaded; the message names the file and the fault."""


class UnknownNameError(ValueError):
    """A name that nothing is registered under; the message suggests the nearest ones."""


class HubError(OSError):
    """The Hugging Face Hub cannot give or take something; the message says why, and what to do."""


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install 'mrvae-zoo[{extra}]'")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known ones, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(names)}" if names else "none is known"
