import sys

import numpy as np
import pytest
import torch
from PIL import Image

from mrvae_zoo import create_model, save_images, to_pil
from mrvae_zoo.common.grids import GAP, MARGIN, grid


def test_an_image_holds_the_pixels():
    x = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(np.asarray(to_pil(x)[0]), (x[0] * 255).round().byte().numpy())
    colours = torch.rand(2, 3, 5, 4)
    for image, colour in zip(to_pil(colours), colours, strict=True):
        assert np.array_equal(np.asarray(image), (colour * 255).round().byte().permute(1, 2, 0).numpy())
    signed = to_pil(colours * 2 - 1, (-1.0, 1.0))
    for image, same in zip(signed, to_pil(colours), strict=True):
        assert np.abs(np.asarray(image, dtype=int) - np.asarray(same, dtype=int)).max() <= 1


@pytest.mark.parametrize(
    ("images", "data_range", "message"),
    [
        (
            torch.zeros(1, 2, 5, 4),
            (0.0, 1.0),
            r"\(1, 2, 5, 4\) cannot be drawn; pass \(N, C, H, W\) with C 1 or 3",
        ),
        (torch.zeros(5, 4), (0.0, 1.0), "cannot be drawn"),
        (torch.zeros(0, 1, 5, 4), (0.0, 1.0), "cannot be drawn"),
        (torch.full((1, 1, 5, 4), -0.5), (0.0, 1.0), r"lie in \[-0.5, -0.5\], outside .*pass data_range=model.config"),
        (torch.full((1, 1, 5, 4), float("nan")), (0.0, 1.0), "outside data_range"),
        (torch.zeros(1, 1, 5, 4), None, "data_range is None"),
    ],
)
def test_what_is_no_image_is_not_drawn(images, data_range, message, tmp_path):
    for draw in (lambda: to_pil(images, data_range), lambda: save_images(images, tmp_path / "x.png", data_range)):
        with pytest.raises(ValueError, match=message):
            draw()
    assert list(tmp_path.iterdir()) == []


def test_what_a_model_returns_is_drawn_with_its_gradients(tmp_path):
    signed = {"data_range": (-1.0, 1.0), "likelihood": "gaussian", "sigma": 1.0}
    model = create_model("mrvae_mlp", input_shape=(3, 28, 28), widths=(8,), **signed)
    images = model.sample(10, 1.0)
    assert images.requires_grad
    save_images(images, tmp_path / "x.png", model.config.data_range, columns=4)
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size == (2 * MARGIN + 4 * 56 + 3 * GAP, 2 * MARGIN + 3 * 56 + 2 * GAP)
        tile = np.asarray(picture)[MARGIN : MARGIN + 56 : 2, MARGIN : MARGIN + 56 : 2]
    assert np.array_equal(tile, np.asarray(to_pil(images, (-1.0, 1.0))[0]))
    with pytest.raises(ValueError, match=r"x.txt should end in .png"):
        save_images(images, tmp_path / "x.txt", (-1.0, 1.0))
    with pytest.raises(ValueError, match="columns=0"):
        save_images(images, tmp_path / "y.png", (-1.0, 1.0), columns=0)


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


def test_beta_is_written_with_the_letters_of_matplotlib_and_spelled_out_without(monkeypatch):
    rows = [torch.zeros(1, 1, 64, 64)]
    letter, spelled = np.asarray(grid(rows, [("β", "")])), np.asarray(grid(rows, [("beta", "")]))
    assert letter.shape[1] < spelled.shape[1]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    letter, spelled = np.asarray(grid(rows, [("β", "")])), np.asarray(grid(rows, [("beta", "")]))
    assert np.array_equal(letter, spelled)


def test_labels_get_room_and_ink():
    rows = [torch.zeros(2, 1, 64, 64)]
    plain, labelled = np.asarray(grid(rows)), np.asarray(grid(rows, [("beta 0.01", "123.4 nats")]))
    extra = labelled.shape[1] - plain.shape[1]
    assert extra > 60
    ink = (labelled[:, : MARGIN + extra - 2] < 128).any(-1)
    assert ink[: labelled.shape[0] // 2].any()
    assert ink[labelled.shape[0] // 2 :].any()
    assert not ink[:, -MARGIN + 4 :].any()  # a gap to the images
