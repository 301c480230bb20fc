"""mrvae list."""

from typing import Annotated

import typer

from mrvae_zoo.catalogue import has_weights, list_models, model_folder
from mrvae_zoo.cli.common import Json, print_json, print_table


def list_command(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help='Such as "*mnist*".')] = "*",
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Only models whose weights are here.")] = False,
    json: Json = False,
) -> None:
    """List the models of the catalogue."""
    names = list_models(pattern, pretrained=pretrained)
    if json:
        print_json([{"name": name, "weights": has_weights(model_folder(name))} for name in names])
    else:
        print_table(
            ("name", "weights"),
            [(name, "yes" if has_weights(model_folder(name)) else "no") for name in names],
        )
