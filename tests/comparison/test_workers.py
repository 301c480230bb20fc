"""Several processes that train at once: the same results, and what happens when they are stopped or die."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch
from helpers import RECIPE, make_plan, make_runs

from mrvae_zoo.common.layout import LOCK
from mrvae_zoo.comparison.record import read_record
from mrvae_zoo.comparison.runs import Run
from mrvae_zoo.comparison.workers import Workers
from mrvae_zoo.training.recipe import recipe_from_table, to_toml
from mrvae_zoo.training.run_folder import locked
from mrvae_zoo.training.state import load_state

pytestmark = pytest.mark.slow


@pytest.fixture
def one_thread():
    """As the processes have."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def two_processes(own_root, tmp_path):
    """Runs that two processes train."""
    runs = replace(make_runs(make_plan(), own_root, tmp_path / "two"), processes=2)
    yield runs
    runs.close()


def steps_of(folder):
    """The steps that each training has logged."""
    return {path.parent.name: len(path.read_bytes().splitlines()) for path in folder.glob("*/metrics.jsonl")}


def wait_for(condition):
    end = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_processes_train_what_one_does(one_thread, two_processes, own_root, tmp_path):
    """Side by side as well; one that diverges stops no other, and a process that is free begins what comes later."""
    plan = make_plan(beta_count=2, seed_count=2, arms=("paper",))
    first = [plan.dedicated(beta, 0.01, seed) for beta in plan.betas for seed in plan.seeds]
    wild = replace(plan.recipe.model, likelihood="gaussian", sigma=1e-20)
    first.append(Run(name="wild", recipe=replace(first[0].recipe, model=wild), betas=(1.0,)))
    later = [plan.arm("mrvae", 0.01, 0), plan.arm("paper", 0.01, 0)]
    one, two = make_runs(plan, own_root, tmp_path / "one"), two_processes
    for runs in (one, two):
        runs.train(first, meanwhile=later)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {run.name for run in first}
    assert {path.name for path in (tmp_path / "two").iterdir()} > {run.name for run in first}
    for runs in (one, two):
        runs.train(later)
    assert two.validated == one.validated
    assert [name for name, losses in one.validated.items() if losses is None] == ["wild"]
    for run in (*first[:-1], *later):
        weights = [(tmp_path / name / run.name / "model.safetensors").read_bytes() for name in ("one", "two")]
        assert weights[0] == weights[1]


def test_an_error_in_a_process_is_raised_here(two_processes):
    run = make_plan().dedicated(1.0, 0.01, 0)
    (two_processes.folder / run.name).mkdir()
    with locked(two_processes.folder / run.name), pytest.raises(BlockingIOError, match="another process trains there"):
        two_processes.train([run])


def test_a_process_that_dies_is_an_error_and_the_others_save_their_states(two_processes):
    training = {**RECIPE["training"], "epochs": 10_000, "compile": "none"}
    plan = make_plan(recipe=recipe_from_table(RECIPE | {"training": training}, where="test"), regime="long")
    runs = [plan.dedicated(beta, 0.01, 0) for beta in plan.betas[:2]]

    def kill():
        wait_for(lambda: len(steps_of(two_processes.folder)) == 2)
        os.kill(two_processes._workers._workers[0].process.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(
        RuntimeError, match=rf"that trained {runs[0].name} ended by SIGKILL, perhaps for lack of memory; "
    ):
        two_processes.train(runs)
    thread.join()
    two_processes.close()
    folder = two_processes.folder / runs[1].name
    assert load_state(folder / "states").step == steps_of(two_processes.folder)[runs[1].name] > 0
    assert two_processes.validated == {}


def test_a_system_without_signals_is_refused(monkeypatch):
    monkeypatch.delattr(signal, "pthread_sigmask")
    with pytest.raises(ValueError, match="several processes need Linux or macOS"):
        Workers(2, None, {})


@pytest.mark.long
def test_interrupted_twice_the_same_command_ends_with_the_same_bits(one_thread, own_root, tmp_path):
    """By Ctrl-C in a terminal, which all processes belong to; and by the death of the first process."""
    training = {**RECIPE["training"], "epochs": 300}
    (tmp_path / "tiny.toml").write_text(
        to_toml(recipe_from_table(RECIPE | {"training": training}, where="test")), encoding="utf-8"
    )
    options = ("--betas", "2", "--learning-rate", "0.01", "--draws", "1", "--regime", "long", "--data-root", own_root)
    command = [sys.executable, "-m", "mrvae_zoo", "compare", "tiny.toml", *map(str, options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(*more):
        with (tmp_path / "errors.txt").open("w", encoding="utf-8") as errors:
            return subprocess.Popen(
                [*command, *more], cwd=tmp_path, env=environment, stderr=errors, start_new_session=True
            )

    def errors_of(process, status):
        assert process.wait() == status, (tmp_path / "errors.txt").read_text(encoding="utf-8")
        return (tmp_path / "errors.txt").read_text(encoding="utf-8")

    errors_of(start("--runs", "whole"), 0)
    (tmp_path / "compare_tiny_short.json").rename(tmp_path / "whole.json")
    (tmp_path / "compare_tiny_short.png").unlink()
    folder, two = tmp_path / "runs" / "tiny", ("--processes", "2")
    begun = start(*two)
    wait_for(lambda: begun.poll() is not None or (len(steps_of(folder)) == 2 and min(steps_of(folder).values()) > 20))
    os.killpg(begun.pid, signal.SIGINT)
    errors = errors_of(begun, 130)
    assert errors.splitlines()[-2:] == [
        "stopping; 2 trainings save their states",
        "the same command continues from here",
    ]
    assert "Traceback" not in errors
    saved = steps_of(folder)
    assert {name: load_state(folder / name / "states").step for name in saved} == saved
    again = start(*two)
    wait_for(lambda: again.poll() is not None or all(n > saved[name] + 20 for name, n in steps_of(folder).items()))
    again.kill()
    errors_of(again, -signal.SIGKILL)
    wait_for(lambda: not [*folder.glob(f"*/{LOCK}")])
    assert {name: load_state(folder / name / "states").step for name in saved} == steps_of(folder)
    errors_of(start(*two), 0)
    found, expected = read_record(tmp_path / "compare_tiny_short.json"), read_record(tmp_path / "whole.json")
    assert (found.mrvae, found.dedicated) == (expected.mrvae, expected.dedicated)
    for path in (tmp_path / "whole").glob("*/model.safetensors"):
        assert (folder / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()
