"""mrvae card."""

import os
from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Device, DeviceOption, Force, Json, Name, print_json, say


def card(
    name: Name,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write the page and its images into.")
    ],
    data_root: Annotated[
        Path | None,
        typer.Option("--data-root", metavar="DIR", help="The folder of data sets, for images to reconstruct."),
    ] = None,
    repo: Annotated[
        str | None,
        typer.Option("--repo", metavar="ORG/NAME", help="The Hub repository that the page says to load it from."),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", metavar="FILE", help="The JSON file of a comparison with β-VAEs (`mrvae compare`)."),
    ] = None,
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write the page of a model as the Hub shows it: README.md and its images.

    With --force the files of a page that is there are replaced.
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
    title = folder.resolve().name if source.startswith(LOCAL) else name
    if source.startswith(HUB):
        repo_id = parse_hub_source(source).repo_id
        title, repo = repo_id.split("/")[1], repo or repo_id
    made = make_card(
        folder,
        name=title,
        repo_id=repo,
        data_root=data_root,
        compare=compare,
        device=device.value,
        page=_beside(output, folder),
    )
    with atomic_folder(output) as folder:
        for file, content in made.files.items():
            (folder / file).write_bytes(content)
    say(f"wrote {output}: {', '.join(made.files)}")
    if json:
        print_json({"output": str(output), "files": list(made.files)})


def _beside(output: Path, folder: Path) -> str:
    """The folder of the page as it is called from the one that holds `folder`: its name alone where it is far away."""
    page = Path(os.path.relpath(output.resolve(), folder.resolve().parent))
    return output.resolve().name if page.parts[:2] == ("..", "..") else page.as_posix()
