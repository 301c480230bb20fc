"""The command `mrvae list`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mrvae_zoo.checkpoints.pins import read_pins
from mrvae_zoo.checkpoints.registry import data_name, has_weights, list_models, model_folder
from mrvae_zoo.cli.common import Json, print_json, print_table, say
from mrvae_zoo.common.layout import CURVE, WEIGHTS
from mrvae_zoo.models.curve import RDCurve


def list_command(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Show only names that match, such as '*mnist*'.")
    ] = "*",
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Show only models whose weights are here.")] = False,
    hub: Annotated[bool, typer.Option("--hub", help="List the models on the Hugging Face Hub instead.")] = False,
    author: Annotated[
        str | None,
        typer.Option("--author", metavar="ORG", help="With --hub: only models of this user or organization."),
    ] = None,
    json: Json = False,
) -> None:
    """List the models of the registry, or those on the Hub.

    Rates and L = D + β·R are in nats per image, over the curve that is published with each model.
    """
    if hub:
        if pretrained:
            raise typer.BadParameter("--pretrained is for models that are here; leave out it or --hub.")
        list_hub(pattern, author, json=json)
        return
    if author is not None:
        raise typer.BadParameter("--author needs --hub.")
    pins = read_pins()
    models = [
        {**describe(name, model_folder(name)), "hub": pins[name].source if name in pins else None}
        for name in list_models(pattern, pretrained=pretrained)
    ]
    if json:
        print_json(models)
    elif not models:
        wider = f"*{pattern}*"
        hint = f"; try {wider!r}" if list_models(wider, pretrained=pretrained) else ""
        say(f"no model of the registry matches {pattern!r}{' and has its weights here' if pretrained else ''}{hint}")
    else:
        print_table(("name", "data", "weights", "rates", "L at β=1"), [_row(model) for model in models], left=2)


def describe(name: str, folder: Path) -> dict[str, Any]:
    """Describe a model by its folder: data set, bytes of the weights, rates, and the loss at β = 1 in nats."""
    try:
        curve = RDCurve.read(folder / CURVE)
    except (OSError, ValueError):
        curve = None
    at_one = curve is not None and curve.betas[0] <= 1 <= curve.betas[-1]
    return {
        "name": name,
        "data": data_name(folder, curve),
        "weights": has_weights(folder),
        "bytes": (folder / WEIGHTS).stat().st_size if has_weights(folder) else None,
        "rates": None if curve is None else sorted((curve.points[0].rate, curve.points[-1].rate)),
        "loss_at_beta_1": curve.at(1.0).loss if curve is not None and at_one else None,
    }


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    size, rates, loss = (model[key] for key in ("bytes", "rates", "loss_at_beta_1"))
    where = "on the Hub" if model["hub"] else "no"
    return (
        model["name"],
        model["data"] or "",
        where if size is None else f"{size / 1e6:.1f} MB",
        "" if rates is None else "{:.1f} to {:.1f}".format(*rates),
        "" if loss is None else f"{loss:.2f}",
    )


def list_hub(pattern: str, author: str | None, *, json: bool) -> None:
    """List the models on the Hub."""
    from dataclasses import asdict

    from mrvae_zoo.hub.search import list_hub_models

    models = list_hub_models(pattern, author=author)
    if json:
        print_json([asdict(model) for model in models])
    elif not models:
        whose = "" if author is None else f" of {author}"
        say(f"the Hub has no such model{whose}{'' if pattern == '*' else f' that matches {pattern!r}'}")
    else:
        rows = [(f"hf-hub:{one.repo_id}", one.updated or "", "private" if one.private else "") for one in models]
        print_table(("source", "updated", ""), rows)
