"""What the README shows is what a reader gets."""

import itertools
import json
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import CHECKOUT, DEFAULT_MODEL
from PIL import Image

pytestmark = pytest.mark.slow

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^(?:mrvae|torchrun) .*$", README, re.MULTILINE)
PAGES = ("results/linear-optimum", "results/speed", "guides/reproducibility")  # figures of benchmarks/results
OPERATIONS = {  # of a profile, by the names of its rows on the page
    "matrix products": ("aten::mm", "aten::addmm"),
    "generated kernels: noise, gates, activations, losses": ("## Call",),
    "Adam": ("aten::_fused_adam_", "Optimizer.step"),
}
FLAT = {"gradients into one tensor": ("aten::cat",), "moving average of the weights": ("aten::lerp_",)}
CONVOLUTIONS = {
    "convolutions, backward": ("aten::convolution_backward",),
    "convolutions, forward": ("aten::_convolution", "aten::mkldnn_convolution"),
}
MODULES = {"mrvae": "mrvae_zoo", "torchrun": "torch.distributed.run"}


@pytest.fixture
def clone(tmp_path):
    """A folder in which the README's relative paths lead somewhere."""
    (tmp_path / "examples").symlink_to(CHECKOUT / "examples")
    return tmp_path


def test_the_python_runs_as_written(clone):
    assert len(PYTHON) == 2
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(PYTHON)], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert len(printed) == 3
    assert printed == [line.strip(" #") for line in README.splitlines() if line.startswith("    # β = ")]
    with Image.open(clone / "new_digits.png") as image:
        assert image.width > image.height > 100


def test_the_table_is_what_the_command_prints(mrvae):
    rows = [line.split()[:4] for line in mrvae("curve", DEFAULT_MODEL).stdout.splitlines()[1:]]
    shown = [row for row in rows if f"| {' | '.join(row)} |" in README]
    assert [row[0] for row in shown] == ["0.01", "0.1", "1", "3.162", "10"]


def test_it_takes_a_minute_to_read():
    assert len(README.splitlines()) <= 150


def test_the_image_is_what_the_demo_draws(mrvae, digits, tmp_path):
    (line,) = re.findall(r"\$\(BIN\)/mrvae reconstruct (\S+) examples", (CHECKOUT / "Makefile").read_text("utf-8"))
    assert mrvae("reconstruct", line, *digits, "-o", "demo.png").returncode == 0
    with Image.open(tmp_path / "demo.png") as new, Image.open(CHECKOUT / "examples" / "demo.png") as shown:
        assert new.size == shown.size
        difference = np.abs(np.asarray(new, dtype=float) - np.asarray(shown, dtype=float))
    assert difference.mean() < 0.5  # letters may differ from one Pillow to the next, digits not


def test_the_figures_are_those_of_the_benchmarks():
    results = CHECKOUT / "benchmarks" / "results"
    pages = "\n".join((CHECKOUT / "docs" / f"{page}.md").read_text("utf-8") for page in PAGES)
    linear = json.loads((results / "linear_optimum.json").read_text(encoding="utf-8"))["gatings"]["linear"]["worst"]
    assert linear <= 0.005
    assert f"comes within {linear:.2%} of it" in pages
    tiling = json.loads((results / "tiling.json").read_text(encoding="utf-8"))
    for peaks in tiling["peak_MiB_beyond_idle"].values():
        assert f"{peaks['whole']:.0f} MiB" in pages
        assert f"{peaks['tiled']:.0f} MiB" in pages
    assert f"{tiling['seam_error_512x768']:.1e}" in pages
    figures = json.loads((results / "gating_overhead.json").read_text(encoding="utf-8"))["figures"]
    cases = ("mrvae_mlp", "mrvae_conv", "mrvae_resnet")
    for gating, mode, case in itertools.product(("affine", "shrinkage"), ("eager", "compiled"), cases):
        of_row = (case, gating, 256, mode)
        found = [f for f in figures if (f["case"], f["gating"], f["batch"], f["mode"]) == of_row]
        ratios = {f["what"]: f"{f['ratio']:.2f}" for f in found}
        columns = ("forward, one β", "forward, folded", "forward, β an example", "training step, β an example")
        assert f"| `{case}` | {gating} | {mode} | {' | '.join(ratios[one] for one in columns)} |" in pages
    passes = json.loads((results / "evaluation_passes.json").read_text(encoding="utf-8"))["figures"]
    one_pass = [p["ratio"] for p in passes if (p["case"], p["what"]) == ("mrvae_mlp", "one pass over one pass a β")]
    assert "take {:.2f} of the time of a pass a β where the images are in memory, and {:.2f}".format(*one_pass) in pages
    startup = json.loads((results / "startup.json").read_text(encoding="utf-8"))["median_seconds_beyond_empty"]
    assert max(startup.values()) <= 0.6
    assert f"{startup['mrvae --help']:.2f} s and {startup['mrvae list']:.2f} s more" in pages
    curve = json.loads((results / "mlp_binarized_mnist.json").read_text(encoding="utf-8"))
    for point in curve["points"]:
        if point["beta"] in (0.01, 0.1, 1.0, 10.0):
            loss = point["distortion"] + point["beta"] * point["rate"]
            row = f"| {point['beta']:g} | {point['rate']:.2f} | {point['distortion']:.2f} | {loss:.2f} |"
            assert row in pages


def test_the_tables_of_the_training_step_are_those_of_the_benchmark():
    page = (CHECKOUT / "docs" / "results" / "speed.md").read_text("utf-8")
    found = json.loads((CHECKOUT / "benchmarks" / "results" / "training_step_cpu.json").read_text("utf-8"))
    assert found["threads"] == 1
    assert "AMD EPYC (avx512_bf16)" in found["processor"]
    assert f"batches of {found['batch_size']} " in page
    assert f"the median of {found['turns']} turns" in page
    for result, architecture in zip(found["results"], ("mrvae_mlp", "mrvae_resnet"), strict=True):
        best, over = result["best"], result["images_per_second_of_the_best_over"]
        speeds = {label: row["images_per_second"]["median"] for label, row in result["rows"].items()}
        for label, speed in speeds.items():
            assert f"| {label} | {speed:,.0f} | {over[f'gated, {best} / {label}']['median']:.2f} |" in page
        (plain,), (stack,) = ([speeds[one] for one in speeds if one.startswith(kind)] for kind in ("plain", "stack"))
        assert f"{plain / stack:.2f} times" in page
        operations = result["profile"][f"gated, {best}"]
        groups = OPERATIONS | (FLAT if architecture == "mrvae_mlp" else CONVOLUTIONS)
        for name, starts in groups.items():
            spent = sum(one["microseconds"] for one in operations if one["operation"].startswith(starts)) / 1000
            assert f"| `{architecture}` | {name} | {spent:.2f} |" in page


def test_what_bf16_costs_is_what_was_measured():
    page = (CHECKOUT / "docs" / "results" / "speed.md").read_text("utf-8")
    found = json.loads((CHECKOUT / "benchmarks" / "results" / "precision_cpu.json").read_text("utf-8"))
    assert f"each trained with both precisions for {found['epochs']} epochs" in page
    for result in found["results"]:
        seeds, spread = result["changes_percent"]["bf16"], result["spread_of_fp32_percent"]
        assert f"the mean over {len(seeds)} seeds" in page
        changes = [statistics.fmean(each) for each in zip(*seeds, strict=True)]
        assert all(abs(change) < most for change, most in zip(changes, spread, strict=True))
        name = "`" + result["network"].replace(" ", "` ")
        assert f"| {name} | bf16 over fp32 | {' | '.join(f'{each:+.2f}' for each in changes)} |" in page
        assert f"| {name} | spread over seeds | {' | '.join(f'{each:.2f}' for each in spread)} |" in page


@pytest.mark.long
def test_the_commands_run_as_written(clone, hub_client):
    """Only the name of the organization is another; the Hub of the tests has one."""
    home = hub_client.new_home()
    for command in COMMANDS:
        program, _, arguments = command.replace("YOUR_NAME/", "zoo/").partition(" ")
        line = f"{shlex.quote(sys.executable)} -m {MODULES[program]} {arguments}"
        code = f"import subprocess, sys; sys.exit(subprocess.run(['bash', '-c', {line!r}]).returncode)"
        if f"{command} --resume" in COMMANDS:  # is interrupted, as the text says
            interrupt(arguments.split(), clone)
            continue
        done = hub_client(code, cwd=clone, home=home)
        assert done.returncode == 0, (command, done.stderr)
    assert (clone / "grid.png").is_file()


def interrupt(arguments, cwd):
    """A training that gets Ctrl-C once it is on its way."""
    training = subprocess.Popen([sys.executable, "-m", "mrvae_zoo", *arguments], cwd=cwd, stderr=subprocess.PIPE)
    metrics = cwd / arguments[arguments.index("-o") + 1] / "metrics.jsonl"
    while not metrics.is_file():
        assert training.poll() is None
        time.sleep(0.05)
    training.send_signal(signal.SIGINT)
    _, errors = training.communicate()
    assert training.returncode == 130, errors
