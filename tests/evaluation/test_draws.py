import statistics

import pytest
import torch
from helpers import make_data, make_model

from mrvae_zoo import measure_curve, rate_distortion
from mrvae_zoo.evaluation.draws import MOST, draws_needed
from mrvae_zoo.models.curve import RDCurve

BETAS = (0.01, 0.3, 10.0)


@pytest.fixture(scope="module")
def model():
    return make_model("mrvae_mlp", "affine")


@pytest.fixture(scope="module")
def data(model):
    return make_data(model, 600)


@pytest.mark.parametrize("precision", [2e-3, 5e-4])
def test_a_curve_has_the_precision_that_was_asked_for(model, data, precision):
    draws = draws_needed(model, data, BETAS, precision=precision)
    curve = rate_distortion(model, data, BETAS, samples=draws)
    for point, wanted in zip(curve.points, draws, strict=True):
        assert point.standard_error < precision * point.loss
        if 2 < wanted < MOST:  # and no more draws than that
            assert point.standard_error > 0.6 * precision * point.loss


def test_the_standard_error_is_what_another_seed_changes(model, data):
    curves = [rate_distortion(model, data, BETAS, samples=3, seed=seed) for seed in range(40)]
    for points in zip(*(curve.points for curve in curves), strict=True):
        spread = statistics.stdev(point.loss for point in points)
        assert spread == pytest.approx(points[0].standard_error, rel=0.35)
    assert all(point.standard_error is None for point in rate_distortion(model, data, BETAS).points)


def test_more_examples_need_fewer_draws_and_the_order_of_the_examples_does_not_matter(model, data):
    few, many = (draws_needed(model, make_data(model, n), BETAS, precision=2e-4) for n in (60, 600))
    assert few[1] > 5 * many[1]
    x = torch.cat(list(data.batches(600)))
    dark_first = x[x.flatten(1).mean(1).argsort()]
    sorted_draws = draws_needed(model, dark_first, BETAS, precision=2e-4)
    assert sorted_draws[1] == pytest.approx(many[1], rel=0.3)
    loader = torch.utils.data.DataLoader(x, batch_size=100)
    assert draws_needed(model, loader, BETAS, precision=2e-4)[1] == pytest.approx(many[1], rel=0.3)


def test_each_beta_has_its_own_number_and_the_first_draws_are_the_same(model, data):
    one, three = (rate_distortion(model, data, BETAS, samples=n) for n in (1, 3))
    mixed = rate_distortion(model, data, BETAS, samples=[1, 3, 1])
    assert [point.samples for point in mixed.points] == [1, 3, 1] == list(mixed.draws)
    assert mixed.samples == 3
    for point, same in zip(mixed.points, (one.points[0], three.points[1], one.points[2]), strict=True):
        assert point.distortion == pytest.approx(same.distortion, rel=1e-6)
    assert RDCurve.from_json(mixed.to_json()) == mixed
    assert three.draws == (3, 3, 3)


def test_small_batches_and_several_draws_at_once_change_nothing(model):
    data = make_data(model, 30)  # so few that several draws are decoded together
    whole, small = (rate_distortion(model, data, BETAS, samples=17, batch_size=size) for size in (256, 7))
    for point, same in zip(whole.points, small.points, strict=True):
        assert point.distortion == pytest.approx(same.distortion, rel=1e-6)
        assert point.standard_error == pytest.approx(same.standard_error, rel=1e-3)


def test_a_curve_as_it_is_published(model, data):
    curve = measure_curve(model, data)
    assert len(curve.points) == 13
    assert all(point.standard_error < 3e-4 * point.loss for point in curve.points)
    plain = measure_curve(model.at(0.3), data, draws=2)
    assert (plain.betas, plain.draws) == ((0.3,), (2,))


@pytest.mark.parametrize("samples", [0, [1, 0, 1], [1, 2]])
def test_wrong_numbers(model, data, samples):
    with pytest.raises(ValueError, match="samples="):
        rate_distortion(model, data, BETAS, samples=samples)


@pytest.mark.parametrize("precision", [0.0, -1.0, float("nan")])
def test_wrong_precision(model, data, precision):
    with pytest.raises(ValueError, match="should be above 0"):
        draws_needed(model, data, BETAS, precision=precision)
    with pytest.raises(ValueError, match="no examples"):
        draws_needed(model, torch.zeros(0, 2, 5, 4), BETAS)
