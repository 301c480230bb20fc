"""The errors that a caller may want to tell apart."""

import difflib
from collections.abc import Iterable, Sequence

MAX_NAMED = 10
MAX_VALUE, MAX_MESSAGE = 200, 2000  # characters of a value in a message, and of a line that is shown


class CheckpointError(ValueError):
    """A checkpoint folder cannot be loaded; the message names the file and the fault."""


class UnknownNameError(ValueError):
    """Nothing is registered under this name; the message suggests the nearest names."""


class HubError(OSError):
    """The Hugging Face Hub cannot provide or accept something; the message says why, and what to do."""


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install 'mrvae-zoo[{extra}]'")


def name_some(names: Sequence[object], separator: str = ", ") -> str:
    """Join names for a message: the first ten, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{separator.join(map(str, names[:MAX_NAMED]))}{more}"


def counted(number: int, word: str) -> str:
    """Return a number with its word, in the plural where it is not one: "1 image", "2 images"."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def short(value: object) -> str:
    """Return a value as a message shows it: its repr, or the beginning and the end of a long one."""
    return _cut(repr(value), MAX_VALUE)


def one_line(message: str) -> str:
    """Return a message as one line, with the middle of a very long one left out."""
    return _cut(" ".join(message.split()), MAX_MESSAGE)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length // 2]} … {text[-length // 2 :]}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known names, or all of them."""
    names, name = sorted(known), name[:MAX_MESSAGE]
    close = [one for one in names if name and one.startswith(name)][:MAX_NAMED]
    close = close or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(names)}" if names else "none is known"
