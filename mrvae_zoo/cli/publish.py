"""mrvae publish."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrvae_zoo.cli.common import Device, DeviceOption, Json, measuring, print_json, say

if TYPE_CHECKING:
    from mrvae_zoo.hub.upload import Pushed


def publish(
    author: Annotated[
        str | None,
        typer.Option("--author", metavar="ORG", help="The user or organization to push to. Default: you."),
    ] = None,
    spaces: Annotated[
        bool, typer.Option("--spaces", help="Push the dial of each model too, as the Space ORG/NAME-dial.")
    ] = False,
    data_root: Annotated[
        Path | None,
        typer.Option("--data-root", metavar="DIR", help="Measure three points of each curve again on these data sets."),
    ] = None,
    device: Device = DeviceOption.auto,
    json: Json = False,
) -> None:
    """Push every trained model of this checkout's registry to ORG/NAME, and pin them in registry/pins.toml.

    The models are also put into the collection "Multi-Rate VAEs" of ORG, which is created if it does not exist.
    """
    from dataclasses import asdict

    from mrvae_zoo.checkpoints.pins import pins_path
    from mrvae_zoo.hub.publish import publish as publish_registry

    def report(name: str, pushed: "Pushed") -> None:
        say(f"{name}: {'pushed' if pushed.changed else 'nothing to push'}; read back and compared")
        if not json:
            typer.echo(f"hf-hub:{pushed.repo_id}@{pushed.commit}")
        if pushed.space is not None:
            say(f"{name}: its dial is at {pushed.space.url}")

    with measuring() as progress:
        done = publish_registry(
            author, spaces=spaces, data_root=data_root, device=device.value, report=report, progress=progress
        )
    say(f"wrote {pins_path()}")
    say(f"the models are in the collection {done.collection}")
    if json:
        print_json(asdict(done))
