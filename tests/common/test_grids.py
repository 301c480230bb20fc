import numpy as np
import pytest
import torch

from mrvae_zoo.common.grids import GAP, MARGIN, grid, to_pil


def test_an_image_holds_the_pixels():
    x = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(np.asarray(to_pil(x)), (x[0] * 255).round().byte().numpy())
    colour = torch.rand(3, 5, 4)
    assert np.array_equal(np.asarray(to_pil(colour)), (colour * 255).round().byte().permute(1, 2, 0).numpy())
    with pytest.raises(ValueError, match="2 channels cannot be drawn"):
        to_pil(torch.zeros(2, 5, 4))


def test_each_image_stands_in_its_place():
    """Rows of different length; images below the least size are enlarged by a whole factor."""
    rows = [torch.stack([torch.full((1, 28, 28), v) for v in values]) for values in ((0.2, 0.4, 0.6), (0.8, 0.1))]
    canvas = np.asarray(grid(rows))
    assert canvas.shape == (2 * MARGIN + 2 * 56 + GAP, 2 * MARGIN + 3 * 56 + 2 * GAP, 3)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            top, left = MARGIN + i * (56 + GAP), MARGIN + j * (56 + GAP)
            tile = canvas[top : top + 56, left : left + 56]
            assert (tile == round(image[0, 0, 0].item() * 255)).all()
    assert (canvas[MARGIN + 56 + GAP :, MARGIN + 2 * (56 + GAP) :] == 255).all()


def test_labels_get_room_and_ink():
    rows = [torch.zeros(2, 1, 64, 64)]
    plain, labelled = np.asarray(grid(rows)), np.asarray(grid(rows, [("beta 0.01", "123.4 nats")]))
    extra = labelled.shape[1] - plain.shape[1]
    assert extra > 60
    ink = (labelled[:, : MARGIN + extra - 2] < 128).any(-1)
    assert ink[: labelled.shape[0] // 2].any()
    assert ink[labelled.shape[0] // 2 :].any()
    assert not ink[:, -MARGIN + 4 :].any()  # a gap to the images
