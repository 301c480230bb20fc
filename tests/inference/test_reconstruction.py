import pytest
import torch
from helpers import make_images, make_model

from mrvae_zoo.common.grids import GAP, MARGIN
from mrvae_zoo.inference.reconstruction import COLUMNS, reconstruct


@pytest.fixture(scope="module")
def model():
    return make_model("mrvae_resnet", "affine")


def test_images_wrap_into_rows(model):
    x = make_images(model, 2 * COLUMNS + 9)
    drawn = reconstruct(model, x, [0.1, 1.0])
    height, width = (side * 6 if side == 12 else side * 7 for side in x.shape[-2:])
    scale = -(-56 // min(x.shape[-2:]))
    height, width = (side * scale for side in x.shape[-2:])
    assert drawn.picture.height == 2 * MARGIN + 3 * 3 * (height + GAP) - GAP  # three blocks of input and two β
    assert 0 < drawn.picture.width - (MARGIN + COLUMNS * (width + GAP) - GAP + MARGIN) < 120  # labels


def test_rates_and_distortions_are_those_of_draws(model):
    x = make_images(model, 40)
    drawn = reconstruct(model, x, [0.1, 1.0], seed=3)
    for point in drawn.points:
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            outs = [model(part, point.beta, generator=generator) for part in x.split(32)]
        assert point.rate == pytest.approx(torch.cat([out.rate for out in outs]).mean().item(), rel=1e-5)
        assert point.distortion == pytest.approx(torch.cat([out.distortion for out in outs]).mean().item(), rel=1e-5)
    assert [point.beta for point in reconstruct(model.at(0.3), x[:2]).points] == [0.3]
    assert len(reconstruct(model, x[:2]).points) == 7
