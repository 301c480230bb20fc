"""mrvae init-recipe."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Force, say


def init_recipe(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder of images, in folders of their own or not.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write, here as the folder's name .toml otherwise.")
    ] = None,
    force: Force = False,
) -> None:
    """Look at a folder of images and write a recipe to train on it."""
    from mrvae_zoo.common.files import check_output, write_atomically
    from mrvae_zoo.training.init_recipe import write_recipe

    if output is None:
        output = Path(f"{folder.resolve().name}.toml")
    check_output(output, force=force)
    text = write_recipe(folder, str(output))
    write_atomically(output, text)
    say(f"wrote {output}; train with: {text.splitlines()[0].removeprefix('# ')}")
