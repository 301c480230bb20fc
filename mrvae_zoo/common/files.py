"""Writing files so that nothing is lost: checked before the work, written beside the target, then renamed."""

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

STAGED, REMOVED = ".replacing", ".removed"  # inside a folder whose files are replaced, and inside STAGED


def check_output(path: Path, *, force: bool) -> None:
    """Raise an OSError that explains why an output cannot be written at `path`, before any work is done for it.

    Raises:
        FileNotFoundError: The parent folder is missing.
        FileExistsError: Something exists at `path`, and `force` is not given.
        PermissionError: The parent folder cannot be written to.
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
    """Yield a path beside `path` to write to. It is renamed to `path` at the end, and removed on an error.

    Raises:
        IsADirectoryError: `path` is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file")
    temporary = _beside(path)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)  # the path that the user asked for, not the temporary one
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` to fill. It is renamed to `path` at the end, and removed on an error.

    If `path` already exists, the files move into it once all of them are complete; its other files stay.
    """
    temporary = _beside(path)
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            for file in sorted(file for file in temporary.rglob("*") if file.is_file()):
                target = path / file.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
        else:
            temporary.rename(path)
    except OSError as error:
        if error.filename is not None and Path(error.filename).is_relative_to(temporary):
            error.filename = str(path / Path(error.filename).relative_to(temporary))
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_files(folder: Path, files: Mapping[str, bytes | str], *, remove: Sequence[str] = ()) -> None:
    """Replace several files of a folder, all or none of them.

    They are written into a folder inside it, the last of `files` last. Once that one exists, any process can finish the
    move into place: `finish_replacing` does so if this process is killed.

    Args:
        folder: The folder, which exists.
        files: The content of each file, by name.
        remove: The names of files to remove if `files` does not contain them.
    """
    staged = folder / STAGED
    shutil.rmtree(staged, ignore_errors=True)  # left unfinished by another process that was killed
    staged.mkdir()
    try:
        gone = "".join(f"{name}\n" for name in remove if name not in files)
        write_atomically(staged / REMOVED, gone)
        for name, content in files.items():
            write_atomically(staged / name, content)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    finish_replacing(folder, list(files)[-1])


def finish_replacing(folder: Path, last: str) -> None:
    """Finish what `replace_files` began in a folder and could not finish; `last` is the name of its last file.

    Nothing happens if nothing was begun, or if not everything had been written; the old files then stay.
    """
    staged = folder / STAGED
    if not (staged / last).is_file():
        return
    removed = staged / REMOVED
    if removed.is_file():
        for name in removed.read_text(encoding="utf-8").splitlines():
            (folder / name).unlink(missing_ok=True)
        removed.unlink()
    for file in sorted(staged.iterdir(), key=lambda file: file.name == last):
        file.replace(folder / file.name)
    staged.rmdir()


def _beside(path: Path) -> Path:
    """Return a hidden name in the same folder, which is short however long the name of `path` is."""
    return path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.tmp")


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file entirely or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
