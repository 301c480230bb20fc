import logging

import numpy as np
import pytest
import torch
from PIL import Image

from mrvae_zoo.common.images import to_tensor

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (28, 28), dtype=np.uint8)
RGB = RNG.integers(0, 256, (28, 28, 3), dtype=np.uint8)


def save(image, path, **options):
    image.save(path, **options)
    return path


def test_pixels_come_through_exactly(tmp_path):
    path = save(Image.fromarray(GREY), tmp_path / "g.png")
    expected = torch.from_numpy(GREY).float() / 255
    for given in (path, str(path), Image.fromarray(GREY), GREY, GREY[..., None], GREY.astype(np.float32) / 255, [path]):
        x = to_tensor(given, (1, 28, 28))
        assert x.shape == (1, 1, 28, 28)
        assert torch.equal(x[0, 0], expected)
    assert torch.equal(to_tensor(RGB, (3, 28, 28))[0], torch.from_numpy(RGB).permute(2, 0, 1).float() / 255)


def test_several_images_of_several_kinds(tmp_path):
    path = save(Image.fromarray(GREY), tmp_path / "g.png")
    x = to_tensor([path, Image.fromarray(GREY), GREY], (1, 28, 28))
    assert torch.equal(x[0], x[1])
    assert torch.equal(x[0], x[2])
    assert torch.equal(to_tensor(np.stack([GREY, GREY])[..., None], (1, 28, 28)), x[:2])


def test_grey_and_colour_are_converted_as_pillow_does():
    grey = to_tensor(RGB, (1, 28, 28))[0, 0]
    pillow = np.asarray(Image.fromarray(RGB).convert("L"), dtype=np.float32) / 255
    assert np.abs(grey.numpy() - pillow).max() < 1 / 255
    assert torch.equal(to_tensor(GREY, (3, 28, 28))[0, 2], to_tensor(GREY, (1, 28, 28))[0, 0])


@pytest.mark.parametrize("size", [(56, 56), (14, 14), (100, 37)])
def test_other_sizes_are_resized_as_pillow_does(size):
    ramp = np.add.outer(np.linspace(0, 120, size[0]), np.linspace(0, 120, size[1])).astype(np.uint8)
    got = to_tensor(ramp, (1, 28, 28))[0, 0].numpy()
    pillow = np.asarray(Image.fromarray(ramp).resize((28, 28), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    assert np.abs(got - pillow).max() < 2.5 / 255
    assert 0 <= got.min() <= got.max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV"])
def test_every_mode_gives_the_image(mode):
    """A dark square on a bright ground stays one."""
    drawn = Image.new("RGB", (28, 28), "white")
    drawn.paste((0, 0, 0), (8, 8, 20, 20))
    x = to_tensor(drawn.convert(mode), (1, 28, 28))[0, 0]
    assert x[14, 14] < 0.1
    assert x[2, 2] > 0.9


def test_sixteen_bits_are_scaled_not_cut_off(tmp_path):
    ramp = np.linspace(0, 65535, 28 * 28).astype(np.uint16).reshape(28, 28)
    path = save(Image.fromarray(ramp), tmp_path / "deep.png")
    assert torch.allclose(to_tensor(path, (1, 28, 28))[0, 0], torch.from_numpy(ramp.astype(np.float32)) / 65535)


def test_transparent_images_are_laid_on_white(caplog):
    caplog.set_level(logging.INFO, "mrvae_zoo")
    x = to_tensor(Image.new("RGBA", (28, 28), (0, 0, 0, 0)), (1, 28, 28))
    assert torch.allclose(x, torch.ones_like(x))
    assert "image 0 is laid on white, being transparent" in caplog.messages


def test_the_exif_orientation_is_followed(tmp_path):
    image = Image.new("L", (28, 28), 0)
    image.paste(255, (0, 0, 28, 14))  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    path = save(image, tmp_path / "turned.jpg", exif=exif, quality=95)
    x = to_tensor(path, (1, 28, 28))[0, 0]
    assert x[:10].max() < 0.1
    assert x[18:].min() > 0.9


def test_a_conversion_is_logged_and_nothing_else(tmp_path, caplog):
    to_tensor(GREY, (1, 28, 28))
    assert not caplog.records
    path = save(Image.new("RGB", (64, 48)), tmp_path / "photo.jpg")
    to_tensor(path, (1, 28, 28))
    assert caplog.messages == [f"{path} (RGB 64×48) is converted to grey 28×28"]
    caplog.clear()
    sizes = [(64 + i, 48) for i in range(37)]
    to_tensor([Image.new("RGB", size) for size in sizes], (1, 28, 28))
    (line,) = caplog.messages
    assert line == (
        "37 images, image 0 (RGB 64×48), image 1 (RGB 65×48), image 2 (RGB 66×48) and 34 more, "
        "are converted to grey 28×28"
    )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((28,), np.uint8), "is not an image"),
        (np.zeros((0, 28), np.uint8), "is not an image"),
        (np.zeros((28, 28), np.int64), "pass uint8, or floats"),
        (np.full((28, 28), 255.0), r"lies in \[255, 255\]; pass values in \[0, 1\]"),
        (np.full((28, 28), np.nan), "pass values in"),
        (np.zeros((28, 28, 5), np.uint8), "image 0 has 5 channels; this model takes 1"),
        (3, "int is not an image"),
        ([], "no images given"),
    ],
)
def test_what_is_no_image_is_an_error(array, message):
    with pytest.raises(ValueError, match=message):
        to_tensor(array, (1, 28, 28))


def test_a_bad_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png: no such file"):
        to_tensor(tmp_path / "none.png", (1, 28, 28))
    text = tmp_path / "text.png"
    text.write_text("no image", encoding="utf-8")
    whole = save(Image.fromarray(RNG.integers(0, 256, (200, 200), dtype=np.uint8)), tmp_path / "whole.png")
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:2000])
    for path, message in ((text, "is not an image"), (cut, "is damaged"), (tmp_path, "cannot be read")):
        with pytest.raises(ValueError, match=message) as error:
            to_tensor(path, (1, 28, 28))
        assert str(path) in str(error.value)


def test_arrays_and_tensors_of_every_layout_give_the_same():
    rng = np.random.default_rng(1)
    for channels, size in ((1, (28, 28)), (3, (32, 20)), (1, (8, 8)), (3, (3, 3))):
        images = rng.integers(0, 256, (5, channels, *size), dtype=np.uint8)
        shape, expected = (channels, *size), torch.from_numpy(images).float() / 255
        first, last = torch.from_numpy(images), images.transpose(0, 2, 3, 1)
        stacks = [first, last, first.float() / 255, list(last), list(first), torch.from_numpy(last.copy()).numpy()]
        stacks += [images[:, 0], first[:, 0], list(images[:, 0])] if channels == 1 else []
        stacks += [images] if channels != size[1] else []
        for stack in stacks:
            assert torch.allclose(to_tensor(stack, shape), expected, atol=1e-6)
        for one in (first[0], last[0], [last[0]], *([images[0, 0], first[0, 0]] if channels == 1 else [])):
            assert torch.allclose(to_tensor(one, shape), expected[:1], atol=1e-6)
