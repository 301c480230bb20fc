"""The command `mrvae list`."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from mrvae_zoo.cli.common import Json, print_json, print_table, say
from mrvae_zoo.cli.listing import Listed, choose, read_listed

Show = Callable[[Any], str]


class SortKey(StrEnum):
    """The values of --sort."""

    name = "name"
    data = "data"
    size = "size"
    rate = "rate"
    loss = "loss"
    parameters = "parameters"
    flops = "flops"
    training = "training"
    gap = "gap"
    speed = "speed"


def _short(nats: float) -> str:
    """Return a rate in a few characters: that of a large image is in thousands of nats."""
    return f"{nats:.1f}" if nats < 1000 else f"{nats / 1000:.3g}k"


# The last column for each key of --sort: its heading, the figure of a model, and how it is shown.
RATES: tuple[str, Callable[[Listed], Any], Show] = (
    "rates",
    lambda model: None if model.rates is None else (model.rates[1], model.rates[0]),
    lambda rates: f"{_short(rates[1])} to {_short(rates[0])}",
)
LAST: dict[SortKey, tuple[str, Callable[[Listed], Any], Show]] = {
    SortKey.rate: RATES,
    SortKey.loss: ("L at β=1", lambda model: model.loss_at_beta_1, lambda loss: f"{loss:.2f}"),
    SortKey.parameters: ("parameters", lambda model: model.entry and model.entry.parameters, lambda n: f"{n:,}"),
    SortKey.flops: ("MFLOPs", lambda model: model.entry and model.entry.flops, lambda n: f"{n / 1e6:,.1f}"),
    SortKey.training: (
        "training",
        lambda model: model.entry and model.entry.training and model.entry.training.seconds,
        lambda seconds: f"{seconds:,.0f} s",
    ),
    SortKey.gap: (
        "mean gap",
        lambda model: model.entry and model.entry.gap and model.entry.gap.mean,
        lambda gap: f"{gap:+.2%}",
    ),
    SortKey.speed: ("images/s", lambda model: model.speed, lambda speed: f"{speed:,.0f}"),
}


def list_command(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Show only names that match, such as '*mnist*'.")
    ] = "*",
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Show only models whose weights are here.")] = False,
    data: Annotated[
        str | None, typer.Option("--data", metavar="NAME", help="Show only models that are for this data set.")
    ] = None,
    max_size: Annotated[
        float | None,
        typer.Option("--max-size", metavar="MB", help="Show only models with at most so many MB of weights.", min=0),
    ] = None,
    sort: Annotated[
        SortKey,
        typer.Option("--sort", help="The order: lowest first, except for speed. The last column shows the figure."),
    ] = SortKey.name,
    hub: Annotated[bool, typer.Option("--hub", help="List the models on the Hugging Face Hub instead.")] = False,
    author: Annotated[
        str | None,
        typer.Option("--author", metavar="ORG", help="With --hub: only models of this user or organization."),
    ] = None,
    json: Json = False,
) -> None:
    """List the models of the registry, or those on the Hub.

    The weights of a model are in the package, in the cache of the Hub, on the Hub alone, or nowhere (none). Rates and
    L = D + β·R are in nats per image, over the curve that is published with each model. --json shows everything that
    the registry knows of a model.
    """
    if hub:
        here = {"--pretrained": pretrained, "--data": data is not None, "--max-size": max_size is not None}
        for option, given in {**here, "--sort": sort is not SortKey.name}.items():
            if given:
                raise typer.BadParameter(f"{option} is for models that are here; leave out it or --hub.")
        list_hub(pattern, author, json=json)
        return
    if author is not None:
        raise typer.BadParameter("--author needs --hub.")
    models = choose(read_listed(pattern), pretrained=pretrained, data=data, max_size=max_size)
    models.sort(key=lambda model: _order(model, sort))
    if json:
        print_json([model.to_plain() for model in models])
    elif models:
        heading, figure, show = LAST.get(sort, RATES)
        rows = [(*_row(model), "" if figure(model) is None else show(figure(model))) for model in models]
        print_table(("name", "data", "weights", "MB", heading), rows, left=3)
        if sort in LAST and not any(row[-1] for row in rows):
            say(f"none of these models has this figure: {heading}")
    else:
        _say_none(pattern, narrowed=pretrained or data is not None or max_size is not None)


def _order(model: Listed, key: SortKey) -> tuple[bool, Any, str]:
    """Return what to sort a model by: models without the figure come last, equal ones by name."""
    if key is SortKey.name:
        return (False, 0, model.name)
    value: Any
    if key is SortKey.data:
        value = model.data
    elif key is SortKey.size:
        value = model.bytes
    else:
        value = LAST[key][1](model)
    if value is None:
        return (True, 0, model.name)
    return (False, -value if key is SortKey.speed else value, model.name)


def _row(model: Listed) -> tuple[str, ...]:
    size = "" if model.bytes is None else f"{model.bytes / 1e6:.1f}"
    return (model.name, model.data or "", model.weights or "none", size)


def _say_none(pattern: str, *, narrowed: bool) -> None:
    """Say that no model was found, and which pattern would find some."""
    if narrowed and read_listed(pattern):
        say(f"no model of the registry matches {pattern!r} and the other options")
        return
    wider = f"*{pattern}*"
    say(f"no model of the registry matches {pattern!r}{f'; try {wider!r}' if read_listed(wider) else ''}")


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
