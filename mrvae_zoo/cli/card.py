"""mrvae card."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Force, Name, Output, say


def card(
    name: Name,
    output: Output,
    data_root: Annotated[
        Path | None, typer.Option("--data-root", help="The folder of data sets, for images to reconstruct.")
    ] = None,
    repo: Annotated[
        str | None, typer.Option("--repo", metavar="ORG/NAME", help="The Hub repository to load it from, as shown.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="A file with the figures of β-VAEs trained for one β each.")
    ] = None,
    force: Force = False,
) -> None:
    """Write the page of a model as the Hub shows it, README.md and its images, into a folder.

    A RUN is local-dir:RUN. With --force the files of a card that is there are replaced.
    """
    from mrvae_zoo.cards.card import make_card
    from mrvae_zoo.checkpoints.sources import HUB, LOCAL, check_repo_id, parse_hub_source
    from mrvae_zoo.common.files import atomic_folder, check_output
    from mrvae_zoo.hub.load import exact, locate_checkpoint

    check_output(output, force=force)
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output} is a file; name a folder")
    if repo is not None:
        check_repo_id(repo)
    source = exact(name)
    folder = locate_checkpoint(source)
    title = folder.resolve().name if name.startswith(LOCAL) else name
    if source.startswith(HUB):
        repo_id = parse_hub_source(source).repo_id
        title, repo = repo_id.split("/")[1], repo or repo_id
    made = make_card(folder, name=title, repo_id=repo, data_root=data_root, compare=compare)
    with atomic_folder(output) as folder:
        for file, content in made.files.items():
            (folder / file).write_bytes(content)
    say(f"wrote {output}: {', '.join(made.files)}")
