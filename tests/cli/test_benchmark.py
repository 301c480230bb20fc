"""`mrvae benchmark`, as a user runs it."""

import json

import pytest
from helpers import DEFAULT_MODEL, failed, ok

import mrvae_zoo

pytestmark = pytest.mark.slow


@pytest.fixture
def small(tmp_path):
    """Names of two small models: one that takes any size, and one at a single β."""
    spatial = mrvae_zoo.create_model(
        "mrvae_resnet_spatial", input_shape=(3, None, None), latent_dim=2, width=4, depth=1, bottleneck=2
    )
    mrvae_zoo.save_pretrained(spatial, tmp_path / "spatial")
    fixed = mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 4, 4), latent_dim=2).at(0.5)
    mrvae_zoo.save_pretrained(fixed, tmp_path / "fixed")


def test_it_prints_a_row_per_batch_size_and_form(mrvae):
    done = ok(mrvae("benchmark", DEFAULT_MODEL, "--batch-size", 1, "--batch-size", 8, "--rounds", 1, "--device", "cpu"))
    header, *rows = [line.split() for line in done.stdout.splitlines()]
    assert header == ["batch", "encode", "decode", "whole"]
    assert [row[:2] for row in rows] == [["1", "folded"], ["1", "gated"], ["8", "folded"], ["8", "gated"]]
    assert all(float(figure.replace(",", "")) > 0 for row in rows for figure in row[2:])
    assert len(done.stderr.splitlines()) == 1
    assert "at β = 1, 1×28×28; medians of 1" in done.stderr


def test_json_names_the_device_and_says_how_it_was_measured(mrvae, small):
    arguments = ("--size", 16, 24, "--beta", 0.1, "--batch-size", 3, "--batch-size", 3, "--rounds", 2)
    measured = json.loads(ok(mrvae("benchmark", "spatial", *arguments, "--device", "cpu", "--json")).stdout)
    assert (measured["name"], measured["beta"], measured["image"], measured["rounds"]) == (
        "spatial",
        0.1,
        [3, 16, 24],
        2,
    )
    assert "thread" in measured["device"]
    (one,) = measured["results"]
    assert (one["batch_size"], one["peak_bytes"]) == (3, None)
    assert set(one["folded"]) == set(one["gated"]) == {"encode", "decode", "whole"}


def test_a_model_at_a_single_beta_has_no_gates(mrvae, small):
    done = ok(mrvae("benchmark", "fixed", "--batch-size", 2, "--rounds", 1))
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [["2", "folded"]]
    assert "at β = 0.5" in done.stderr


def test_wrong_input_is_one_line(mrvae, small):
    failed(mrvae("benchmark", "mrvae_mlp.mnits"), "did you mean mrvae_mlp.mnist")
    failed(
        mrvae("benchmark", DEFAULT_MODEL, "--batch-size", 0), "--batch-size 0: should be at least 1. See: mrvae bench"
    )
    failed(mrvae("benchmark", DEFAULT_MODEL, "--rounds", 0), "--rounds 0: should be at least 1")
    failed(mrvae("benchmark", DEFAULT_MODEL, "--beta", 11), "outside this model's range [0.01, 10.0]")
    failed(mrvae("benchmark", DEFAULT_MODEL, "--size", 32, 32), "this model takes images of 28×28 only")
    failed(mrvae("benchmark", "spatial", "--size", 0, 8), "--size 0 8: should be at least 1 1. See: mrvae benchmark")
    failed(mrvae("benchmark", "mrvae_resnet.paper_svhn"), "mrvae_resnet.paper_svhn has no weights here; train it with")
