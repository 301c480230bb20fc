"""mrvae push."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Device, DeviceOption, Json, measuring, print_json, say


def push(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The model: the folder of a training (RUN), or a name from `mrvae list`."),
    ],
    repo_id: Annotated[
        str, typer.Argument(metavar="ORG/NAME", help="The repository on the Hub. It is created if it does not exist.")
    ],
    private: Annotated[bool, typer.Option("--private", help="Create the repository as a private one.")] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="BRANCH", help="Push to this branch instead of main.")
    ] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request instead of committing to the branch.")
    ] = False,
    tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Name the commit, such as v1.")] = None,
    data_root: Annotated[
        Path | None,
        typer.Option("--data-root", metavar="DIR", help="Measure three points of the curve again on these data sets."),
    ] = None,
    device: Device = DeviceOption.auto,
    json: Json = False,
) -> None:
    """Push a trained model and its page to the Hugging Face Hub as one commit, and read it back."""
    from dataclasses import asdict

    from mrvae_zoo.hub.push import push_to_hub

    with measuring() as progress:
        pushed = push_to_hub(
            name,
            repo_id,
            private=private,
            revision=revision,
            create_pr=create_pr,
            tag=tag,
            data_root=data_root,
            device=device.value,
            progress=progress,
        )
    if pushed.pull_request is not None:
        say(f"opened {pushed.pull_request}")
    what = f"pushed {', '.join(pushed.changed)}" if pushed.changed else "nothing to push: the repository holds the same"
    say(f"{what}; read back and compared")
    if json:
        print_json(asdict(pushed))
    else:
        typer.echo(f"hf-hub:{pushed.repo_id}@{pushed.commit}")
