import hashlib
import math

import pytest
import torch

from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.data.sprites import FACTORS, RADII, SHAPES, draw, grid, split_factors

MIDDLE = 5


def one(shape: str, scale: int = 4, angle: int = 0, x: int = MIDDLE, y: int = MIDDLE) -> torch.Tensor:
    return draw(torch.tensor([[SHAPES.index(shape), scale, angle, x, y]]))[0, 0].double() / 255


@pytest.mark.parametrize("scale", range(len(RADII)))
@pytest.mark.parametrize("angle", [2, 5])  # at 0 the edges of a square run along subpixels
def test_the_areas_are_those_of_the_shapes(scale, angle):
    """Of the square and the ellipse in closed form; of the heart by its integral, 3.661972 for the unscaled curve."""
    r = RADII[scale]
    for shape, area in (("square", 2 * r**2), ("ellipse", math.pi * r**2 / 2), ("heart", 3.661972 * r**2 / 1.3**2)):
        assert one(shape, scale, angle).sum().item() == pytest.approx(area, rel=0.01)


def test_the_centre_moves_with_x_to_the_right_and_with_y_down():
    at = torch.arange(32) + 0.5
    for x, y in ((0, 0), (11, 0), (3, 8)):
        image = one("ellipse", angle=3, x=x, y=y)
        assert (image.sum(0) @ at.double() / image.sum()).item() == pytest.approx(11 + x, abs=1e-6)
        assert (image.sum(1) @ at.double() / image.sum()).item() == pytest.approx(11 + y, abs=1e-6)
        moved = torch.roll(image, (1 - y, 2 - x), (0, 1))
        assert torch.equal(moved, one("ellipse", angle=3, x=2, y=1))


def test_angles_run_counterclockwise_through_the_turn_of_each_shape():
    assert torch.equal(one("ellipse", angle=6), one("ellipse").T)
    assert torch.equal(one("heart", angle=3), torch.rot90(one("heart")))
    assert torch.equal(one("heart", angle=6), torch.rot90(one("heart"), 2))
    corner = one("square", angle=6)  # by 45°: a corner at the top, 10 pixels above the centre at (16, 16)
    assert corner[6, 15:17].min() > 0
    assert corner[:6].max() == 0
    assert one("square")[:9].max() > 0 == one("square")[:8].max()  # at 0° an edge, 7.07 pixels above


def test_no_two_combinations_look_alike():
    images = draw(grid())
    assert len(images) == math.prod(FACTORS.values()) == 25_920
    assert len(images.flatten(1).unique(dim=0)) == len(images)


def test_edges_are_grey_and_the_rest_is_not():
    image = one("square", angle=3)
    assert 0.03 < ((image > 0) & (image < 1)).double().mean() < 0.08
    assert set(one("square", scale=4, angle=0)[10:22, 10:22].flatten().tolist()) == {1.0}


def test_the_splits_are_the_grid_and_hold_every_value():
    train, test = split_factors("train"), split_factors("test")
    together = torch.cat([train, test])
    assert torch.equal(together.unique(dim=0), grid())
    assert len(together) == len(grid())
    assert len(test) == pytest.approx(len(grid()) / 10, rel=0.01)
    for k, size in enumerate(FACTORS.values()):
        for split in (train, test):
            counts = split[:, k].bincount(minlength=size)
            assert counts.min() > 0.9 * len(split) / size
            start = split[:500, k].bincount(minlength=size)  # a `limit` takes the first ones
            assert start.min() > 0.8 * 500 / size


def test_the_data_set_reads_nothing_and_is_the_same_everywhere(tmp_path):
    train, test = (load_data(DataRecipe(name="sprites"), split, tmp_path, (1, 32, 32)) for split in ("train", "test"))
    assert train.images.shape == (23_339, 1, 32, 32)
    assert test.describe() == {"name": "sprites", "split": "test", "examples": 2581}
    assert torch.equal(test.images, draw(split_factors("test")))
    digest = hashlib.sha256(train.images.numpy().tobytes() + test.images.numpy().tobytes()).hexdigest()
    assert digest == "dfbce1e1b01ac190bb6a8535905bf1c4f322b791a5558f5f828cb7b3b4d7f3ae"


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (torch.zeros(2, 4, dtype=torch.long), r"torch.int64 \(2, 4\); expected integers \(N, 5\)"),
        (torch.zeros(2, 5), "torch.float32"),
        (torch.tensor([[3, 0, 0, 0, 0]]), r"below \(3, 5, 12, 12, 12\)"),
        (torch.tensor([[0, 0, 0, 0, -1]]), "at least 0"),
    ],
)
def test_factors_that_are_none_are_an_error(factors, message):
    with pytest.raises(ValueError, match=message):
        draw(factors)
