"""The command `mrvae init-recipe`."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Force, Json, print_json, say


def init_recipe(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A folder of images, with sub-folders or not, or with train.npz and test.npz."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The recipe to write. Default: the folder's name, .toml."),
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Look at a folder of images, and write a recipe to train on it.

    It says what it chose, why, and how long the training takes on this machine. Change the file as you like.
    """
    from mrvae_zoo.common.files import check_output, write_atomically
    from mrvae_zoo.training.init_recipe import write_recipe

    if output is None:
        output = Path(f"{folder.resolve().name}.toml")
    check_output(output, force=force)
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder; name a file")
    written = write_recipe(folder, str(output))
    write_atomically(output, written.text)
    for choice, why in written.reasons.items():
        say(f"{choice}: {why}")
    say(f"wrote {output}; train with: {written.command}")
    if json:
        seen = written.seen
        print_json(
            {
                "output": str(output),
                "command": written.command,
                "images": {**seen.counts, "held_out": seen.held_out},
                "unreadable": list(seen.unreadable),
                "input_shape": list(seen.shape),
                "likelihood": seen.likelihood,
                "epochs": seen.epochs,
                "steps": seen.steps,
                "seconds": written.seconds,
            }
        )
