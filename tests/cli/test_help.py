"""What the command line says of itself: complete sentences, an example that runs, nothing cut off."""

import re
import shlex
import subprocess
import sys

import pytest
import typer
from helpers import CHECKOUT, Run, failed, ok

from mrvae_zoo.cli import COMMANDS, app
from mrvae_zoo.cli.common import DeviceOption

EXAMPLES = {example.split()[1]: example for group in COMMANDS.values() for example in group.values()}
COMPUTES = {
    *(
        "reconstruct",
        "sample",
        "encode",
        "decode",
        "traverse",
        "interpolate",
        "curve",
        "benchmark",
        "verify",
        "sweep",
        "compare",
        "train",
        "fit-sampler",
        "card",
        "push",
        "publish",
    ),
}
click_commands = typer.main.get_command(app).commands


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_help_is_sentences_and_ends_with_its_example(name):
    command = click_commands[name]
    helps = [command.help.partition("\n\n")[0], *(each.help for each in command.params)]
    for text in helps:
        assert re.match(r"[A-Zβ\"`(]", text), text
        assert text.rstrip().endswith("."), text
    done = subprocess.run(
        [sys.executable, "-m", "mrvae_zoo", name, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "60", "PATH": "", "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stdout.rstrip().endswith(f"Example:\n\n    {EXAMPLES[name]}")
    assert "…" not in done.stdout
    assert "<bool>" not in done.stdout
    for option in (each for each in command.params if each.opts[0].startswith("--")):
        assert option.opts[0] in done.stdout
    options = {opt for each in command.params for opt in each.opts}
    assert "--json" in options
    assert ("--device" in options) == (name in COMPUTES)


@pytest.mark.slow
def test_the_list_of_commands_has_groups_and_cuts_nothing(mrvae):
    text = ok(mrvae("--help")).stdout
    assert [line for line in text.splitlines() if re.fullmatch(r"[A-Z][\w ]+:", line)][1:] == [
        f"{group}:" for group in COMMANDS
    ]
    assert "..." not in text.partition("Options")[2]
    first = [click_commands[name].help.split()[0] for name in ("compare", "verify", "curve")]
    assert first == ["Train", "Check", "Print"]


NOT_LOCAL = ("push", "publish", "verify", "sweep", "compare", "train", "fit-sampler", "demo")
LOCAL = [name for name in EXAMPLES if name not in NOT_LOCAL]


@pytest.mark.slow
def test_the_examples_run_as_written(mrvae, tmp_path):
    """Those that need neither data nor a Hub."""
    (tmp_path / "examples").symlink_to(CHECKOUT / "examples")
    for name in LOCAL:
        ok(mrvae(*shlex.split(EXAMPLES[name])[1:]))
    for file in (
        "grid.png",
        "new.png",
        "latents.png",
        "way.png",
        "plot.png",
        "decoded/0.png",
        "model.onnx",
        "digits.toml",
        "card/README.md",
        "dial/index.html",
    ):
        assert (tmp_path / file).is_file()


@pytest.mark.long
def test_so_do_those_on_data_and_with_a_hub(data_root, hub_client, tmp_path):
    """`publish` is of a checkout; `test_push.py` publishes a copy of this one."""
    (tmp_path / "data").symlink_to(data_root)
    home = hub_client.new_home()
    for name in ("train", "push", "verify", "sweep", "compare"):
        arguments = shlex.split(EXAMPLES[name].replace("org/", "zoo/"))[1:]
        code = f"import sys; from mrvae_zoo.cli import run; sys.exit(run({arguments!r}))"
        done = hub_client(code, cwd=tmp_path, home=home)
        assert done.returncode == 0, (name, done.stderr)


@pytest.mark.slow
def test_wrong_options_point_to_what_was_meant(mrvae):
    train = ("train", "mrvae_mlp.mnist", "--data-root", ".", "-o", "run")
    failed(mrvae(*train, "--epochs", 3), "No such option: --epochs. Did you mean --set training.epochs=VALUE?")
    failed(mrvae(*train, "--learning-rate", 3), "Did you mean --set training.learning_rate=VALUE?")
    failed(mrvae("sample", "mrvae_mlp.mnist", "--n", 3), "No such option: --n. Did you mean -n?")
    failed(mrvae("curve", "mrvae_mlp.mnist", "--data-rot", "."), "Did you mean --data-root or --data?")
    encode = ("encode", "mrvae_mlp.mnist", "x.png", "-o", "x")
    failed(mrvae(*encode, "--beta", "y"), "mrvae: --beta y: should be a number. See: mrvae encode --help")
    failed(mrvae(*encode), "mrvae: give --beta, --rate, --rate-each or --distortion-each. See: mrvae encode --help")
    failed(mrvae("sample", "m", "-o", "x.png", "-n", 0), "mrvae: -n 0: should be at least 1. See: mrvae sample --help")
    failed(mrvae("sample", "m", "-o", "x.png", "--size", 3), "requires 2 arguments. See: mrvae sample --help")
    failed(mrvae("curve", "m", "--binarize", "x"), "'x' is not one of 'none', 'static'. See: mrvae curve --help")
    assert mrvae().returncode == 2
    assert mrvae().stderr == ok(mrvae("--help")).stdout


@pytest.mark.slow
def test_a_device_that_is_not_here(mrvae: Run, digits, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    sample = ("sample", "mrvae_mlp.mnist", "-o", "x.png", "-n", 2)
    failed(mrvae(*sample, "--device", "cuda"), "device='cuda': torch finds no such device here; pass 'cpu', or 'auto'")
    failed(mrvae(*sample, "--device", "gpu"), "is not one of 'auto', 'cpu', 'cuda', 'mps'")
    assert list(tmp_path.iterdir()) == []
    ok(mrvae(*sample, "--device", "auto"))
    assert [*DeviceOption] == ["auto", "cpu", "cuda", "mps"]
