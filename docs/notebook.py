"""The notebook of the first steps, from the page of that name: `python docs/notebook.py` writes it, with its outputs.

The page is read in the root of the repository and the notebook runs in examples/, so that paths differ by that folder.
"""

import contextlib
import io
import json
import re
import tempfile
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[1]
PAGE, NOTEBOOK = CHECKOUT / "docs/getting-started.md", CHECKOUT / "examples/getting_started.ipynb"
HERE = " The same\nsteps are a notebook: `examples/getting_started.ipynb`."


def sources() -> list[tuple[str, str]]:
    """The kind ("markdown" or "code") and the text of each cell."""
    page = PAGE.read_text(encoding="utf-8").replace(HERE, "").replace("in the root of the clone", "in `examples/`")
    page = re.sub(r"\[([^\]]+)\]\([^)]+\.md\)", r"\1", page).replace("examples/digits", "digits")
    parts = re.split(r"^```python\n(.*?)\n```$", page, flags=re.DOTALL | re.MULTILINE)
    return [("code" if number % 2 else "markdown", part.strip()) for number, part in enumerate(parts)]


def run(codes: list[str]) -> list[str]:
    """What each piece of code prints, one after the other in one process, in a folder with the digits."""
    scope: dict[str, Any] = {}
    printed = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("digits").symlink_to(CHECKOUT / "examples/digits")
        for code in codes:
            stream = io.StringIO()
            with contextlib.redirect_stdout(stream):
                exec(code, scope)  # noqa: S102 (a page of our own)
            printed.append(stream.getvalue())
    return printed


def notebook() -> dict[str, Any]:
    """The whole, with outputs."""
    cells = sources()
    outputs = iter(run([text for kind, text in cells if kind == "code"]))
    return {
        "cells": [_cell(number, kind, text, outputs) for number, (kind, text) in enumerate(cells)],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(number: int, kind: str, text: str, outputs: Any) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)}
    if kind == "markdown":
        return cell
    printed = next(outputs).splitlines(keepends=True)
    stream = {"name": "stdout", "output_type": "stream", "text": printed}
    return {**cell, "execution_count": None, "outputs": [stream] if printed else []}


if __name__ == "__main__":
    NOTEBOOK.write_text(json.dumps(notebook(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
