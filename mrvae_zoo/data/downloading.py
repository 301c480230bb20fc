"""Downloads of data sets through torchvision. An error says what to put where, and leaves no folders behind."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def download(read: Callable[[], T], name: str, folder: Path, what: str) -> T:
    """Return what `read` returns, which downloads into `folder` and reads it.

    Args:
        read: A function that calls torchvision.
        name: The name of the data set, for messages.
        folder: The folder of its files.
        what: A description of the files to put there by hand, for messages.

    Raises:
        FileNotFoundError: The data cannot be downloaded; the message gives the reason, and what to put where. Folders
            that were created for the download are removed.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        return read()
    except (OSError, RuntimeError) as error:
        if new:
            shutil.rmtree(new[-1], ignore_errors=True)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileNotFoundError(
            f"{name} is not in {folder} and could not be downloaded ({reason}); put {what} there"
        ) from None
