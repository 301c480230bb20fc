"""What the README shows is what a reader gets."""

import itertools
import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from helpers import CHECKOUT, DEFAULT_MODEL
from PIL import Image

pytestmark = pytest.mark.slow

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^(?:mrvae|torchrun) .*$", README, re.MULTILINE)
MODULES = {"mrvae": "mrvae_zoo", "torchrun": "torch.distributed.run"}


@pytest.fixture
def clone(tmp_path):
    """A folder in which the README's relative paths lead somewhere."""
    (tmp_path / "examples").symlink_to(CHECKOUT / "examples")
    return tmp_path


def test_the_python_runs_as_written(clone):
    assert len(PYTHON) == 3
    code = "\n".join(PYTHON) + "\nprint(x.shape[0], images[0])\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("10 examples/digits/0.png")


def test_the_table_is_what_the_command_prints(mrvae):
    assert mrvae("curve", DEFAULT_MODEL).stdout in README


def test_the_image_is_what_the_demo_draws(mrvae, digits, tmp_path):
    (line,) = re.findall(r"\$\(BIN\)/mrvae reconstruct (\S+) examples", (CHECKOUT / "Makefile").read_text("utf-8"))
    assert mrvae("reconstruct", line, *digits, "-o", "demo.png").returncode == 0
    with Image.open(tmp_path / "demo.png") as new, Image.open(CHECKOUT / "examples" / "demo.png") as shown:
        assert new.size == shown.size
        difference = np.abs(np.asarray(new, dtype=float) - np.asarray(shown, dtype=float))
    assert difference.mean() < 0.5  # letters may differ from one Pillow to the next, digits not


def test_the_figures_are_those_of_the_benchmarks():
    results = CHECKOUT / "benchmarks" / "results"
    linear = json.loads((results / "linear_optimum.json").read_text(encoding="utf-8"))["gatings"]["linear"]["worst"]
    assert linear <= 0.005
    assert f"comes within {linear:.2%} of it" in README
    tiling = json.loads((results / "tiling.json").read_text(encoding="utf-8"))
    for peaks in tiling["peak_MiB_beyond_idle"].values():
        assert f"{peaks['whole']:.0f} MiB" in README
        assert f"{peaks['tiled']:.0f} MiB" in README
    assert f"{tiling['seam_error_512x768']:.1e}" in README
    figures = json.loads((results / "gating_overhead.json").read_text(encoding="utf-8"))["figures"]
    for mode, case in itertools.product(("eager", "compiled"), ("mrvae_mlp", "mrvae_conv", "mrvae_resnet")):
        found = [f for f in figures if (f["case"], f.get("batch"), f["mode"]) == (case, 256, mode) and "goal" in f]
        ratios = {f["what"]: f"{f['ratio']:.2f}" for f in found}
        columns = ("forward, one β", "forward, folded", "forward, β an example", "training step, β an example")
        assert f"| `{case}` | {mode} | {' | '.join(ratios[one] for one in columns)} |" in README
    training = json.loads((results / "training_throughput_cpu.json").read_text(encoding="utf-8"))["results"]
    for (size, case), mode in itertools.product(zip(("28×28", "32×32"), training, strict=True), ("eager", "compiled")):
        found = {
            one["over"].split(",")[0]: one["ratio"]["median"] for one in case["ratios"] if one["of"] == f"gated, {mode}"
        }
        figures = " | ".join(f"{found[over]:.2f}" for over in ("plain gated", "plain", "ungated"))
        assert f"| {size} | {mode} | {figures} |" in README
        assert case["speeds"][f"gated, {mode}"]["waits"]["median"] < 0.01
    passes = json.loads((results / "evaluation_passes.json").read_text(encoding="utf-8"))["figures"]
    one_pass = [p["ratio"] for p in passes if (p["case"], p["what"]) == ("mrvae_mlp", "one pass over one pass a β")]
    assert (
        "take {:.2f} of the time of a pass a β where the images are in memory, and {:.2f}".format(*one_pass) in README
    )
    startup = json.loads((results / "startup.json").read_text(encoding="utf-8"))["median_seconds_beyond_empty"]
    assert max(startup.values()) <= 0.6
    assert f"{startup['mrvae --help']:.2f} s and {startup['mrvae list']:.2f} s more" in README
    curve = json.loads((results / "mlp_binarized_mnist.json").read_text(encoding="utf-8"))
    for point in curve["points"]:
        if point["beta"] in (0.01, 0.1, 1.0, 10.0):
            loss = point["distortion"] + point["beta"] * point["rate"]
            row = f"| {point['beta']:g} | {point['rate']:.2f} | {point['distortion']:.2f} | {loss:.2f} |"
            assert row in README


@pytest.mark.long
def test_the_commands_run_as_written(clone, data_root, hub_client):
    """But for the name of the organization, of which the Hub of the tests has one."""
    (clone / "data").symlink_to(data_root)
    home = hub_client.new_home()
    for command in COMMANDS:
        program, _, arguments = command.replace("org/", "zoo/").replace("--author org", "--author zoo").partition(" ")
        line = f"{shlex.quote(sys.executable)} -m {MODULES[program]} {arguments}"
        code = f"import subprocess, sys; sys.exit(subprocess.run(['bash', '-c', {line!r}]).returncode)"
        done = hub_client(code, cwd=clone, home=home)
        assert done.returncode == 0, (command, done.stderr)
    assert len(list((clone / "decoded").iterdir())) == 10
