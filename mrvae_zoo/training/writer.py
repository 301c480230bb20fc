"""Writing in a thread of its own, one thing at a time, while a training goes on."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self


class Writer:
    """A thread that writes. What goes wrong in it is raised by the next call, or at the end of the `with` block."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._running: Future[None] | None = None

    def __call__(self, write: Callable[[], None]) -> None:
        """Start `write`, once what was started before has ended."""
        self.wait()
        self._running = self._pool.submit(write)

    def wait(self) -> None:
        """Wait until everything is written, and raise what went wrong."""
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _traceback: TracebackType | None) -> None:
        try:
            if kind is None or kind is KeyboardInterrupt:
                self.wait()
        finally:
            self._pool.shutdown(wait=True)
