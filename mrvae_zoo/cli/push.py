"""mrvae push."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import measuring, say


def push(
    name: Annotated[
        str, typer.Argument(metavar="RUN_OR_NAME", help="The folder of a training, or a name of the registry.")
    ],
    repo_id: Annotated[str, typer.Argument(metavar="ORG/NAME", help="The repository, made where it is missing.")],
    private: Annotated[bool, typer.Option("--private", help="Make it a private one.")] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="BRANCH", help="Another branch than main.")
    ] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead.")] = False,
    tag: Annotated[str | None, typer.Option("--tag", help="A name for the commit, such as v1.")] = None,
    data_root: Annotated[
        Path | None, typer.Option("--data-root", help="Measure three β of the curve again on the data sets in there.")
    ] = None,
) -> None:
    """Push a trained model and its page to the Hugging Face Hub as one commit, and read it back."""
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
            progress=progress,
        )
    if pushed.pull_request is not None:
        say(f"opened {pushed.pull_request}")
    what = f"pushed {', '.join(pushed.changed)}" if pushed.changed else "nothing to push: the repository holds the same"
    say(f"{what}; read back and compared")
    typer.echo(f"hf-hub:{pushed.repo_id}@{pushed.commit}")
