"""The command line `mrvae`: one command per file, and nothing heavy is imported before the command runs.

Results go to stdout, everything else to stderr. An error is one line; the exit status is 1, or 2 for wrong usage.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, TextIO

import typer

from mrvae_zoo._version import __version__
from mrvae_zoo.cli import streams
from mrvae_zoo.cli.benchmark import benchmark
from mrvae_zoo.cli.card import card
from mrvae_zoo.cli.compare import compare
from mrvae_zoo.cli.curve import curve
from mrvae_zoo.cli.decode import decode
from mrvae_zoo.cli.demo import demo
from mrvae_zoo.cli.encode import encode
from mrvae_zoo.cli.export import export
from mrvae_zoo.cli.fit_sampler import fit_sampler
from mrvae_zoo.cli.info import info
from mrvae_zoo.cli.init_recipe import init_recipe
from mrvae_zoo.cli.interpolate import interpolate
from mrvae_zoo.cli.list_ import list_command
from mrvae_zoo.cli.page import page
from mrvae_zoo.cli.publish import publish
from mrvae_zoo.cli.push import push
from mrvae_zoo.cli.reconstruct import reconstruct
from mrvae_zoo.cli.sample import sample
from mrvae_zoo.cli.sweep import sweep
from mrvae_zoo.cli.train import train
from mrvae_zoo.cli.traverse import traverse
from mrvae_zoo.cli.usage import GroupedCommands, usage_message
from mrvae_zoo.cli.verify import verify
from mrvae_zoo.errors import MissingExtraError, one_line

HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    name="mrvae",
    cls=GroupedCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich's panels cut off text that does not fit
    context_settings=HELP,
)


def print_version(wanted: bool) -> None:
    """Print the version, for --version."""
    if wanted:
        typer.echo(f"mrvae_zoo {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Multi-Rate VAEs: one model, every β.

    `mrvae COMMAND --help` explains a command and shows an example.
    """


COMMANDS: dict[str, dict[Callable[..., None], str]] = {  # by group: each command, and an example of it
    "Use a model": {
        list_command: "mrvae list '*mnist*'",
        info: "mrvae info mrvae_mlp.mnist",
        reconstruct: "mrvae reconstruct mrvae_mlp.mnist examples/digits --beta 0.1 --beta 1 -o grid.png",
        sample: "mrvae sample mrvae_mlp.mnist --beta 1 -n 64 -o new.png",
        traverse: "mrvae traverse mrvae_mlp.mnist examples/digits/3.png --beta 1 -o latents.png",
        interpolate: "mrvae interpolate mrvae_mlp.mnist examples/digits/3.png examples/digits/8.png -o way.png",
        encode: "mrvae encode mrvae_mlp.mnist examples/digits --rate 20 -o latents.safetensors",
        decode: "mrvae decode latents.safetensors -o decoded",
        export: "mrvae export mrvae_mlp.mnist --format onnx -o model.onnx",
        demo: "mrvae demo mrvae_mlp.mnist",
    },
    "Measure": {
        curve: "mrvae curve mrvae_mlp.mnist -o plot.png",
        sweep: "mrvae sweep mrvae_mlp.mnist --data-root data --metric linear_probe -o sweep.png",
        benchmark: "mrvae benchmark mrvae_mlp.mnist --batch-size 1",
        verify: "mrvae verify mrvae_mlp.mnist --data-root data",
        compare: (
            "mrvae compare mrvae_mlp.mnist --data-root data --betas 3 --draws 2 -o . "
            "--set training.max_steps=100 --set training.warmup_steps=10"
        ),
    },
    "Train": {
        init_recipe: "mrvae init-recipe examples/digits -o digits.toml",
        train: "mrvae train mrvae_mlp.mnist --data-root data -o run --set training.epochs=2",
        fit_sampler: "mrvae fit-sampler run --data-root data --betas 7",
    },
    "Share": {
        card: "mrvae card mrvae_mlp.mnist -o card",
        page: "mrvae page mrvae_mlp.mnist -o dial",
        push: "mrvae push run org/digits --data-root data --tag v1",
        publish: "mrvae publish --author org",
    },
}
NAMES: list[str] = []
for group, commands in COMMANDS.items():
    for command, example in commands.items():
        NAMES.append(example.split()[1])
        app.command(
            NAMES[-1],
            rich_help_panel=group,
            context_settings=HELP,
            epilog=f"Example:\n\n\b\n  {example}",  # \b: not to be wrapped
        )(command)

# Typer raises errors of its own copy of click; their common class is not exported under a name of its own.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # errors are reported once, in our own words
    streams.prepare()
    _log_to_stderr()
    try:
        status = app(list(arguments), prog_name="mrvae", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        message = usage_message(error, arguments, NAMES)
        if message.startswith("Usage:"):  # no command was given
            typer.echo(message, err=True)
            return 2
        return _fail(message, 2)
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


class _ToStderr(logging.StreamHandler[TextIO]):
    """A handler that writes to the current stderr, which a progress bar replaces."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """Ignore the stream that the base class sets once."""


def _log_to_stderr() -> None:
    logger = logging.getLogger("mrvae_zoo")
    if not logger.handlers:
        handler = _ToStderr()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
