"""Measuring on tensors, DataLoaders and folders."""

import pytest
import torch
from helpers import make_data, make_images, make_model
from torch.utils.data import DataLoader, TensorDataset

from mrvae_zoo import (
    bits_per_dimension,
    importance_weighted_bound,
    measure_curve,
    rate_distortion,
    to_pil,
)
from mrvae_zoo.common.schema import to_plain

N = 600  # three chunks, the last one not full


@pytest.fixture(scope="module")
def model():
    return make_model("mrvae_mlp", "shrinkage")


@pytest.fixture(scope="module")
def data(model):
    return make_data(model, N)


@pytest.fixture(scope="module")
def x(data):
    return torch.cat(list(data.batches(N)))


def loader_of(x, batch_size, **options):
    return DataLoader(TensorDataset(x, torch.arange(len(x))), batch_size=batch_size, **options)


@pytest.mark.slow
def test_a_tensor_and_a_loader_of_any_batch_size_give_the_curve_of_the_data(model, data, x):
    expected = rate_distortion(model, data, [0.1, 1.0], samples=2, total_correlation=True)
    for given in (x, loader_of(x, 7), loader_of(x, 256), loader_of(x, N), DataLoader(x, batch_size=100)):
        curve = rate_distortion(model, given, [0.1, 1.0], samples=2, total_correlation=True)
        assert curve.data == {"examples": N}
        for point, own in zip(curve.points, expected.points, strict=True):
            figures, same = ({k: v for k, v in to_plain(each).items() if v is not None} for each in (point, own))
            assert len(figures) == 6
            assert figures == pytest.approx(same, rel=1e-6)


def test_and_the_bound_of_the_data(model, data, x):
    expected = importance_weighted_bound(model, data, 1.0, samples=3)
    for given in (x, loader_of(x, 7), loader_of(x, N)):
        assert importance_weighted_bound(model, given, 1.0, samples=3) == pytest.approx(expected, rel=1e-6)


def test_a_folder_is_measured_on_what_can_be_read(tmp_path, caplog):
    model = make_model("mrvae_resnet", "affine")
    x = make_images(model, 300)
    for number, image in enumerate(to_pil(x)):
        image.save(tmp_path / f"{number:03}.png")
    (tmp_path / "000.png").write_bytes(b"no image")
    exact = (x[1:] * 255).round() / 255
    # The first chunk of the folder has one image less.
    parts = [exact[:255], exact[255:]]
    expected = rate_distortion(model, DataLoader(exact, batch_size=300), [1.0])
    got = rate_distortion(model, tmp_path, [1.0])
    assert got.data == {"examples": 299}
    assert got.points[0].rate == pytest.approx(expected.points[0].rate, rel=1e-5)  # no draw of z is in it
    assert got.points[0].distortion == pytest.approx(expected.points[0].distortion, rel=0.02)
    assert "1 images cannot be read and are left out" in caplog.text
    alone = [rate_distortion(model, part, [1.0]).points[0].rate * len(part) for part in parts]
    assert got.points[0].rate == pytest.approx(sum(alone) / 299, rel=1e-6)
    assert importance_weighted_bound(model, str(tmp_path), 1.0, samples=2) < 0
    assert bits_per_dimension(model, tmp_path) == pytest.approx(
        bits_per_dimension(got.points[0], model.config), rel=1e-6
    )
    (tmp_path / "empty").mkdir()
    for measure in (rate_distortion, measure_curve):
        with pytest.raises(ValueError, match="empty holds no images"):
            measure(model, tmp_path / "empty", [1.0])
    with pytest.raises(ValueError, match="takes a model and data, or a point of its curve and model.config"):
        bits_per_dimension(model, model.config)


def test_a_loader_that_drops_the_last_batch_is_measured_on_what_it_gives(model, x):
    curve = rate_distortion(model, loader_of(x, 250, drop_last=True), [1.0])
    assert curve.data == {"examples": 500}
    assert curve.points == rate_distortion(model, x[:500], [1.0]).points


def test_progress_is_told_where_the_end_is_known(model, x):
    for measure in (
        lambda data, progress: rate_distortion(model, data, [1.0], progress=progress),
        lambda data, progress: importance_weighted_bound(model, data, 1.0, samples=1, progress=progress),
    ):
        told = []
        measure(x, told.append)
        assert told == sorted(told)
        assert (len(told), told[-1]) == (3, 1.0)
        measure(loader_of(x, 7), lambda share: pytest.fail(f"told {share}"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["one.png"], r"data is a list; pass a tensor \(N, C, H, W\), for example model.preprocess\(images\)"),
        (torch.zeros(0, 2, 5, 4), "data holds no examples"),
        (torch.zeros(3, 40), r"data has shape \(3, 40\); pass \(N, C, H, W\)"),
        (torch.tensor(1.0), r"data has shape \(\); pass"),
        (torch.zeros(3, 2, 4, 5), r"x has shape \(3, 2, 4, 5\); this model takes \(B, 2, 5, 4\)"),
        (torch.zeros(3, 2, 5, 4).byte(), "x is torch.uint8; pass floats"),
        (DataLoader([{"image": torch.zeros(2, 5, 4)}]), "the DataLoader gave a dict; it should give tensors"),
        (DataLoader([]), "data holds no examples"),
    ],
)
def test_what_cannot_be_measured_on_is_an_error(model, given, message):
    for measure in (lambda: rate_distortion(model, given, [1.0]), lambda: importance_weighted_bound(model, given, 1.0)):
        with pytest.raises(ValueError, match=message):
            measure()


def test_no_beta_is_an_error(model):
    with pytest.raises(ValueError, match="betas is empty"):
        rate_distortion(model, make_images(model, 2), [])
