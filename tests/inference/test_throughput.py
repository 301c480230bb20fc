"""Images per second, by a clock that the test holds."""

import logging
import math

import pytest
import torch
from helpers import OPTIONS, SHAPES, make_model

import mrvae_zoo
from mrvae_zoo.inference import throughput
from mrvae_zoo.inference.throughput import draw_images, image_shape, measure_throughput
from mrvae_zoo.models.vae import BaseVAE

COST = {"encode": 1.0, "decode": 2.0, "forward": 4.0}  # seconds of a call of the folded model


class Clock:
    """A clock that stands still, but for calls of a model: with gates they take 10 times as long."""

    def __init__(self, monkeypatch) -> None:
        self.now, self.calls = 0.0, []
        monkeypatch.setattr(throughput.time, "perf_counter", lambda: self.now)
        for name, cost in COST.items():
            monkeypatch.setattr(mrvae_zoo.MultiRateVAE, name, self.timed(name, 10 * cost), raising=False)
            monkeypatch.setattr(mrvae_zoo.FixedRateVAE, name, self.timed(name, cost), raising=False)

    def timed(self, name, cost):
        method = getattr(BaseVAE, name)

        def call(model, *arguments, **options):
            self.now += cost
            self.calls.append((type(model).__name__, name))
            return method(model, *arguments, **options)

        return call


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_figure_is_images_per_second_of_that_call(monkeypatch, batch_size):
    model = make_model("mrvae_mlp", "affine")
    Clock(monkeypatch)
    measured = measure_throughput(model, 0.5, batch_size=batch_size, rounds=3, shortest=1.0)
    assert (measured.batch_size, measured.peak_bytes) == (batch_size, None)
    folded = {"encode": batch_size, "decode": batch_size / 2, "whole": batch_size / 4}
    for part, rate in folded.items():
        assert getattr(measured.folded, part) == pytest.approx(rate)
        assert getattr(measured.gated, part) == pytest.approx(rate / 10)


def test_the_median_of_the_rounds_is_taken_and_the_forms_take_turns(monkeypatch):
    asked = []

    def time_of(call, device, times):
        key = call.func.__name__ if hasattr(call.func, "__name__") else "whole"
        asked.append((type(getattr(call.func, "__self__", call.func)).__name__, key))
        turn = (len(asked) - 12 - 1) // 6  # after two timings of each before the first round
        return {0: 1.0, 1: 100.0, 2: 2.0}.get(turn, 1.0)

    monkeypatch.setattr(throughput, "_time", time_of)
    measured = measure_throughput(make_model("mrvae_mlp", "affine"), 1.0, rounds=3)
    assert measured.folded.whole == measured.gated.encode == 1 / 2.0
    first, second, third = (asked[start : start + 6] for start in (12, 18, 24))
    assert len(set(first)) == 6
    assert second == first[::-1]
    assert third == first


def test_a_short_call_is_repeated_until_the_timing_is_long_enough(monkeypatch):
    clock = Clock(monkeypatch)
    measure_throughput(make_model("mrvae_mlp", "affine"), 1.0, rounds=1, shortest=20.0)
    counts = {key: clock.calls.count(key) for key in set(clock.calls)}
    before = throughput.UNTIMED + throughput.FEWEST
    assert counts["FixedRateVAE", "decode"] >= before + 10
    assert counts["MultiRateVAE", "forward"] == before + throughput.FEWEST  # 40 seconds each


@pytest.mark.parametrize("name", [name for name in SHAPES if name in mrvae_zoo.list_architectures()])
def test_every_architecture_is_measured_on_images_of_its_own(name, caplog):
    model = mrvae_zoo.create_model(name, input_shape=SHAPES[name], latent_dim=3, **OPTIONS[name]).eval()
    shape = image_shape(model)
    x = draw_images(model.at(1.0), 2, shape)
    assert x.shape == (2, *shape)
    with caplog.at_level(logging.WARNING):
        measured = measure_throughput(model, 1.0, batch_size=2, rounds=1, shortest=0.0)
    assert all(math.isfinite(rate) and rate > 0 for rate in (measured.folded.whole, measured.gated.whole))
    assert not caplog.records


def test_the_model_is_left_as_it_was_and_the_generator_too():
    model = make_model("mrvae_mlp", "affine")
    before, state = {key: value.clone() for key, value in model.state_dict().items()}, torch.get_rng_state()
    measure_throughput(model, 1.0, rounds=1, shortest=0.0)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_wrong_numbers_are_told():
    model = make_model("mrvae_mlp", "affine")
    for options, message in (
        ({"batch_size": 0}, "batch_size=0 should be at least 1"),
        ({"rounds": 0}, "rounds=0 should be at least 1"),
        ({"size": (3, 3)}, "takes images of 5×4 only"),
    ):
        with pytest.raises(ValueError, match=message):
            measure_throughput(model, 1.0, **options)
    with pytest.raises(ValueError, match=r"outside this model's range"):
        measure_throughput(model, 11.0)


def test_too_many_images_are_told(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(throughput, "_in_turn", full)
    with pytest.raises(ValueError, match="512 images at once do not fit into memory; take fewer"):
        measure_throughput(make_model("mrvae_mlp", "affine"), 1.0, batch_size=512)
