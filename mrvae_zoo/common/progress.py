"""How long work tells those who wait for it how much of it is done."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

# Makes, for a `with`, the function that is called with the share done, in [0, 1].
Bar = Callable[[], AbstractContextManager[Callable[[float], None]]]


def no_bar() -> AbstractContextManager[Callable[[float], None]]:
    """What shows nothing."""
    return nullcontext(lambda _: None)
