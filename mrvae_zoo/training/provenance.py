"""A record of a training for its recipe and its card: when, on what hardware, and with which code."""

import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mrvae_zoo._version import __version__
from mrvae_zoo.training.recipe import TrainedRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a training began with, besides its recipe.

    Attributes:
        version: The version of mrvae_zoo.
        data: A checksum of the training images.
        init: The source of the initial weights; None if they were random.
        init_sha256: The checksum of the initial weights.
    """

    version: str
    data: str
    init: str | None = None
    init_sha256: str | None = None


def record_training(*, seconds: float, hardware: str, settings: str, origin: Origin) -> TrainedRecord:
    """Return the record of a training that ends now and took this many seconds."""
    return TrainedRecord(
        seconds=round(seconds, 1),
        hardware=hardware,
        settings=settings,
        version=__version__,
        commit=commit_of(Path(__file__).parent),
        date=datetime.now(UTC).date().isoformat(),
        data=origin.data,
        init=origin.init,
        init_sha256=origin.init_sha256,
    )


def commit_of(package: Path) -> str | None:
    """Return the commit of the git checkout that a package runs from, with "-dirty" if tracked files have changed.

    None if there is no git, or if the package is installed. This includes a folder (.venv) inside another checkout,
    whose commit says nothing about the package.
    """
    # Variables such as GIT_DIR, set where git itself runs us, would lead to another checkout.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"  # looking must not write

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def format_seconds(seconds: float) -> str:
    """Format a duration as people say it: 45 seconds, 50 minutes, 3.5 hours."""
    if seconds < 120:
        return "1 second" if round(seconds) == 1 else f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
