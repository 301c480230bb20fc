"""registry/index.json says what the files of the models say."""

import importlib
import json
import math
import struct

import pytest
from helpers import CHECKOUT, DEFAULT_MODEL

import mrvae_zoo
from mrvae_zoo.cards.subject import Comparison
from mrvae_zoo.checkpoints.index import Gap, Speed, index_path, read_index
from mrvae_zoo.models.curve import RDCurve, RDPoint

pytestmark = pytest.mark.slow

TRAINED = mrvae_zoo.list_models(pretrained=True)


@pytest.fixture
def script(monkeypatch):
    """The script, as a module."""
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    return importlib.import_module("registry_index")


def test_the_file_is_what_the_script_makes(script):
    made = script.text_of(script.make_index(CHECKOUT))
    assert made == index_path().read_text(encoding="utf-8"), "run `make figures`"


def test_it_has_every_trained_model():
    assert [*read_index()] == TRAINED


@pytest.mark.parametrize("name", TRAINED)
def test_an_entry_agrees_with_the_files(name):
    entry, folder = read_index()[name], CHECKOUT / "registry" / name
    weights = (folder / "model.safetensors").read_bytes()
    header = json.loads(weights[8 : 8 + struct.unpack("<Q", weights[:8])[0]])
    sizes = [math.prod(tensor["shape"]) for key, tensor in header.items() if key != "__metadata__"]
    assert entry.bytes == len(weights)
    assert entry.parameters <= sum(sizes)  # buffers are in the file, and are no parameters
    assert entry.parameters >= 0.95 * sum(sizes)
    curve = RDCurve.read(folder / "rd_curve.json")
    assert len(entry.points) == 4
    assert (entry.points[0].beta, entry.points[-1].beta) == (curve.betas[0], curve.betas[-1])
    ratios = [high.beta / low.beta for low, high in zip(entry.points, entry.points[1:], strict=False)]
    assert max(ratios) < 1.2 * min(ratios)
    for point in entry.points:
        measured = curve.at(point.beta)
        assert point.loss == pytest.approx(point.distortion + point.beta * point.rate, rel=1e-4)
        assert (point.rate, point.distortion) == pytest.approx((measured.rate, measured.distortion), rel=1e-4)
        assert (point.psnr is None) == (measured.psnr is None)
    assert entry.training.seconds > 0
    assert entry.training.commit


def test_flops_are_those_of_the_matrices(script):
    """Two per weight of the folded MLP: 784-512-512-64 and back, 32-512-512-784."""
    macs = 784 * 512 + 512 * 512 + 512 * 64 + 32 * 512 + 512 * 512 + 512 * 784
    assert read_index()[DEFAULT_MODEL].flops == 2 * macs
    small = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 3, 3), latent_dim=2, widths=(5,)).eval()
    assert script.forward_flops(small, (1, 3, 3)) == 2 * (9 * 5 + 5 * 4 + 2 * 5 + 5 * 9)


def test_points_are_the_nearest_measured_ones(script):
    betas = (0.01, 0.012, 0.09, 0.5, 1.1, 3.0, 10.0)
    points = tuple(RDPoint(beta=beta, rate=10 / beta, distortion=beta, psnr=beta) for beta in betas)
    chosen = script.points_of(RDCurve(points=points))
    assert [point.beta for point in chosen] == [0.01, 0.09, 1.1, 10.0]
    assert chosen[1].psnr == 0.09
    assert chosen[1].loss == pytest.approx(0.09 + 10)
    assert [point.beta for point in script.points_of(RDCurve(points=points[:2]))] == [0.01, 0.012]


def test_a_gap_is_that_of_the_comparison_of_the_recipe(script, monkeypatch):
    dedicated = tuple(RDPoint(beta=beta, rate=0.0, distortion=100.0) for beta in (0.1, 1.0))
    found = Comparison(dedicated=dedicated, losses=(99.0, 103.0), seeds=3, budget=2.0, regime="short")
    monkeypatch.setattr(script, "comparison_of", lambda _: found)
    assert script.gap_of(CHECKOUT) == Gap(mean=0.01, worst=0.03, budget=2.0, regime="short", seeds=3)
    monkeypatch.setattr(script, "comparison_of", lambda _: None)
    assert script.gap_of(CHECKOUT) is None


def test_speeds_are_those_of_the_file_by_device_and_batch(script, monkeypatch, tmp_path):
    throughput = importlib.import_module("throughput")
    rates = {"encode": 1.0, "decode": 2.0, "whole": 3.0}
    path = tmp_path / "throughput.json"
    assert script.read_speeds(path) == {}
    for device, gated in (("A", rates | {"whole": 2.5}), ("B", None)):
        results = [{"batch_size": 256, "folded": rates, "gated": gated, "peak_bytes": None}]
        throughput.write(path, device, "m", {"beta": 1.0, "results": results})
    throughput.write(path, "A", "n", {"beta": 1.0, "results": []})
    assert script.read_speeds(path) == {
        "m": (
            Speed(device="A", batch_size=256, folded=3.0, gated=2.5),
            Speed(device="B", batch_size=256, folded=3.0, gated=None),
        ),
        "n": (),
    }
