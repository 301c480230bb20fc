"""The command `mrvae page`."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Force, Json, OptionalName, print_json, say

Runtime = Annotated[
    Path | None,
    typer.Option(
        "--runtime",
        metavar="DIR",
        help="The folder of the npm package onnxruntime-web. The page then carries it and works without a network. "
        "Default: a link to a public CDN, with a hash of each file.",
    ),
]
OwnImages = Annotated[
    Path | None,
    typer.Option("--images", metavar="FOLDER", help="The images that the page begins with. Default: test images."),
]
TestImages = Annotated[
    Path | None,
    typer.Option(
        "--data-root", metavar="DIR", help="The folder of data sets, for test images that mrvae_zoo does not bring."
    ),
]
AtBeta = Annotated[
    float | None,
    typer.Option("--beta", metavar="B", help="Fold the gates at this β: a page without a dial. Default: any β."),
]


def page(
    name: OptionalName = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="The folder to write the page into.")
    ] = None,
    pages: Annotated[
        Path | None,
        typer.Option(
            "--pages",
            metavar="FOLDER",
            help="Write the pages of all models whose weights are here, and a gallery that leads to them.",
        ),
    ] = None,
    runtime: Runtime = None,
    images: OwnImages = None,
    data_root: TestImages = None,
    repo: Annotated[
        str | None,
        typer.Option("--repo", metavar="ORG/NAME", help="The Hub repository that the page says to load it from."),
    ] = None,
    beta: AtBeta = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write the page of a model, on which anyone turns β: static files that run in the browser, without a server.

    With --force the files of a page that is there are replaced.
    """
    if pages is not None:
        given = {"NAME": name, "-o": output, "--images": images, "--repo": repo, "--beta": beta}
        if named := [key for key, value in given.items() if value is not None]:
            raise typer.BadParameter(f"--pages writes the pages of all models; leave out {', '.join(named)}")
        _write_all(pages, runtime, data_root, force=force, json=json)
        return
    if name is None or output is None:
        raise typer.BadParameter("name a model and a folder, NAME -o FOLDER; or all models, --pages FOLDER")
    from mrvae_zoo.checkpoints.sources import check_repo_id
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.page.build import write_page

    _check_folder(output, force=force)
    if repo is not None:
        check_repo_id(repo)
    model = load_pretrained(name)
    write_page(
        model if beta is None else model.at(beta),
        output,
        runtime=runtime,
        images=images,
        data_root=data_root,
        repo_id=repo,
        force=force,
    )
    _say_written(output, json=json, models=[name])


def _write_all(pages: Path, runtime: Path | None, data_root: Path | None, *, force: bool, json: bool) -> None:
    from mrvae_zoo.checkpoints.registry import list_models
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.page.gallery import write_gallery

    _check_folder(pages, force=force)
    names = list_models(pretrained=True)
    write_gallery(map(load_pretrained, names), pages, runtime=runtime, data_root=data_root, progress=say)
    _say_written(pages, json=json, models=names)


def _check_folder(folder: Path, *, force: bool) -> None:
    """Raise an error if a page cannot be written there, before any work is done for it."""
    from mrvae_zoo.common.files import check_output

    check_output(folder, force=force)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; name a folder")


def _say_written(folder: Path, *, json: bool, models: list[str]) -> None:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    say(f"wrote {folder}: {size / 1e6:.1f} MB")
    if json:
        print_json({"output": str(folder), "models": models, "bytes": size})
    else:
        typer.echo(str(folder))
