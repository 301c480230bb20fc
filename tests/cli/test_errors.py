"""Wrong input, given to the real command: one line, the right exit status, nothing left behind."""

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers import CHECKOUT, DEFAULT_MODEL
from PIL import Image

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, digits):
    """A folder with a digit, and with things that are none."""
    (tmp_path / "digit.png").write_bytes(digits[0].read_bytes())
    (tmp_path / "text.png").write_text("not an image", encoding="utf-8")
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:5000])
    (tmp_path / "exists.png").write_text("precious", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.toml").write_text("[model]\narchitecture = 'mrvae_mpl'\n", encoding="utf-8")
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


RECONSTRUCT = ("reconstruct", DEFAULT_MODEL)
ENCODE = ("encode", DEFAULT_MODEL, "digit.png")
EXPORT = ("export", DEFAULT_MODEL, "--format", "pt2")
TRAIN = ("train", DEFAULT_MODEL, "-o", "run", "--data-root")
CASES = [
    # what the image is
    ((*RECONSTRUCT, "none.png", "-o", "g.png"), 1, "none.png: no such file"),
    ((*RECONSTRUCT, "text.png", "-o", "g.png"), 1, "text.png is not an image"),
    ((*RECONSTRUCT, "cut.png", "-o", "g.png"), 1, "cut.png is damaged"),
    ((*RECONSTRUCT, "folder", "-o", "g.png"), 1, "folder holds no images in a format that Pillow reads"),
    ((*RECONSTRUCT, "digit.png", "cut.png", "-o", "g.png"), 1, "cut.png is damaged"),
    ((*RECONSTRUCT, "-o", "g.png"), 2, "Missing argument"),
    # what β is
    ((*RECONSTRUCT, "digit.png", "--beta", "abc", "-o", "g.png"), 2, "--beta"),
    ((*RECONSTRUCT, "digit.png", "--beta", "0", "-o", "g.png"), 1, "beta=0.0 is outside this model's range"),
    ((*RECONSTRUCT, "digit.png", "--beta", "nan", "-o", "g.png"), 1, "beta=nan is outside this model's range"),
    (
        (*RECONSTRUCT, "digit.png", "--beta", "99", "-o", "g.png"),
        1,
        "beta=99.0 is outside this model's range [0.01, 10",
    ),
    (("sample", DEFAULT_MODEL, "--beta", "-1", "-o", "g.png"), 1, "beta=-1.0 is outside this model's range"),
    ((*ENCODE, "--beta", "inf", "-o", "l"), 1, "beta=inf is outside this model's range"),
    ((*ENCODE, "-o", "l"), 2, "give --beta, --rate, --rate-each or --distortion-each. See"),
    ((*ENCODE, "--beta", "1", "--rate", "20", "-o", "l"), 2, "--distortion-each, and only one of them"),
    ((*ENCODE, "--rate-each", "9", "--distortion-each", "9", "-o", "l"), 2, "--distortion-each, and only one of them"),
    ((*ENCODE, "--rate-each", "0", "-o", "l"), 1, "rate=0.0 should be a positive number of nats"),
    ((*ENCODE, "--distortion-each", "nan", "-o", "l"), 1, "distortion=nan should be a positive number of nats"),
    ((*ENCODE, "--beta", "1", "--dims", "33", "-o", "l"), 1, "--dims 33: this model has 32 latents"),
    ((*ENCODE, "--beta", "1", "--dims", "0", "-o", "l"), 2, "--dims 0: should be at least 1"),
    (("traverse", DEFAULT_MODEL, "digit.png", "--beta", "11", "-o", "m.png"), 1, "beta=11.0 is outside"),
    (("traverse", DEFAULT_MODEL, "digit.png", "-o", "m.txt"), 1, "m.txt should end in .png"),
    (("traverse", DEFAULT_MODEL, "digit.png", "-o", "exists.png"), 1, "exists.png exists; pass --force"),
    (("interpolate", DEFAULT_MODEL, "digit.png", "none.png", "-o", "m.png"), 1, "none.png: no such file"),
    (
        ("interpolate", DEFAULT_MODEL, "digit.png", "digit.png", "--steps", "1", "-o", "m.png"),
        2,
        "--steps 1: should be",
    ),
    ((*ENCODE, "--rate", "9999", "-o", "l"), 1, "rate=9999.0 is outside the curve's"),
    ((*ENCODE, "--rate", "nan", "-o", "l"), 1, "rate=nan is outside the curve's"),
    # what the model is
    (("info", "mrvae_mpl.mnist"), 1, f"unknown model 'mrvae_mpl.mnist'; did you mean {DEFAULT_MODEL}"),
    (("info", "org/name"), 1, "for a folder write local-dir:path, for the Hub hf-hub:org/name"),
    (("info", "local-dir:none"), 1, "none: no such folder"),
    (("info", "local-dir:folder"), 1, "config.json is missing; folder is not a checkpoint"),
    (("info",), 2, "Missing argument"),
    # where the output goes
    ((*RECONSTRUCT, "digit.png", "-o", "exists.png"), 1, "exists.png exists; pass --force"),
    ((*RECONSTRUCT, "digit.png", "-o", "none/g.png"), 1, "none: no such folder; make it first"),
    ((*RECONSTRUCT, "digit.png", "-o", "folder", "--force"), 1, "folder is a folder; name a file"),
    ((*RECONSTRUCT, "digit.png", "-o", "/proc/g.png"), 1, "/proc/g.png: No such file"),
    ((*ENCODE, "--beta", "1", "-o", "exists.png"), 1, "exists.png exists; pass --force"),
    ((*ENCODE, "--beta", "1", "-o", "none/l"), 1, "none: no such folder"),
    ((*ENCODE, "--beta", "1", "-o", "/proc/l"), 1, "/proc/l: No such file"),
    (("sample", DEFAULT_MODEL, "-o", "exists.png"), 1, "exists.png exists; pass --force"),
    (("sample", DEFAULT_MODEL, "-n", "0", "-o", "g.png"), 2, "-n 0: should be at least 1"),
    (("sample", DEFAULT_MODEL), 2, "Missing option"),
    ((*RECONSTRUCT, "digit.png", "--bate", "1", "-o", "g.png"), 2, "No such option: --bate"),
    (("reconstrct",), 2, "No such command 'reconstrct'"),
    # latents that are none
    (("decode", "none", "-o", "out"), 1, "none: no such file"),
    (("decode", "text.png", "-o", "out"), 1, "text.png is not a latents file"),
    (("decode", "other.safetensors", "-o", "out"), 1, "other.safetensors is not a latents file"),
    (("decode", "other.safetensors", "-o", "folder"), 1, "folder exists; pass --force"),
    # export
    (("export", DEFAULT_MODEL, "--format", "pb", "-o", "m"), 2, "'pb' is not one of 'onnx', 'pt2'"),
    ((*EXPORT, "--part", "head", "-o", "m"), 2, "'head' is not one of 'model', 'encoder', 'decoder'"),
    (("export", DEFAULT_MODEL, "-o", "m"), 2, "Missing option '--format'"),
    (EXPORT, 2, "Missing option"),
    ((*EXPORT, "-o", "exists.png"), 1, "exists.png exists; pass --force"),
    ((*EXPORT, "-o", "none/m.pt2"), 1, "none: no such folder; make it first"),
    ((*EXPORT, "-o", "folder", "--force"), 1, "folder is a folder; name a file"),
    ((*EXPORT, "--beta", "99", "-o", "m.pt2"), 1, "beta=99.0 is outside this model's range"),
    ((*EXPORT, "--beta", "x", "-o", "m.pt2"), 2, "--beta"),
    (("export", "mrvae_mpl.mnist", "--format", "pt2", "-o", "m.pt2"), 1, "did you mean mrvae_mlp.mnist"),
    # a card
    (("card", DEFAULT_MODEL), 2, "Missing option '--output'"),
    (("card", DEFAULT_MODEL, "-o", "folder"), 1, "folder exists; pass --force"),
    (("card", DEFAULT_MODEL, "-o", "exists.png", "--force"), 1, "exists.png is a file; name a folder"),
    (("card", DEFAULT_MODEL, "-o", "none/card"), 1, "none: no such folder"),
    (("card", DEFAULT_MODEL, "-o", "card", "--repo", "name"), 1, "is not a repository of the Hub"),
    (("card", DEFAULT_MODEL, "-o", "card", "--repo", "org/a/b"), 1, "is not a repository of the Hub"),
    (("card", DEFAULT_MODEL, "-o", "card", "--compare", "none.json"), 1, "none.json: no such file"),
    (("card", DEFAULT_MODEL, "-o", "card", "--compare", "text.png"), 1, "text.png is not JSON"),
    (("card", "mrvae_mpl.mnist", "-o", "card"), 1, "did you mean mrvae_mlp.mnist"),
    (("card", "local-dir:folder", "-o", "card"), 1, "config.json is missing"),
    # training and measuring
    ((*TRAIN, "none"), 1, "none: no such folder; --data-root is the folder that holds the data sets"),
    ((*TRAIN, ".", "--set", "training.epoch=1"), 1, "unknown key training.epoch; did you mean epochs"),
    ((*TRAIN, ".", "--set", "training.epochs=x"), 1, "training.epochs='x' should be an integer"),
    ((*TRAIN, ".", "--set", "data.name=binarized_mnist"), 1, "train.npz is missing"),
    (("train", "bad.toml", "-o", "run", "--data-root", "."), 1, "did you mean mrvae_mlp"),
    (("train", "none.toml", "-o", "run", "--data-root", "."), 1, "none.toml: no such file"),
    (("train", "mrvae_mpl.mnist", "-o", "run", "--data-root", "."), 1, "did you mean mrvae_mlp.mnist"),
    (("train", DEFAULT_MODEL, "-o", "folder", "--data-root", "."), 1, "folder exists; pass --force"),
    (("train", DEFAULT_MODEL, "-o", "none/run", "--data-root", "."), 1, "none: no such folder"),
    (("verify", DEFAULT_MODEL, "--data-root", "none"), 1, "none: no such folder"),
    (("curve", DEFAULT_MODEL, "--data", "mnist"), 2, "--data needs --data-root"),
    (("curve", DEFAULT_MODEL, "--data-root", ".", "--data", "mnst"), 1, "unknown data set 'mnst'; did you mean"),
]


@pytest.mark.parametrize(("arguments", "status", "message"), CASES, ids=lambda case: None)
def test_wrong_input(mrvae, folder, arguments, status, message):
    before = contents(folder)
    done = mrvae(*arguments)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("mrvae: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert contents(folder) == before


def test_force_overwrites(mrvae, folder):
    done = mrvae(*RECONSTRUCT, "digit.png", "--beta", 1, "-o", "exists.png", "--force")
    assert done.returncode == 0
    with Image.open(folder / "exists.png") as image:
        assert image.format == "PNG"


def test_export_without_its_extra(folder):
    """The package is hidden, as it is where the extra is not installed."""
    code = "import sys; sys.modules['onnxscript'] = None; from mrvae_zoo.cli import run; sys.exit(run(sys.argv[1:]))"
    before = contents(folder)
    command = [sys.executable, "-c", code, "export", DEFAULT_MODEL, "--format", "onnx", "-o", "m.onnx"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "mrvae: onnxscript is not installed; install it with: pip install 'mrvae-zoo[export]'\n"
    assert contents(folder) == before


def test_a_reader_that_has_had_enough_is_no_error(folder):
    command = f"{sys.executable} -m mrvae_zoo info {DEFAULT_MODEL} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr in ("", f"all 13 points: mrvae curve {DEFAULT_MODEL}\n")  # the second if all was read in time


DIGIT = CHECKOUT / "examples" / "digits" / "0.png"


def real(*arguments, cwd, shell="", **variables):
    """The command in a process of its own, with these variables, and with a piece of shell after it."""
    command = " ".join([shlex.quote(sys.executable), "-m", "mrvae_zoo", *map(shlex.quote, map(str, arguments)), shell])
    environment = os.environ | {"OMP_NUM_THREADS": "1", **variables}
    command = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_help_is_told_on_a_stream_of_any_encoding(encoding, tmp_path):
    for arguments in (("--help",), ("sample", "--help")):
        done = real(*arguments, cwd=tmp_path, PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage: mrvae" in done.stdout


@pytest.mark.parametrize("shell", ["| head -1", ">&-", "| true"])
def test_a_reader_that_goes_or_never_was_is_no_error(shell, tmp_path):
    done = real("list", cwd=tmp_path, shell=shell)
    assert (done.returncode, done.stderr) == (0, "")


def test_one_variable_of_a_launcher_alone_changes_nothing(tmp_path, digits):
    done = real("encode", DEFAULT_MODEL, digits[0], "--beta", 1, "-o", "l.safetensors", cwd=tmp_path, RANK="1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "l.safetensors").exists()


@pytest.mark.parametrize(
    ("variables", "arguments", "message"),
    [
        (
            {"WORLD_SIZE": "two"},
            ("encode", DEFAULT_MODEL, DIGIT, "--beta", "1", "-o", "l"),
            "WORLD_SIZE='two' should be",
        ),
        ({"HF_HUB_ETAG_TIMEOUT": "abc"}, ("info", "hf-hub:a/b"), "HF_HUB_ETAG_TIMEOUT='abc' should be a whole number"),
        ({"SSL_CERT_FILE": "/none"}, ("info", "hf-hub:a/b"), "SSL_CERT_FILE='/none' leads to nothing"),
        ({"HF_TOKEN": "hf_ä"}, ("list", "--hub"), "HF_TOKEN holds letters that no token has"),
        ({"ALL_PROXY": "socks5://127.0.0.1:9"}, ("info", "hf-hub:a/b"), "pip install socksio"),
        ({}, ("info", "local-dir:~nosuchuser/x"), "local-dir:~nosuchuser/x: there is no user 'nosuchuser' with a home"),
        ({}, ("info", "local-dir:"), "'local-dir:' names no folder; write local-dir:PATH"),
    ],
)
def test_what_is_wrong_around_a_command_is_one_line_that_names_it(variables, arguments, message, tmp_path):
    if "ALL_PROXY" in variables and importlib.util.find_spec("socksio") is not None:
        pytest.skip("socksio is installed")
    done = real(*arguments, cwd=tmp_path, HF_HOME=str(tmp_path), **variables)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr
