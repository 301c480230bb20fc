"""The documentation is whole: its links lead somewhere, its names are documented, its commands and code are right."""

import ast
import importlib
import io
import json
import re
import shlex
import subprocess
import sys

import pytest
import typer
from helpers import CHECKOUT
from PIL import Image

from mrvae_zoo.checkpoints.index import read_index
from mrvae_zoo.cli import app

DOCS = CHECKOUT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md"])
COMMANDS = typer.main.get_command(app).commands

pytest.importorskip("griffe")


@pytest.fixture
def docs(monkeypatch):
    """The scripts of the site, as modules."""
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module


@pytest.mark.slow
def test_every_link_leads_somewhere_and_every_public_name_is_in_the_reference(docs, monkeypatch):
    generate = docs("generate")
    assert generate.faults() == []
    pages = generate.pages()
    broken = pages["project/contributing.md"] + "\n[nowhere](guides/nowhere.md)\n"
    monkeypatch.setattr(generate, "pages", lambda: pages | {"project/contributing.md": broken})
    assert generate.faults() == ["project/contributing.md links to guides/nowhere.md, which there is not"]


@pytest.mark.slow
def test_the_site_is_built_strictly_and_needs_no_network(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference" / "recipe.html").read_text(encoding="utf-8")
    assert "validate_every" in page
    assert "importance_weighted_bound" in (tmp_path / "site" / "reference" / "python.html").read_text(encoding="utf-8")
    for path in (tmp_path / "site").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img)[^>]+src=\"?(https?:[^\" >]+)", text)
        loaded += re.findall(r"<link[^>]+rel=\"?stylesheet\"?[^>]+href=\"?(https?:[^\" >]+)", text)
        assert loaded == [], path
    front = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    gallery = front[front.index('<div class="gallery"') : front.index("addFilters(")]
    targets = re.findall(r'(?:href|src|from) ?=?"(?:\./)?([^"]+)"', gallery)
    assert len(targets) == 3 * len(read_index()) + 1
    assert [target for target in targets if not (tmp_path / "site" / target).is_file()] == []


@pytest.mark.slow
def test_names_on_the_front_page_lead_to_dials_where_the_site_has_them(docs, monkeypatch):
    front_page = docs("front_page")
    name, entry = "mrvae_mlp.mnist", read_index()["mrvae_mlp.mnist"]
    assert f'<a href="dial/{name}/index.html">{name}</a>' in front_page.card(name, entry, dials=True)
    assert f'<a href="models/{name}.html">{name}</a>' in front_page.card(name, entry, dials=False)
    monkeypatch.setenv("MRVAE_DIALS", "1")
    pages = dict(front_page.front_page())
    assert re.findall(r'href="dial/(.+?)/index.html"', pages["index.md"]) == [*read_index()]
    with Image.open(io.BytesIO(pages[f"images/strips/{name}.png"])) as strip:
        assert strip.size == (7 * 28, 28)


def commands_of(page):
    """The commands in fenced blocks, a line that ends in a backslash with the next."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```(?!python|toml|json|text)\w*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("mrvae ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_command_that_is_shown_has_the_options_it_is_shown_with(page):
    for line in commands_of(page):
        name, *arguments = shlex.split(line, comments=True)[1:]
        assert name in COMMANDS or name.startswith("-"), line
        if name in COMMANDS:
            COMMANDS[name].make_context(name, arguments, resilient_parsing=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_python_that_is_shown_is_python_and_knows_the_public_names(page):
    import mrvae_zoo

    for block in re.findall(r"^ *```python\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        tree = ast.parse(re.sub(r"^    ", "", block, flags=re.MULTILINE) if block.startswith("    ") else block)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mrvae_zoo":
                assert node.attr in {*mrvae_zoo.__all__, "plugins"}, f"mrvae_zoo.{node.attr}"


@pytest.mark.slow
def test_the_notebook_is_the_page_and_runs(docs):
    notebook = docs("notebook")
    kept = json.loads(notebook.NOTEBOOK.read_text(encoding="utf-8"))
    sources = [(cell["cell_type"], "".join(cell["source"])) for cell in kept["cells"]]
    assert sources == notebook.sources(), "run: python docs/notebook.py"
    code = "\n".join(text for kind, text in sources if kind == "code")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT / "examples", capture_output=True, text=True, check=False
    )
    for name in ("reconstructed.png", "new_digits.png"):
        (CHECKOUT / "examples" / name).unlink()
    assert done.returncode == 0, done.stderr
    assert "spends 20 nats per image on average" in done.stdout
