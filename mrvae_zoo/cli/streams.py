"""The streams of a command, whatever they were opened as, or closed."""

import io
import os
import sys
from pathlib import Path


def prepare() -> None:
    """Let stdout and stderr take any letter; what was closed takes all and keeps none."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (open until the end)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def discard_stdout() -> None:
    """Keep quiet: whoever read stdout has had enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
