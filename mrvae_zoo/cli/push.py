"""mrvae push."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrvae_zoo.cli.common import Device, DeviceOption, Json, measuring, print_json, print_table, say

if TYPE_CHECKING:
    from mrvae_zoo.hub.upload import Pushed


def push(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The model: the folder of a training (RUN), or a name from `mrvae list`."),
    ],
    repo_id: Annotated[
        str, typer.Argument(metavar="ORG/NAME", help="The repository on the Hub. It is created if it does not exist.")
    ],
    space_id: Annotated[
        str | None,
        typer.Argument(metavar="ORG/SPACE", help="With --space: the Space to push to. Default: ORG/NAME-dial."),
    ] = None,
    space: Annotated[
        bool,
        typer.Option(
            "--space", help="Push the dial too, as a static Space: a page that runs the model in the browser."
        ),
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="Create the repository as a private one, and the Space too.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="BRANCH", help="Push to this branch instead of main.")
    ] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request instead of committing to the branch.")
    ] = False,
    tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Name the commit, such as v1.")] = None,
    message: Annotated[
        str | None,
        typer.Option("--message", metavar="TEXT", help="The message of the commit, or of both with --space."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say which files would be sent, and send nothing. This needs no token."),
    ] = False,
    data_root: Annotated[
        Path | None,
        typer.Option("--data-root", metavar="DIR", help="Measure three points of the curve again on these data sets."),
    ] = None,
    device: Device = DeviceOption.auto,
    json: Json = False,
) -> None:
    """Push a trained model and its page to the Hugging Face Hub as one commit, and read it back."""
    from mrvae_zoo.hub.push import push_to_hub

    if space_id is not None and not space:
        raise typer.BadParameter(f"to push the dial to the Space {space_id}, write --space {space_id}")
    with measuring() as progress:
        pushed = push_to_hub(
            name,
            repo_id,
            space=None if not space else True if space_id is None else space_id,
            private=private,
            revision=revision,
            create_pr=create_pr,
            tag=tag,
            message=message,
            dry_run=dry_run,
            data_root=data_root,
            device=device.value,
            progress=progress,
        )
    shown = {} if pushed.space is None else {f"the Space {pushed.space.repo_id}": pushed.space}
    for where, each in {**shown, pushed.repo_id: pushed}.items():
        if dry_run:
            _say_planned(each, where, table=not json)
        else:
            _say_pushed(each, where)
    if json:
        from dataclasses import asdict

        print_json(asdict(pushed) | {"dry_run": dry_run})
    elif not dry_run:
        typer.echo(f"hf-hub:{pushed.repo_id}@{pushed.commit}")
        if pushed.space is not None:
            typer.echo(pushed.space.url)


def _say_planned(pushed: "Pushed", where: str, *, table: bool) -> None:
    """What a push would send: a line on stderr, and the files and their sizes on stdout."""
    if table:
        print_table(("file", "bytes"), [(name, f"{size:,}") for name, size in pushed.sizes.items()])
    total = sum(pushed.sizes.values()) / 1e6
    say(f"would push {len(pushed.sizes)} files, {total:.1f} MB, to {where}; nothing was sent")


def _say_pushed(pushed: "Pushed", where: str) -> None:
    """What a push sent, on stderr."""
    if pushed.pull_request is not None:
        say(f"opened {pushed.pull_request}")
    what = f"pushed {', '.join(pushed.changed)}" if pushed.changed else "nothing to push: the repository holds the same"
    say(f"{where}: {what}; read back and compared")
