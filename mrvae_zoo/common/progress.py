"""Reporting the progress of long work."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

# Makes, for a `with`, the function that is called with the share done, in [0, 1].
Bar = Callable[[], AbstractContextManager[Callable[[float], None]]]


def no_bar() -> AbstractContextManager[Callable[[float], None]]:
    """Return a progress bar that shows nothing."""
    return nullcontext(lambda _: None)
