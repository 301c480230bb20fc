"""The descriptions of arguments and attributes are sentences or noun phrases that can be understood alone."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mrvae_zoo"
FILES = sorted(PACKAGE.rglob("*.py"))
PREPOSITIONS = (
    *("of", "in", "on", "at", "for", "to", "from", "with", "without", "by", "as", "that", "within", "below", "above"),
    *("per", "after", "before", "between", "beside", "since", "than", "through", "under", "until", "over", "into"),
)
ENTRY = re.compile(r"    (\*{0,2}\w+): +(\S.*)")


def entries(docstring):
    """The names and descriptions below "Args:" and "Attributes:", continuation lines joined to the first."""
    found, inside = [], False
    for line in docstring.splitlines():
        if line and not line.startswith(" "):
            inside = line in ("Args:", "Attributes:")
        elif inside and (entry := ENTRY.fullmatch(line)):
            found.append(list(entry.groups()))
        elif inside and found and line.strip():
            found[-1][1] += f" {line.strip()}"
    return found


def fault(description):
    first = re.match(r"\w*", description)[0]
    if first.lower() in PREPOSITIONS:
        return f"begins with {first!r}"
    if description[0].islower() and description[0].isascii():
        return "begins with a lower-case letter"
    return None if description.endswith(".") else "does not end with a full stop"


def described(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for name, description in entries(ast.get_docstring(node) or ""):
                yield getattr(node, "name", "module"), name, description


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).with_suffix("").as_posix())
def test_every_described_argument_can_be_understood_alone(path):
    wrong = [f"{where}: {name}: {fault(text)}: {text}" for where, name, text in described(path) if fault(text)]
    assert not wrong, "\n".join([str(path), *wrong])


def test_the_rule_finds_a_riddle():
    docstring = "Do it.\n\nArgs:\n    dtype: of its weights.\n    seed: The seed of\n        the draws.\n"
    assert [(name, fault(text)) for name, text in entries(docstring)] == [("dtype", "begins with 'of'"), ("seed", None)]
