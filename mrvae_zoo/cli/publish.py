"""mrvae publish."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrvae_zoo.cli.common import measuring, say

if TYPE_CHECKING:
    from mrvae_zoo.hub.push import Pushed


def publish(
    author: Annotated[
        str | None, typer.Option("--author", metavar="ORG", help="A user or an organization; yourself otherwise.")
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option("--data-root", help="Measure three β of each curve again on the data sets in there.")
    ] = None,
) -> None:
    """Push every trained model of this checkout's registry to ORG/NAME, and pin them in registry/pins.toml."""
    from mrvae_zoo.checkpoints.pins import pins_path
    from mrvae_zoo.hub.publish import publish as publish_registry

    def report(name: str, pushed: "Pushed") -> None:
        say(f"{name}: {'pushed' if pushed.changed else 'nothing to push'}; read back and compared")
        typer.echo(f"hf-hub:{pushed.repo_id}@{pushed.commit}")

    with measuring() as progress:
        publish_registry(author, data_root=data_root, report=report, progress=progress)
    say(f"wrote {pins_path()}")
