"""The pages of the site that are made from the code, the registry and files elsewhere in the repository.

MkDocs runs this file (plugin gen-files); what it makes is part of the site alone. `python docs/generate.py` is the
quick check: it fails where a public name has no docstring, or a page links to a page that does not exist.
"""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import griffe

import mrvae_zoo
from mrvae_zoo.common.markdown import table
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.models.architecture_table import architectures
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.training.recipe import ObjectiveRecipe, TrainedRecord, TrainingRecipe

CHECKOUT = Path(__file__).parents[1]
DOCS = CHECKOUT / "docs"
SECTIONS = {
    "model": ModelConfig,
    "data": DataRecipe,
    "objective": ObjectiveRecipe,
    "training": TrainingRecipe,
    "trained": TrainedRecord,
}
MODELS = """---
hide: [toc]
---

# Models

Every model here was trained on one CPU core, in the time shown. That is a limit: longer training makes better models.
Rates and losses are in nats per image on the test set. The gap says how much higher (+) or lower (−) the loss is than
that of β-VAEs that were each trained for one β, as a mean over β. The budget is the compute of the model's training, in
trainings of one such β-VAE. The gaps have limits, some of which flatter the models:
[Against β-VAEs](../results/dedicated.md#what-to-keep-in-mind) names them.

{rows}

Load one with `mrvae_zoo.load_pretrained(NAME)`; `mrvae info NAME` shows what it is.
"""
KEYS = """# Recipe keys

A recipe is a TOML file with the sections below. `--set SECTION.KEY=VALUE` changes a key on the command line. An unknown
key is an error.
"""
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def pages() -> dict[str, str | bytes]:
    """Every generated file of the site, by its path below docs/."""
    sys.path.insert(0, str(DOCS))
    from front_page import front_page

    return {
        **dict(front_page()),
        **dict(model_pages()),
        "reference/python.md": python_reference(),
        "reference/command-line.md": command_line_reference(),
        "reference/recipe.md": recipe_reference(),
        "project/contributing.md": moved("CONTRIBUTING.md"),
        "project/changelog.md": moved("CHANGELOG.md"),
        **{f"results/{path.name}": path.read_bytes() for path in (CHECKOUT / "benchmarks/results").glob("*.png")},
    }


def model_pages() -> Iterator[tuple[str, str | bytes]]:
    """The table of models, and a page for each: its card, without the metadata of the Hub."""
    sys.path.insert(0, str(CHECKOUT / "benchmarks"))
    from figures_readme import models_table

    rows = models_table(CHECKOUT / "registry", "{name}.md", (0.1, 1.0, 10.0), gaps=True)
    yield (
        "models/index.md",
        MODELS.format(rows=rows),
    )
    for folder in sorted((CHECKOUT / "cards").iterdir()):
        name = folder.name
        text = FRONT_MATTER.sub("", (folder / "README.md").read_text(encoding="utf-8"))
        images = [path for path in folder.iterdir() if path.suffix == ".png"]
        for image in images:
            text = text.replace(f"]({image.name})", f"]({name}/{image.name})")
            yield f"models/{name}/{image.name}", image.read_bytes()
        yield f"models/{name}.md", text


def python_reference() -> str:
    """A heading for each group of the package's own overview, and below it its names."""
    parts = ["# Python", f"Everything below is in `mrvae_zoo`. {mrvae_zoo.__doc__.splitlines()[0]}"]
    group, known = "", set(mrvae_zoo.__all__)
    for line in mrvae_zoo.__doc__.splitlines():
        if re.fullmatch(r"[A-Z][a-z]+( [a-z]+)*", line):
            group = line
            parts.append(f"## {group}")
        elif group and line.startswith("    "):
            names = re.match(r" *(\w+(?:, \w+)*)", line)
            listed = names.group(1).split(", ") if names else []
            parts += [f"::: mrvae_zoo.{_home(name)}.{name}" for name in listed if name in known]
    return "\n\n".join(parts) + "\n"


def _home(name: str) -> str:
    """The module of a public name, below the package."""
    return str(getattr(mrvae_zoo, name).__module__).removeprefix("mrvae_zoo.")


def command_line_reference() -> str:
    """What Typer's own documentation command says."""
    command = [sys.executable, "-m", "typer", "mrvae_zoo.cli", "utils", "docs", "--name", "mrvae"]
    text = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=True, text=True).stdout
    text = re.sub(
        r"^Example:\n+\x08?\n* *(mrvae .*)$", r"**Example**:\n\n```console\n\1\n```", text, flags=re.MULTILINE
    )
    return text.replace("\x08", "").replace("# `mrvae`", "# Command line", 1)


def recipe_reference() -> str:
    """A table of keys for each section of a recipe, from the dataclasses that read it."""
    parts = [KEYS.strip()]
    for section, kind in SECTIONS.items():
        described = attributes(kind)
        rows = [
            [f"`{field.name}`", _type(kind, field.name), _default(field), described[field.name]]
            for field in dataclasses.fields(kind)
            if field.name in described and field.name not in ("arguments", "beta" if section == "model" else "")
        ]
        parts += [f"## [{section}]", table(("Key", "Type", "Default", "Meaning"), rows, "llll")]
        if section == "model":
            parts.append("Each architecture adds arguments of its own:")
            parts.append(_arguments())
    return "\n\n".join(parts) + "\n"


def attributes(kind: type) -> dict[str, str]:
    """What the docstring of a dataclass says of each attribute."""
    sections = griffe.Docstring(kind.__doc__ or "").parse("google")
    return {
        one.name: " ".join(one.description.split())
        for section in sections
        if section.kind is griffe.DocstringSectionKind.attributes
        for one in section.value
    }


def _type(kind: type, name: str) -> str:
    hint = str(get_type_hints(kind)[name])
    hint = re.sub(r"typing\.|<class '|'>", "", hint).replace("NoneType", "None")
    return f"`{hint}`".replace("|", "or")


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default is not dataclasses.MISSING:
        return "none" if field.default is None else f"`{field.default!r}`"
    return "required" if field.default_factory is dataclasses.MISSING else ""


def _arguments() -> str:
    from mrvae_zoo.models.factory import parameters_of

    rows = []
    for name in mrvae_zoo.list_architectures():
        arguments = ", ".join(
            f"`{key} = {default!r}`" for key, (_, default) in parameters_of(architectures[name]).items()
        )
        rows.append([f"`{name}`", arguments.replace("|", "or") or "none"])
    return table(("Architecture", "Arguments and defaults"), rows, "ll")


def moved(name: str) -> str:
    """A page that lies at the root of the repository; its links to files there become plain text."""
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]+\)", r"\1", text)


def faults() -> list[str]:
    """Public names without a docstring or out of the reference, and links to pages that there are not."""
    made = pages()
    reference = made["reference/python.md"]
    assert isinstance(reference, str)
    found = [
        f"mrvae_zoo.{name} has no docstring"
        for name in mrvae_zoo.__all__
        if name != "__version__" and not getattr(mrvae_zoo, name).__doc__
    ]
    shown = set(re.findall(r"^::: \S+\.(\w+)$", reference, re.MULTILINE))
    found += [f"mrvae_zoo.{name} is not in the reference" for name in set(mrvae_zoo.__all__) - shown - {"__version__"}]
    texts = {path: text for path, text in made.items() if isinstance(text, str)}
    written = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")}
    files = {*made, *(str(path.relative_to(DOCS)) for path in DOCS.rglob("*") if path.is_file())}
    for page, text in {**texts, **written}.items():
        for target in LINK.findall(_without_code(text)):
            if not re.match(r"[a-z]+:", target):
                path = _resolve(page, target)
                if path not in files:
                    found.append(f"{page} links to {target}, which there is not")
    return sorted(found)


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def _resolve(page: str, target: str) -> str:
    parts: list[str] = list(Path(page).parent.parts)
    for part in Path(target).parts:
        if part == "..":
            if parts:
                parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


if __name__ == "__main__":
    sys.exit("\n".join(faults()) or None)
elif __name__ == "<run_path>":  # by MkDocs
    import mkdocs_gen_files

    for path, content in pages().items():
        with mkdocs_gen_files.open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
