"""mrvae list."""

from typing import Annotated

import typer

from mrvae_zoo.checkpoints.pins import read_pins
from mrvae_zoo.checkpoints.registry import has_weights, list_models, model_folder
from mrvae_zoo.cli.common import Json, print_json, print_table, say


def list_command(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help='Such as "*mnist*".')] = "*",
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Only models whose weights are here.")] = False,
    hub: Annotated[bool, typer.Option("--hub", help="The models on the Hugging Face Hub instead.")] = False,
    author: Annotated[
        str | None, typer.Option("--author", metavar="ORG", help="With --hub, only those of a user or an organization.")
    ] = None,
    json: Json = False,
) -> None:
    """List the models of the registry, or those on the Hub."""
    if hub:
        if pretrained:
            raise typer.BadParameter("--pretrained is for models that are here; leave out it or --hub.")
        list_hub(pattern, author, json=json)
        return
    if author is not None:
        raise typer.BadParameter("--author needs --hub.")
    pins = read_pins()
    rows = [
        (name, has_weights(model_folder(name)), pins[name].source if name in pins else None)
        for name in list_models(pattern, pretrained=pretrained)
    ]
    if json:
        print_json([{"name": name, "weights": here, "hub": source} for name, here, source in rows])
    elif not rows:
        wider = f"*{pattern}*"
        hint = f"; try {wider!r}" if list_models(wider, pretrained=pretrained) else ""
        say(f"no model of the registry matches {pattern!r}{' and has its weights here' if pretrained else ''}{hint}")
    else:
        cells = [(name, "yes" if here else "on the Hub" if source else "no") for name, here, source in rows]
        print_table(("name", "weights"), cells)


def list_hub(pattern: str, author: str | None, *, json: bool) -> None:
    """The models on the Hub."""
    from dataclasses import asdict

    from mrvae_zoo.hub.search import list_hub_models

    models = list_hub_models(pattern, author=author)
    if json:
        print_json([asdict(model) for model in models])
    elif not models:
        say("the Hub has no such model")
    else:
        rows = [(f"hf-hub:{one.repo_id}", one.updated or "", "private" if one.private else "") for one in models]
        print_table(("source", "updated", ""), rows)
