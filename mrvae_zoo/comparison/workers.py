"""Several processes that train at once, each a group of trainings at a time.

The processes are independent of one another: each one trains in the folders that it is given, as this process would.
Ctrl-C reaches only this process, which tells the others to stop. They also stop if this process dies.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from mrvae_zoo.errors import name_some
from mrvae_zoo.training.side_by_side import Options, train_side_by_side
from mrvae_zoo.training.stacks import Job

Faults = list[str | None]  # for each training of a group: why it diverged, or None


@dataclass(slots=True, kw_only=True)
class _Worker:
    """A process, and the group that it trains; None if it waits for one."""

    process: BaseProcess
    connection: "Connection[Any, Any]"
    jobs: Sequence[Job] | None = None


def train_group(jobs: Sequence[Job], options: Options) -> Faults:
    """Train a group as one network, or a single training; returns why each of them diverged, or None.

    Other errors are those of `train_side_by_side`.
    """
    try:
        results = train_side_by_side(jobs, options)
    except FloatingPointError as error:  # that of a training alone
        if len(jobs) == 1:
            return [str(error)]
        return [fault for job in jobs for fault in train_group([job], options)]
    return [str(result) if isinstance(result, FloatingPointError) else None for result in results]


class Workers:
    """Processes that are started as they are needed, up to a number.

    Args:
        count: The largest number of processes.
        threads: The number of threads of each; None leaves it to torch.
        options: What all trainings share: arguments of `mrvae_zoo.training.side_by_side.Options`.

    Raises:
        ValueError: This system has no signals that a process can hold back.
    """

    def __init__(self, count: int, threads: int | None, options: Mapping[str, Any]) -> None:
        if not hasattr(signal, "pthread_sigmask"):
            raise ValueError("several processes need Linux or macOS; train with one")
        self.count, self.threads, self.options = count, threads, options
        self._workers: list[_Worker] = []

    @property
    def training(self) -> list[Sequence[Job]]:
        """The groups that are being trained."""
        return [one.jobs for one in self._workers if one.jobs is not None]

    @property
    def are_all_busy(self) -> bool:
        """Whether there is no process for another group."""
        return len(self.training) == self.count

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin to train a group in a process that waits, or in a new one; the error is that of `finished`."""
        worker = next((one for one in self._workers if one.jobs is None), None)
        if worker is None:
            worker = _start(self.threads, self.options)
            self._workers.append(worker)
        worker.jobs = jobs
        try:
            worker.connection.send(jobs)
        except ConnectionError:
            raise RuntimeError(_end_of(worker)) from None

    def finished(self, seconds: float) -> list[tuple[Sequence[Job], Faults]]:
        """Wait for groups that are finished, up to so many seconds, and return them with the faults of `train_group`.

        Raises:
            RuntimeError: A process ended before its time; its trainings continue from their states. Other errors are
                those of `train_group`.
        """
        busy = {one.connection: one for one in self._workers if one.jobs is not None}
        found = []
        for connection in wait([*busy], seconds):
            worker = busy[connection]  # type: ignore[index]
            assert worker.jobs is not None
            try:
                answer = worker.connection.recv()
            except (EOFError, ConnectionError):
                raise RuntimeError(_end_of(worker)) from None
            if isinstance(answer, Exception):
                raise answer
            found.append((worker.jobs, answer))
            worker.jobs = None
        return found

    def stop(self) -> None:
        """End all processes. A training first finishes its step and saves its state."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers.clear()


def _start(threads: int | None, options: Mapping[str, Any]) -> _Worker:
    """Start a process. Ctrl-C is held back from it until it has left the group of processes that gets it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, threads, dict(options)))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()
    return _Worker(process=process, connection=here)


def _end_of(worker: _Worker) -> str:
    """Describe the end of a process that should have answered."""
    assert worker.jobs is not None
    worker.process.join()
    code = worker.process.exitcode or 0
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
    names = name_some([job.run.name for job in worker.jobs])
    memory = ", perhaps for lack of memory" if -code == signal.SIGKILL else ""
    return f"the process that trained {names} ended {how}{memory}; states are kept, and the same command continues"


def _work(connection: "Connection[Any, Any]", threads: int | None, options: dict[str, Any]) -> None:
    """Train one group after the other: what a process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one that was held back is lost
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    if threads is not None:
        torch.set_num_threads(threads)
    with contextlib.suppress(EOFError, ConnectionError, KeyboardInterrupt):
        while True:
            jobs = connection.recv()
            connection.send(_answer(jobs, Options(**options)))


def _answer(jobs: Sequence[Job], options: Options) -> Faults | Exception:
    """Train a group; returns its faults, or an error that can be sent."""
    try:
        return train_group(jobs, options)
    except (OSError, ValueError) as error:
        return error
    except (RuntimeError, ImportError, MemoryError) as error:
        return RuntimeError(str(error) or type(error).__name__)


def _end_with_the_parent() -> None:
    """Wait until the parent is gone, and then ask this process to save its state and end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
