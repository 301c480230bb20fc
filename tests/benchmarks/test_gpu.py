"""The script for a machine with a GPU, tried on a CPU with tiny sizes."""

import json
import os
import subprocess
import sys
import tarfile

import pytest
from helpers import CHECKOUT

SCRIPT = CHECKOUT / "benchmarks" / "gpu.py"


def run(*arguments, check=True):
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(
        list(map(str, command)), env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=check
    )


@pytest.fixture(scope="module")
def luggage(data_root, tmp_path_factory):
    file = tmp_path_factory.mktemp("luggage") / "luggage.tgz"
    run("--data-root", data_root, "--pack", file)
    return file


@pytest.mark.slow
def test_what_travels_is_small_and_whole(luggage):
    assert luggage.stat().st_size < 32e6
    with tarfile.open(luggage) as tar:
        names = set(tar.getnames())
    assert {"MNIST/raw/train-images-idx3-ubyte", "BinarizedMNIST/train.npz", "packages/tomli_w/__init__.py"} <= names


@pytest.mark.slow
def test_its_checks_are_the_tests_of_the_gpu(luggage, tmp_path):
    done = run("--data-root", luggage, "-o", tmp_path / "out", "--tiny", "--only", "checks")
    (result,) = json.loads((tmp_path / "out" / "gpu.json").read_text(encoding="utf-8"))
    assert (result["task"], result["status"]) == ("correct on this device", "done"), done.stdout
    assert " passed" in (tmp_path / "out" / "log.txt").read_text(encoding="utf-8")
    assert done.stdout.splitlines()[-1].startswith("correct on this device")


@pytest.mark.slow
def test_without_time_nothing_begins(luggage, tmp_path):
    done = run("--data-root", luggage, "-o", tmp_path / "out", "--tiny", "--minutes", "0.1")
    assert done.stdout.count("no time left") == len(done.stdout.split("\n\n")[-1].strip().splitlines()) > 6
    assert not (tmp_path / "out" / "log.txt").exists()


@pytest.mark.long
def test_the_whole_of_it(luggage, tmp_path):
    done = run("--data-root", luggage, "-o", tmp_path / "out", "--tiny", "--minutes", "30", check=False)
    assert done.returncode == 0, done.stdout + (tmp_path / "out" / "log.txt").read_text(encoding="utf-8")[-3000:]
    results = json.loads((tmp_path / "out" / "gpu.json").read_text(encoding="utf-8"))
    assert {result["status"] for result in results} == {"done"}
    figures = {name: figure for result in results for name, figure, _ in result["figures"]}
    assert float(figures["gated over plain, speed"]) > 0
    assert "seconds of 9 trainings" in figures
    with tarfile.open(tmp_path / "out" / "trainings.tar") as tar:
        assert "trained-mrvae_mlp.mnist/model.safetensors" in tar.getnames()
    with tarfile.open(tmp_path / "out" / "results.tar") as tar:
        assert {"compare_mrvae_resnet.paper_omniglot_long.json", "precision.json"} <= set(tar.getnames())
    files = [*(tmp_path / "out").iterdir()]
    packed = {"results.tar", "trainings.tar", "comparisons.tar.gz"}
    assert {path.name for path in files} == {"gpu.json", "log.txt", *packed}
    assert max(path.stat().st_size for path in files) < 16e6


def test_runs_of_comparisons_travel_without_their_weights(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    import gpu

    here, there = tmp_path / "here", tmp_path / "there"
    finished = ("config.json", "recipe.toml", "rd_curve.json", "metrics.jsonl", "test-b1-draws32.safetensors")
    for name in (*finished, "model.safetensors", "curve.png"):
        (here / "one" / "run").mkdir(parents=True, exist_ok=True)
        (here / "one" / "run" / name).write_text("here")
    (here / "one" / "begun").mkdir()
    (here / "one" / "begun" / "recipe.toml").write_text("here")
    gpu.pack_runs(here, tmp_path / "runs.tar.gz")
    (there / "one" / "run").mkdir(parents=True)
    (there / "one" / "run" / "config.json").write_text("there")
    gpu.unpack_runs(tmp_path / "runs.tar.gz", there)
    found = {str(path.relative_to(there)): path.read_text() for path in there.rglob("*") if path.is_file()}
    assert found == {f"one/run/{name}": "there" if name == "config.json" else "here" for name in finished}


@pytest.mark.slow
def test_one_that_fails_costs_no_other_its_result(luggage, tmp_path, monkeypatch):
    """And one that takes too long is stopped."""
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    import gpu

    def tasks(given):
        yield gpu.Task(name="fails", part="checks", command=["-c", "raise SystemExit('no such thing')"], limit=60)
        yield gpu.Task(name="hangs", part="checks", command=["-c", "import time; time.sleep(60)"], limit=1)
        yield gpu.Task(name="works", part="checks", command=["-c", ""], limit=60)

    monkeypatch.setattr(gpu, "tasks", tasks)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--data-root", str(luggage), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 1
    results = json.loads((tmp_path / "out" / "gpu.json").read_text(encoding="utf-8"))
    assert [result["status"] for result in results] == ["failed", "out of time", "done"]
    assert "no such thing" in results[0]["last"]
