"""`benchmarks/samplers.py`: what the page shows is what its file holds, and the figures are what they are called."""

import importlib
import json

import numpy as np
import pytest
import torch
from helpers import CHECKOUT

import mrvae_zoo
from mrvae_zoo.checkpoints.registry import model_folder
from mrvae_zoo.common.layout import SAMPLER

pytestmark = pytest.mark.slow


@pytest.fixture
def samplers(monkeypatch):
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    return importlib.import_module("samplers")


def test_the_page_shows_what_the_file_holds(samplers):
    result = json.loads((CHECKOUT / samplers.RESULTS).read_text(encoding="utf-8"))
    page = (CHECKOUT / samplers.PAGE).read_text(encoding="utf-8")
    assert samplers.insert(page, "samplers", samplers.table_part(result)) == page
    for name, found in result["models"].items():
        assert [row["beta"] for row in found["points"]] == list(samplers.BETAS)
        assert (CHECKOUT / samplers.PICTURES.format(name=name)).is_file()


def test_a_model_of_the_registry_has_a_small_sampler_only_where_it_helps(samplers):
    """It helps if at β = 0.01 and 0.1 its samples are nearer to the test images, by three standard errors."""
    result = json.loads((CHECKOUT / samplers.RESULTS).read_text(encoding="utf-8"))
    paths = {name: model_folder(name) / SAMPLER for name in mrvae_zoo.list_models()}
    names = {name for name, path in paths.items() if path.is_file()}
    assert names == set(result["models"])
    for name in names:
        assert paths[name].stat().st_size < 1e6
        for row in result["models"][name]["points"]:
            if row["beta"] in (0.01, 0.1):
                prior, mixture = row["prior"], row["mixture"]
                assert prior["mmd"] - mixture["mmd"] > 3 * np.hypot(prior["mmd_error"], mixture["mmd_error"])
                assert mixture["precision"] > prior["precision"]


def test_mmd_is_that_of_two_gaussians_and_its_error_is_its_spread(samplers):
    """For N(0, I) and N(m, I) in d dimensions and the kernel exp(−|x − y|²/2): 2·3^(−d/2)·(1 − exp(−|m|²/6))."""
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(400, 2)), rng.normal((0.5, 0.0), size=(400, 2))) for _ in range(40)]
    found, errors = np.transpose([samplers.mmd(*pair, gamma=0.5) for pair in pairs])
    assert found.mean() == pytest.approx(2 / 3 * (1 - np.exp(-0.25 / 6)), abs=4 * found.std() / 40**0.5)
    assert errors.mean() == pytest.approx(found.std(), rel=0.35)
    same = [samplers.mmd(rng.normal(size=(400, 2)), rng.normal(size=(400, 2)), gamma=0.5)[0] for _ in range(40)]
    assert abs(np.mean(same)) < 4 * np.std(same) / 40**0.5


def test_precision_and_recall_are_those_of_a_loop(samplers):
    rng = np.random.default_rng(1)
    real, samples = rng.normal(size=(60, 3)), 0.7 * rng.normal(size=(50, 3)) + 0.5

    def by_hand(points, others):
        reach = [sorted(np.linalg.norm(one - others, axis=1))[samplers.NEIGHBOURS] for one in others]
        inside = [any(np.linalg.norm(p - o) <= r for o, r in zip(others, reach, strict=True)) for p in points]
        return np.mean(inside)

    found = (
        samplers.covered(samples, real, samplers.radii(real)),
        samplers.covered(real, samples, samplers.radii(samples)),
    )
    assert found == pytest.approx((by_hand(samples, real), by_hand(real, samples)))
    assert 0.1 < found[1] < found[0] < 1  # the samples are the narrower ones


def test_samples_are_seeded_and_of_the_source(samplers, default_model):
    with torch.inference_mode():
        plain = default_model.at(0.1)
        prior, again, mixture = (samplers.sampled(plain, source, 30) for source in ("prior", "prior", "mixture"))
    assert prior.shape == (30, 784)
    assert (prior == again).all()
    assert np.abs(prior - mixture).mean() > 0.01
