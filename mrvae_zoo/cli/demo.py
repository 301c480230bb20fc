"""The command `mrvae demo`."""

import contextlib
import sys
import threading
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Json, Name, print_json, say
from mrvae_zoo.cli.page import AtBeta, OwnImages, Runtime, TestImages


def demo(
    name: Name,
    port: Annotated[
        int, typer.Option("--port", metavar="P", help="The port on this machine. 0 is any free one.", min=0, max=65535)
    ] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, and open no browser.")] = False,
    runtime: Runtime = None,
    images: OwnImages = None,
    data_root: TestImages = None,
    beta: AtBeta = None,
    json: Json = False,
) -> None:
    """Open the page of a model in the browser, and turn β. It is served on this machine until you press Ctrl-C.

    No other machine reaches it, and nothing is written. `mrvae page` writes the same page into a folder.
    """
    import webbrowser

    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.page.build import page_files
    from mrvae_zoo.page.serving import check_port, serving

    check_port(port)
    model = load_pretrained(name)
    files = page_files(model if beta is None else model.at(beta), runtime=runtime, images=images, data_root=data_root)
    with serving(files, port) as address:
        if json:
            print_json({"address": address})
        else:
            typer.echo(address)
        sys.stdout.flush()
        say("press Ctrl-C to stop")
        if not no_browser:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
