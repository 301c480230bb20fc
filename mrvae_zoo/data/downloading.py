"""Downloads of data sets, by torchvision: what goes wrong says what to put where, and leaves nothing behind."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def download(read: Callable[[], T], name: str, folder: Path, what: str) -> T:
    """What `read` gives, which downloads into `folder` and reads it.

    Args:
        read: a call of torchvision.
        name: of the data set, for messages.
        folder: of its files.
        what: to put there by hand.

    Raises:
        FileNotFoundError: it cannot be downloaded; with the reason, and with what to put where. Folders that were made
            for it are removed.
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
