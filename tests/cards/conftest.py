"""What the tests of cards share: running the code of a page as its reader does."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import python_of

SHAPES = "\nprint(tuple(latents.shape), tuple(out.reconstruction.shape), tuple(new.shape))\n"


@pytest.fixture
def run_code() -> Callable[[str, Path], list[str]]:
    """Runs the one block of Python of a page in a folder; its lines, and a last one with the shapes of what it made."""

    def run(page: str, folder: Path) -> list[str]:
        (code,) = python_of(page)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code + SHAPES],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.fixture
def write_card() -> Callable[..., Path]:
    """Writes the files of a card into a folder."""

    def write(card, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in card.files.items():
            (folder / name).write_bytes(content)
        return folder

    return write
