"""The command line `mrvae`: one command a file, nothing heavy imported before the command runs.

Results go to stdout, everything else to stderr. An error is one line; the exit status is 1, or 2 for wrong usage.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from mrvae_zoo._version import __version__
from mrvae_zoo.cli import streams
from mrvae_zoo.cli.card import card
from mrvae_zoo.cli.compare import compare
from mrvae_zoo.cli.curve import curve
from mrvae_zoo.cli.decode import decode
from mrvae_zoo.cli.diff import diff
from mrvae_zoo.cli.encode import encode
from mrvae_zoo.cli.export import export
from mrvae_zoo.cli.info import info
from mrvae_zoo.cli.init_recipe import init_recipe
from mrvae_zoo.cli.list_ import list_command
from mrvae_zoo.cli.publish import publish
from mrvae_zoo.cli.push import push
from mrvae_zoo.cli.reconstruct import reconstruct
from mrvae_zoo.cli.sample import sample
from mrvae_zoo.cli.train import train
from mrvae_zoo.cli.verify import verify
from mrvae_zoo.errors import MissingExtraError, one_line

HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    name="mrvae",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)


def print_version(wanted: bool) -> None:
    """What --version does."""
    if wanted:
        typer.echo(f"mrvae_zoo {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Multi-Rate VAEs: one model, every β."""


COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Use": (list_command, info, reconstruct, sample, encode, decode, export),
    "Measure": (curve, verify, diff, compare),
    "Train": (init_recipe, train),
    "Share": (card, push, publish),
}
for group, commands in COMMANDS.items():
    for command in commands:
        name = "list" if command is list_command else None
        app.command(name, rich_help_panel=group, context_settings=HELP)(command)

# Typer raises errors of its own copy of click; their common class is not exported under a name of its own.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # what goes wrong is told in our own words, once
    streams.prepare()
    _log_to_stderr()
    try:
        status = app(list(arguments), prog_name="mrvae", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        message = error.format_message()  # type: ignore[attr-defined]
        context = getattr(error, "ctx", None)
        which = "mrvae" if context is None else context.command_path
        stop = "" if message.endswith((".", "?", "!")) else "."
        return _fail(f"{message}{stop} See: {which} --help", 2) if message else 2  # without one, help was shown
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except (BrokenPipeError, SystemExit):  # Typer makes the second of the first
        streams.discard_stdout()
        return 0
    except OSError as error:
        named = error.filename is not None and error.strerror is not None
        return _fail(f"{error.filename}: {error.strerror}" if named else str(error), 1)
    except MemoryError:
        return _fail("out of memory", 1)
    except (ValueError, FloatingPointError, MissingExtraError, RuntimeError) as error:  # the last is torch's
        return _fail(str(error) or type(error).__name__, 1)
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    typer.echo(f"mrvae: {one_line(message)}", err=True)
    return status


def _log_to_stderr() -> None:
    logger = logging.getLogger("mrvae_zoo")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
