"""A training that is killed, interrupted, or runs out of disk, and goes on."""

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers import BARS_RECIPE, FINISHED

import mrvae_zoo
from mrvae_zoo.training.recipe import TrainedRecord, read_recipe, recipe_from_table
from mrvae_zoo.training.run_folder import write_recipe
from mrvae_zoo.training.state import load_state, newest_first
from mrvae_zoo.training.train import train

pytestmark = pytest.mark.slow

STEPS = 240


@pytest.fixture(scope="module")
def recipe():
    """Everything that a state has to hold: an average, moments of the optimiser, a schedule, noise of every kind."""
    one = recipe_from_table(BARS_RECIPE, where="test")
    training = replace(one.training, clip_norm=20.0, warmup_steps=30, ema=0.99, checkpoint_every=7, log_every=1)
    return replace(one, training=training, data=replace(one.data, binarize="dynamic"))


@pytest.fixture(autouse=True)
def each_step_logged(monkeypatch):
    """The loop waits for every step, not a few times a second, so that a report can interrupt after a certain one."""
    monkeypatch.setattr("mrvae_zoo.training.loop.LOG_SECONDS", 0)


@pytest.fixture(scope="module")
def path(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    write_recipe(folder, recipe)
    return folder / "recipe.toml"


@pytest.fixture(scope="module")
def uninterrupted(recipe, bars, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(recipe, bars, run)
    torch.set_num_threads(threads)
    return run


def start(path, bars, run, *options, program=("-m", "mrvae_zoo")):
    command = [sys.executable, *program, "train", path, "--data-root", bars, "-o", run, *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        list(map(str, command)), env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def ended(process) -> tuple[int, str]:
    """The exit status, and what it said."""
    with process:
        _, errors = process.communicate()
    return process.returncode, errors


def steps_logged(run) -> int:
    log = run / "metrics.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def same_result(run, other) -> bool:
    """Weights, average and curve bit for bit, and the metrics but for the time."""
    lines = [
        [json.loads(line) for line in (one / "metrics.jsonl").read_text("utf-8").splitlines()] for one in (run, other)
    ]
    for line in (*lines[0], *lines[1]):
        del line["seconds"]
    files = ((one / name).read_bytes() for name in ("model.safetensors", "rd_curve.json") for one in (run, other))
    first, second, *curves = files
    return first == second and curves[0] == curves[1] and lines[0] == lines[1]


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.long)])
def test_killed_at_random_steps_and_resumed_it_ends_with_the_same_bits(path, bars, uninterrupted, tmp_path, kills):
    rng, run = np.random.default_rng(kills), tmp_path / "run"
    for target in sorted(rng.integers(1, STEPS, kills)):
        process = start(path, bars, run, *(["--resume"] if run.exists() else []))
        while steps_logged(run) < target and process.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.01))
        process.kill()
        assert ended(process)[0] == -signal.SIGKILL
        for state in newest_first(run / "states"):
            assert torch.isfinite(load_state(state.parent).tensors["model.encoder.layers.0.weight"]).all()
        assert not (run / "config.json").exists()
    process = start(path, bars, run, "--resume")
    status, errors = ended(process)
    assert status == 0, errors
    assert sorted(one.name for one in run.iterdir()) == FINISHED
    assert same_result(run, uninterrupted)


KILL_WHILE_WRITING = """
import os, signal, sys
import mrvae_zoo.common.files
calls, real = 0, os.fsync
def fsync(file):
    global calls
    calls += 1
    if calls == {at}:
        signal.raise_signal(signal.SIGKILL)
    real(file)
os.fsync = fsync
sys.argv[0] = "mrvae"
from mrvae_zoo.cli import main
main()
"""


@pytest.mark.parametrize("at", [5, pytest.param(36, marks=pytest.mark.long), pytest.param(40, marks=pytest.mark.long)])
def test_killed_while_it_writes(path, bars, uninterrupted, tmp_path, at):
    """The writes are: recipe, origin, 35 states, and the recipe and the files of the result."""
    run = tmp_path / "run"
    process = start(path, bars, run, program=("-c", KILL_WHILE_WRITING.format(at=at)))
    assert ended(process)[0] == -signal.SIGKILL
    assert list(run.rglob(".*.tmp"))  # what it was writing
    assert not (run / "config.json").exists()
    assert len(newest_first(run / "states")) == 2
    process = start(path, bars, run, "--resume")
    assert ended(process)[0] == 0
    assert sorted(one.name for one in run.iterdir()) == FINISHED
    assert same_result(run, uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_an_interrupted_run_saves_the_step_it_is_in(path, bars, uninterrupted, tmp_path, number):
    run = tmp_path / "run"
    process = start(path, bars, run, "--set", "training.checkpoint_every=1000")
    while steps_logged(run) < 50:
        time.sleep(0.001)
    process.send_signal(number)
    status, errors = ended(process)
    assert status == 130, errors
    step = load_state(run / "states").step
    assert f"stopped after step {step}, which is saved" in errors
    assert "Traceback" not in errors
    assert step == steps_logged(run) >= 50
    process = start(path, bars, run, "--resume", "--set", "training.checkpoint_every=1000")
    assert ended(process)[0] == 0
    assert (run / "model.safetensors").read_bytes() == (uninterrupted / "model.safetensors").read_bytes()


def interrupt_at(step):
    def report(progress):
        if progress.step == step:
            signal.raise_signal(signal.SIGINT)

    return report


def halfway(recipe, bars, run, step=20, **options):
    with pytest.raises(KeyboardInterrupt):
        train(recipe, bars, run, report=interrupt_at(step - 1), **options)
    return run


def test_a_damaged_state_is_said_and_the_one_before_it_taken(recipe, bars, uninterrupted, tmp_path, caplog):
    run = halfway(recipe, bars, tmp_path / "run")
    newest, before = newest_first(run / "states")
    assert (newest.name[:9], before.name[:9]) == ("000000020", "000000014")
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes(content)
    caplog.set_level(logging.INFO, logger="mrvae_zoo")
    train(recipe, bars, run, resume=True)
    assert f"{newest.name} is damaged" in caplog.text
    assert "continues after step 14" in caplog.text
    assert same_result(run, uninterrupted)


def test_with_every_state_damaged_it_starts_again(recipe, bars, uninterrupted, tmp_path, caplog):
    run = halfway(recipe, bars, tmp_path / "run")
    for state in newest_first(run / "states"):
        state.write_bytes(state.read_bytes()[:1000])
    train(recipe, bars, run, resume=True)
    assert caplog.text.count("is damaged") == 2
    assert same_result(run, uninterrupted)


def test_the_record_of_an_earlier_training_is_ignored(recipe, bars, uninterrupted, tmp_path):
    """A recipe that was trained is trained again, and resumed, as one that was not; the new run has its own record."""
    old = TrainedRecord(seconds=1e6, hardware="an abacus", version="0.0.1")
    trained = replace(recipe, trained=old)
    run = halfway(trained, bars, tmp_path / "run")
    assert "abacus" not in (run / "recipe.toml").read_text(encoding="utf-8")
    train(trained, bars, run, resume=True)
    record = read_recipe(run / "recipe.toml").trained
    assert record.seconds < 1e6
    assert "CPU thread" in record.hardware
    train(recipe, bars, run, resume=True)  # finished: nothing more to do, and the same recipe
    assert read_recipe(run / "recipe.toml").trained == record
    assert same_result(run, uninterrupted)


def test_resuming_without_a_state_starts(recipe, bars, uninterrupted, tmp_path):
    (tmp_path / "empty").mkdir()
    train(recipe, bars, tmp_path / "empty", resume=True)
    assert same_result(tmp_path / "empty", uninterrupted)


def test_resuming_a_finished_run_does_nothing(path, bars, uninterrupted, mrvae):
    before = {one.name: one.read_bytes() for one in uninterrupted.iterdir()}
    done = mrvae("train", path, "--data-root", bars, "-o", uninterrupted, "--resume")
    assert done.returncode == 0
    assert "is finished already" in done.stderr
    assert {one.name: one.read_bytes() for one in uninterrupted.iterdir()} == before


def test_another_recipe_is_not_resumed(recipe, path, bars, tmp_path, mrvae):
    run = halfway(recipe, bars, tmp_path / "run")
    done = mrvae("train", path, "--data-root", bars, "-o", run, "--resume", "--set", "training.learning_rate=1e-3")
    assert done.returncode == 1
    assert "cannot be resumed with another recipe: training.learning_rate = 0.005 there, 0.001 now" in done.stderr
    assert load_state(run / "states").step == 20


def test_an_existing_run_is_not_overwritten_unless_forced(recipe, path, bars, uninterrupted, tmp_path, mrvae):
    run = halfway(recipe, bars, tmp_path / "run")
    done = mrvae("train", path, "--data-root", bars, "-o", run)
    assert done.returncode == 1
    assert "holds a training that is not finished; continue it with --resume, or replace it with --force" in done.stderr
    assert mrvae("train", path, "--data-root", bars, "-o", run, "--force", "--resume").returncode == 2
    other = replace(recipe, training=replace(recipe.training, max_steps=3))
    train(other, bars, run, force=True, pictures=True)
    assert sorted(one.name for one in run.iterdir()) == FINISHED
    assert steps_logged(run) == 3


def test_weights_to_start_from_do_not_replace_those_of_a_state(recipe, bars, uninterrupted, tmp_path):
    short = replace(recipe, training=replace(recipe.training, max_steps=2))
    train(short, bars, tmp_path / "first", draws=1)
    train(recipe, bars, tmp_path / "whole", init=tmp_path / "first")
    run = halfway(recipe, bars, tmp_path / "run", init=tmp_path / "first")
    train(recipe, bars, run, resume=True, init=tmp_path / "first")
    assert same_result(run, tmp_path / "whole")


@pytest.mark.long
def test_a_full_disk_is_one_line_and_the_last_good_state_stays(path, bars, uninterrupted, tmp_path):
    """A limit on the size of files stands for the disk: the recipe and the metrics fit under it, a state does not."""
    run = tmp_path / "run"
    process = start(path, bars, run)
    while not newest_first(run / "states"):
        time.sleep(0.001)
    process.kill()
    ended(process)
    step = load_state(run / "states").step
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000));"
    limited += "from mrvae_zoo.cli import main; main()"
    process = start(path, bars, run, "--resume", program=("-c", limited))
    status, errors = ended(process)
    assert status == 1, errors
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith(f"mrvae: {run / 'states'}")
    assert errors.splitlines()[-1].endswith("File too large")
    assert load_state(run / "states").step == step
    assert not list((run / "states").glob(".*"))
    assert ended(start(path, bars, run, "--resume"))[0] == 0
    assert same_result(run, uninterrupted)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to a read-only folder")
def test_a_folder_that_cannot_be_written_is_one_line(recipe, path, bars, tmp_path, mrvae):
    run = halfway(recipe, bars, tmp_path / "run")
    run.chmod(0o500)
    done = mrvae("train", path, "--data-root", bars, "-o", run, "--resume")
    run.chmod(0o700)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"mrvae: {run} cannot be written: no permission"]


def test_a_state_is_read_without_pickle(recipe, bars, tmp_path):
    """safetensors, and JSON for what a training began with: nothing else is in the folder."""
    run = halfway(recipe, bars, tmp_path / "run")
    assert {one.suffix for one in (run / "states").iterdir()} == {".safetensors", ".json"}
    state = load_state(run / "states")
    parts = {name.partition(".")[0] for name in state.tensors}
    assert parts == {"model", "average", "optimizer", "log"}
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 8, 8), latent_dim=4, widths=(32,))
    weights = {n.removeprefix("average."): t for n, t in state.tensors.items() if n.startswith("average.")}
    model.load_state_dict(weights, strict=True)


def test_a_state_of_another_version_is_one_line(recipe, path, bars, tmp_path, mrvae):
    run = halfway(recipe, bars, tmp_path / "run")
    for old in newest_first(run / "states"):
        old.unlink()
    content = safetensors.torch.save({"model.x": torch.zeros(1)}, metadata={"step": "20", "seconds": "1.0"})
    (run / "states" / f"000000020-{hashlib.sha256(content).hexdigest()}.safetensors").write_bytes(content)
    done = mrvae("train", path, "--data-root", bars, "-o", run, "--resume")
    assert done.returncode == 1
    assert "was written by another version of mrvae_zoo" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
