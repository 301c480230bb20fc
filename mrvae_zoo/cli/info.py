"""mrvae info."""

from mrvae_zoo.cli.common import Json, Name, print_curve, print_json, say


def info(name: Name, json: Json = False) -> None:
    """Show what a model is: its config, its size and its published curve."""
    from mrvae_zoo.common.schema import to_plain
    from mrvae_zoo.hub.load import load_pretrained

    model = load_pretrained(name)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if json:
        curve = None if model.curve is None else model.curve.to_plain()
        print_json({"name": name, "parameters": parameters, "config": to_plain(model.config), "curve": curve})
        return
    facts = {key: value for key, value in to_plain(model.config).items() if value is not None}
    arguments = facts.pop("arguments")
    for key, value in {**facts, **arguments, "parameters": f"{parameters:,}"}.items():
        print_fact(key, value)
    if model.curve is None:
        say("no published curve")
        return
    for key, value in {**model.curve.data, "samples": model.curve.samples}.items():
        print_fact(f"curve {key}", value)
    print_curve(model.curve)


def print_fact(key: str, value: object) -> None:
    """A key and its value on one line."""
    import typer

    typer.echo(f"{key:<20} {value}")
