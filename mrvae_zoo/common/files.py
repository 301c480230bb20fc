"""Writing files so that nothing is lost: checked before the work, written beside the target, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_output(path: Path, *, force: bool) -> None:
    """Raise an OSError that says why an output could not be written at `path`, before any work is done for it.

    Raises:
        FileNotFoundError: the parent folder is missing.
        FileExistsError: there is something at `path` and `force` is not given.
        PermissionError: the parent folder cannot be written to.
    """
    parent = path.parent
    if not parent.is_dir():
        raise FileNotFoundError(f"{parent}: no such folder; make it first")
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists; pass --force to overwrite it")
    if not os.access(path if path.is_dir() else parent, os.W_OK):
        raise PermissionError(f"{path} cannot be written: no permission")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to: renamed to it at the end, removed on an error.

    Raises:
        IsADirectoryError: `path` is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)  # what the user asked for, not where it was to be made
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
