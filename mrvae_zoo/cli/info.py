"""mrvae info."""

from mrvae_zoo.cli.common import Json, Name, print_curve, print_json, say


def info(name: Name, json: Json = False) -> None:
    """Show what a model is: its config, its size and its published curve. Needs no weights."""
    from mrvae_zoo.common.schema import to_plain
    from mrvae_zoo.hub.load import describe_model

    config, curve, parameters = describe_model(name)
    if json:
        plain = None if curve is None else curve.to_plain()
        print_json({"name": name, "parameters": parameters, "config": to_plain(config), "curve": plain})
        return
    facts = {key: value for key, value in to_plain(config).items() if value is not None}
    arguments = facts.pop("arguments")
    for key, value in {**facts, **arguments, "parameters": f"{parameters:,}"}.items():
        print_fact(key, value)
    if curve is None:
        say("no published curve")
        return
    for key, value in {**curve.data, "draws": curve.samples}.items():
        print_fact(f"curve {key}", value)
    print_curve(curve)


def print_fact(key: str, value: object) -> None:
    """A key and its value on one line."""
    import typer

    typer.echo(f"{key:<20} {value}")
