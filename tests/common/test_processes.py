"""One training on several processes, as torchrun starts them; gloo, on the CPU."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import safetensors
import safetensors.torch
import torch
from helpers import BARS_RECIPE, DEFAULT_MODEL

import mrvae_zoo
from mrvae_zoo.common.processes import gather
from mrvae_zoo.evaluation.published import deviation, measure_again
from mrvae_zoo.training.recipe import recipe_from_table
from mrvae_zoo.training.run_folder import write_recipe
from mrvae_zoo.training.state import load_state

pytestmark = pytest.mark.slow

TABLES = {
    "beta_vae": {**BARS_RECIPE, "data": {"name": "binarized_mnist", "binarize": "dynamic"}},
    "beta_tcvae": {
        **BARS_RECIPE,
        "model": {**BARS_RECIPE["model"], "beta_range": [1.0, 10.0]},
        "objective": {"name": "beta_tcvae", "beta_sampling": "batch"},
    },
}
OPTIONS = ("--set", "training.max_steps=50", "--set", "training.log_every=1", "--set", "training.ema=0")


def train(folder, bars, run, *options, processes: int) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes)] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", "mrvae_zoo", "train", folder / "recipe.toml", "--data-root", bars]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*map(str, command), "-o", str(run), *OPTIONS, *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def ok(done) -> None:
    assert done.returncode == 0, done.stderr


def metrics(run) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("objective", ["beta_vae", pytest.param("beta_tcvae", marks=pytest.mark.long)])
def test_two_processes_learn_what_one_does(objective, bars, tmp_path):
    write_recipe(tmp_path, recipe_from_table(TABLES[objective], where="test"))
    ok(train(tmp_path, bars, tmp_path / "one", processes=1))
    done = train(tmp_path, bars, tmp_path / "two", processes=2)
    ok(done)
    assert done.stdout.count("beta ") == 1  # one process speaks
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert [line["num_processes"] for line in two] == [2] * 50
    assert [line["num_processes"] for line in one] == [1] * 50
    for name in ("loss", "rate", "distortion"):
        for a, b in zip(one, two, strict=True):
            assert b[name] == pytest.approx(a[name], rel=1e-4), (name, a["step"])
    models = [mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / name}") for name in ("one", "two")]
    for a, b in zip(models[0].curve.points, models[1].curve.points, strict=True):
        assert b.loss == pytest.approx(a.loss, rel=1e-4)
    assert one[-1]["distortion"] < 0.95 * one[0]["distortion"]  # there was something to learn


def test_what_is_measured_is_what_is_saved(bars, tmp_path):
    """With batch norm each process has statistics of its own part of the data; here each measures a part as well."""
    root = tmp_path / "data" / "BinarizedMNIST"
    root.mkdir(parents=True)
    shutil.copy(bars / "BinarizedMNIST" / "train.npz", root)
    shutil.copy(bars / "BinarizedMNIST" / "train.npz", root / "test.npz")  # 640 images: three chunks
    model = {"architecture": "mrvae_conv", "input_shape": [1, 8, 8], "latent_dim": 4, "widths": [6, 8]}
    model |= {"norm": "batch", "gating": "none"}
    table = {**BARS_RECIPE, "model": model, "data": {"name": "binarized_mnist"}, "objective": {"beta": 1.0}}
    write_recipe(tmp_path, recipe_from_table(table, where="test"))
    ok(train(tmp_path, root.parent, tmp_path / "run", processes=2))
    loaded = mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / 'run'}")
    for old, new in zip(loaded.curve.points, measure_again(loaded, root.parent).points, strict=True):
        assert deviation(old, new) < 1e-5


@pytest.mark.long
def test_what_two_processes_saved_one_resumes(bars, tmp_path):
    write_recipe(tmp_path, recipe_from_table(TABLES["beta_vae"], where="test"))
    often = ("--set", "training.checkpoint_every=20")
    ok(train(tmp_path, bars, tmp_path / "one", *often, processes=1))
    stop = "import os, sys, mrvae_zoo.training.loop as loop\nsave = loop.Loop._save\n"
    stop += "def save_and_stop(self):\n    save(self)\n    self.writer.wait()\n    self.done == 40 and os._exit(9)\n"
    stop += "loop.Loop._save = save_and_stop\nfrom mrvae_zoo.cli import main\nmain()\n"
    (tmp_path / "stop.py").write_text(stop, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        str(tmp_path / "stop.py"),
        "train",
    ]
    command += [str(tmp_path / "recipe.toml"), "--data-root", str(bars), "-o", str(tmp_path / "two"), *OPTIONS, *often]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    assert load_state(tmp_path / "two" / "states").step == 40
    ok(train(tmp_path, bars, tmp_path / "two", *often, "--resume", processes=1))
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert [line["num_processes"] for line in two] == [2] * 40 + [1] * 10
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)


@pytest.mark.long
def test_a_batch_that_cannot_be_split_is_said(bars, tmp_path):
    write_recipe(tmp_path, recipe_from_table(TABLES["beta_vae"], where="test"))
    done = train(tmp_path, bars, tmp_path / "run", "--set", "training.batch_size=31", processes=2)
    assert done.returncode != 0
    assert "mrvae: a batch of 31 cannot be split evenly over 2 processes" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 5, 130])
def test_two_processes_encode_what_one_does(count, digits, tmp_path):
    """One image, so that the second process has none; an odd number, one of them damaged; more than a batch."""
    (tmp_path / "images").mkdir()
    for number in range(count):
        (tmp_path / "images" / f"{number:03}.png").write_bytes(digits[number % 10].read_bytes())
    if count > 1:
        (tmp_path / "images" / "003.png").write_bytes(b"no image")
    for processes in (1, 2):
        launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2"] if processes > 1 else []
        command = [sys.executable, *launcher, "-m", "mrvae_zoo", "encode", DEFAULT_MODEL, "images", "--beta", "0.3"]
        command += ["-o", f"{processes}.safetensors"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        ok(done)
        assert done.stderr.count("wrote") == 1
    one, two = (safetensors.torch.load_file(tmp_path / f"{processes}.safetensors") for processes in (1, 2))
    assert len(one["mean"]) == (count - 1 if count > 1 else 1)
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in ("mean", "log_var"))
    infos = []
    for processes in (1, 2):
        with safetensors.safe_open(tmp_path / f"{processes}.safetensors", framework="pt") as file:
            infos.append(file.metadata())
    assert infos[0] == infos[1]


def test_one_process_gathers_nothing():
    x = torch.rand(3)
    assert gather(x) is x
