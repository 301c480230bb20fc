"""`benchmarks/training_order.py`: it trains, continues where it stopped, and the page shows what it measured."""

import hashlib
import importlib
import json
import subprocess
import sys

import pytest
from helpers import CHECKOUT, ok
from PIL import Image

pytestmark = pytest.mark.slow

SCRIPT = CHECKOUT / "benchmarks" / "training_order.py"


@pytest.fixture
def order(monkeypatch):
    """The script, as a module."""
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    return importlib.import_module("training_order")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with the results of --tiny."""
    folder = tmp_path_factory.mktemp("tiny")
    command = [sys.executable, SCRIPT, "--tiny", "-o", folder]
    ok(subprocess.run(command, capture_output=True, text=True, check=False))
    return folder


@pytest.fixture
def run(order, monkeypatch):
    """Runs the script in this process."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        order.main()

    return call


def without_seconds(result):
    return result | {"runs": [{key: run[key] for key in run if key != "cpu_seconds"} for run in result["runs"]]}


def test_the_page_and_the_plot_show_the_results(order):
    text = (CHECKOUT / order.RESULT).read_bytes()
    page = (CHECKOUT / order.PAGE).read_text(encoding="utf-8")
    again = f"run: python {SCRIPT.relative_to(CHECKOUT)} --draw"
    assert page == order.with_tables(page, json.loads(text)), again
    with Image.open(CHECKOUT / order.PLOT) as image:
        assert image.text["Results"] == hashlib.sha256(text).hexdigest(), again


def test_every_training_has_as_many_steps_and_is_measured_at_its_own_beta(order, tiny):
    result = json.loads((tiny / order.RESULT).read_text(encoding="utf-8"))
    assert len(result["runs"]) == len(order.trainings(order.TINY)) == 2 * (3 + 4 * len(order.DEDICATED_RATES))
    for one in result["runs"]:
        assert one["steps"][-1] == result["settings"]["steps"] == 4
        betas = 4 if one["beta"] is None else 1
        assert [len(losses) for losses in one["loss"]] == [betas] * len(one["steps"]) == [betas] * 3
        assert len(one["test"]) == len(one["test_latents"]) == betas
        assert one["loss"][-1][0] < one["loss"][0][0]


def test_an_interrupted_run_is_continued_and_ends_with_the_same_results(order, run, tiny, tmp_path, capsys):
    whole = json.loads((tiny / order.RESULT).read_text(encoding="utf-8"))
    path = tmp_path / order.RESULT
    path.parent.mkdir(parents=True)
    path.write_text(order.to_json(whole | {"runs": whole["runs"][:-3]}), encoding="utf-8")
    run("--tiny", "-o", tmp_path)
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert without_seconds(json.loads(path.read_text(encoding="utf-8"))) == without_seconds(whole)
    changed = whole | {"settings": whole["settings"] | {"rate": 1.0}}
    path.write_text(order.to_json(changed), encoding="utf-8")
    with pytest.raises(ValueError, match="holds results of other settings; delete it to measure again"):
        run("--tiny", "-o", tmp_path)
    assert json.loads(path.read_text(encoding="utf-8")) == changed


def test_the_tables_are_of_the_better_rate(order):
    def of(beta, rate, loss, latents, seed, arm="dedicated"):
        one = {"arm": arm, "beta": beta, "rate": rate, "seed": seed, "steps": [1], "loss": [[loss]], "latents": [[2]]}
        return one | {"valid": [loss], "test": [loss + 10], "test_latents": [latents], "cpu_seconds": 1.0}

    settings = order.plain(order.TINY, 32) | {"betas": [0.5], "shares": {**order.SHARES}}
    runs = [of(0.5, 0.1, 90, 3, 0), of(0.5, 0.1, 90, 4, 1), of(0.5, 0.2, 80, 1, 0), of(0.5, 0.2, 110, 1, 1)]
    runs += [of(None, 0.3, loss, 4, 0, arm) for arm, loss in zip(order.SHARES, (89, 91, 100), strict=True)]
    tables = order.tables({"settings": settings, "threads": 1, "runs": runs})
    assert "| dedicated β-VAEs | 100.00 |" in tables
    assert "| share at β_min falls from 95% to 10% | 99.00 (−1.0%) |" in tables
    assert "| no share, log-uniform | 110.00 (+10.0%) |" in tables
    assert "| dedicated β-VAEs | 3.5 |" in tables


def test_it_says_what_it_lacks(run, capsys):
    for arguments, message in (
        ([], "--data-root is missing: the folder that holds the data sets"),
        (["--tiny"], "--tiny would overwrite the results; name another folder with -o"),
    ):
        with pytest.raises(SystemExit):
            run(*arguments)
        assert message in capsys.readouterr().err
