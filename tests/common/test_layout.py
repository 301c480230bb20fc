"""The names of the files of a model stand once."""

import ast
from pathlib import Path

import mrvae_zoo
from mrvae_zoo.common import layout

PACKAGE = Path(mrvae_zoo.__file__).parent
FILES = {value for name, value in vars(layout).items() if name.isupper() and "." in value}


def strings_of(path):
    """The strings in a file, parts of f-strings included, but for its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    docstrings = {id(node.body[0].value) for node in documented if ast.get_docstring(node) is not None}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return [node.value for node in constants if isinstance(node.value, str)]


def test_no_other_module_holds_the_name_of_a_file():
    assert {"config.json", "model.safetensors", "rd_curve.json", "recipe.toml", "README.md", "pins.toml"} <= FILES
    for path in PACKAGE.rglob("*.py"):
        if path != Path(layout.__file__):
            assert [text for text in strings_of(path) if any(name in text for name in FILES)] == [], path
