"""Handling Ctrl-C, and a cluster that takes its machine back: at the first signal, a training ends after its step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether one of the signals came."""

    def __init__(self) -> None:
        self.received = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a signal; the second one interrupts at once."""
        if self.received:
            raise KeyboardInterrupt
        self.received = True


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Let SIGINT and SIGTERM set `received` inside the `with` block; their earlier handlers are restored afterwards.

    Outside the main thread nothing is handled, since Python allows signal handlers only there.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request) for number in STOPPING}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
