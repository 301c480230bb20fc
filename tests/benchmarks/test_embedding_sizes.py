"""`benchmarks/embedding_sizes.py`: the page shows what its file holds, and the figures are what they are called."""

import importlib
import json

import numpy as np
import pytest
import torch
from helpers import CHECKOUT

import mrvae_zoo

pytest.importorskip("sklearn")
pytestmark = pytest.mark.slow


@pytest.fixture
def sizes(monkeypatch):
    """The script, as a module."""
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    return importlib.import_module("embedding_sizes")


def test_the_page_shows_what_the_file_holds(sizes):
    result = json.loads((CHECKOUT / sizes.RESULTS).read_text(encoding="utf-8"))
    page = (CHECKOUT / sizes.PAGE).read_text(encoding="utf-8")
    assert sizes.insert(page, "embedding-sizes", sizes.tables(result)) == page, "run it with --draw"
    assert [*result["models"]] == [*sizes.MODELS]
    assert result["images"] == sizes.IMAGES == 10_000
    for name, found in result["models"].items():
        assert len(found["points"]) == len(sizes.BETAS) * len(sizes.DIMS)
        model = mrvae_zoo.load_pretrained(name)
        for point in found["points"]:
            statistics = model.latent_statistics(point["beta"])
            kept = statistics.order[: point["dims"]]
            assert point["rate"] == pytest.approx(sum(statistics.kl[i] for i in kept), abs=1e-3)


def test_the_probe_measures_on_the_other_part_and_ignores_the_scale_of_a_column(sizes):
    """Two classes whose means are four standard deviations apart: 97.7% can be told."""
    rng = np.random.default_rng(0)
    labels = np.arange(4000) % 2
    columns = np.stack([4 * labels + rng.normal(size=4000), rng.normal(size=4000)], axis=1)
    train, test = columns[:2000], columns[2000:]
    accuracy, strength = sizes.probe(train, test, labels[:2000], labels[2000:])
    assert accuracy == pytest.approx(0.977, abs=0.01)
    assert strength in sizes.STRENGTHS
    assert sizes.probe(train * [1e-4, 1e4], test * [1e-4, 1e4], labels[:2000], labels[2000:])[0] == accuracy
    assert sizes.probe(train, test, labels[:2000], 1 - labels[2000:])[0] == pytest.approx(1 - accuracy, abs=1e-4)


def test_an_embedding_is_what_encode_keeps(sizes, data_root, default_model):
    part = sizes.load("mnist", "test", data_root, default_model, 30)
    embedding = sizes.encode(default_model, part.x, 0.5)
    with torch.no_grad():
        assert np.abs(embedding - default_model.encode(part.x, 0.5).mean.numpy()).max() < 1e-4
    again = sizes.load("mnist", "test", data_root, default_model, 60)
    assert torch.equal(again.x[:30], part.x)
    assert (again.labels[:30] == part.labels).all()
    assert len(set(part.labels.tolist())) > 5


@pytest.mark.long
def test_it_measures_every_size_at_every_beta(sizes, data_root):
    found = sizes.measure_model("mrvae_mlp.mnist", data_root, lambda _: None, count=600)
    accuracies = {(one["beta"], one["dims"]): one["accuracy"] for one in found["points"]}
    assert len(accuracies) == len(sizes.BETAS) * len(sizes.DIMS)
    assert accuracies[1.0, 32] > accuracies[1.0, 2] + 0.2
    assert found["pca"][-1]["accuracy"] > 0.7
