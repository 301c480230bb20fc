"""The real command in a process of its own, forked from one that has imported torch: the command less its start."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        *("mrvae_zoo.cli", "mrvae_zoo.comparison.compare", "mrvae_zoo.hub.load", "mrvae_zoo.training.train"),
        *("mrvae_zoo.inference.encoding", "mrvae_zoo.evaluation.plots", "mrvae_zoo.models.architectures.resnet"),
        *("accelerate", "matplotlib.figure", "PIL.Image", "rich.progress", "torch._dynamo", "torchvision.datasets"),
    ]
)


def run_command(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """`mrvae ARGUMENTS` in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        process = SERVER.Process(target=command, args=(arguments, cwd, output, errors))
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(
            arguments, process.exitcode, output.read_text("utf-8"), errors.read_text("utf-8")
        )


def command(arguments: list[str], cwd: Path, output: Path, errors: Path) -> None:
    """What the forked process does: what `python -m mrvae_zoo` does, its streams in files."""
    for stream, path in ((0, Path(os.devnull)), (1, output), (2, errors)):
        os.dup2(os.open(path, os.O_RDONLY if stream == 0 else os.O_WRONLY | os.O_CREAT), stream)
    os.chdir(cwd)
    os.environ["COLUMNS"] = "200"
    sys.argv = ["mrvae", *arguments]
    from mrvae_zoo.cli import main

    main()
