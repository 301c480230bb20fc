import logging

import numpy as np
import pytest
import torch
from PIL import Image

from mrvae_zoo.common.decoding import open_image
from mrvae_zoo.data.encoded_images import EncodedImages, StreamedImages, load_encoded

GREY = np.random.default_rng(0).integers(0, 256, (60, 6, 7), dtype=np.uint8)


@pytest.fixture
def paths(tmp_path):
    """Sixty grey images of 6×7."""
    paths = [tmp_path / f"{i:02}.png" for i in range(len(GREY))]
    for path, pixels in zip(paths, GREY, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def encoded(paths):
    return EncodedImages("the set", paths, open_image)


def damage(path):
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize("limit", [1 << 20, 0])
@pytest.mark.parametrize("shape", [(1, 6, 7), (1, None, None)])
def test_images_come_in_their_order(paths, monkeypatch, limit, shape):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", limit)
    images = load_encoded(encoded(paths), shape)
    assert isinstance(images, StreamedImages) == (limit == 0)
    if isinstance(images, StreamedImages):
        assert images.shape == (1, 6, 7)
        images = torch.cat(list(images.read(torch.arange(60).split(7))))
    assert torch.equal(images.squeeze(1), torch.from_numpy(GREY))


@pytest.mark.parametrize("limit", [1 << 20, 0])
@pytest.mark.parametrize("shape", [(1, 6, 7), (1, None, None)])
def test_what_is_damaged_is_left_out_counted_and_named_once(paths, monkeypatch, caplog, limit, shape):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", limit)
    for path in (paths[0], paths[31]):
        damage(path)
    paths[40].unlink()
    with caplog.at_level(logging.WARNING):
        images = load_encoded(encoded(paths), shape)
    (message,) = caplog.messages
    assert message.startswith("the set: 3 of 60 images cannot be read and are left out: ")
    assert message.endswith(f"{paths[0]}, {paths[31]}, {paths[40]}")
    if isinstance(images, StreamedImages):
        images = torch.cat(list(images.read(torch.arange(57).split(7))))
    assert torch.equal(images.squeeze(1), torch.from_numpy(np.delete(GREY, [0, 31, 40], axis=0)))


def test_ten_of_many_are_named(paths, caplog):
    for path in paths[10:25]:
        damage(path)
    with caplog.at_level(logging.WARNING):
        assert len(load_encoded(encoded(paths), (1, 6, 7))) == 45
    (message,) = caplog.messages
    assert "15 of 60" in message
    assert message.count(".png") == 10
    assert message.endswith("19.png and 5 more")


@pytest.mark.parametrize("shape", [(1, 6, 7), (1, None, None)])
def test_if_none_can_be_read_the_first_fault_is_told(paths, shape):
    for path in paths[:3]:
        damage(path)
    with pytest.raises(ValueError, match=r"the set: none of 3 images can be read; .*00.png is damaged"):
        load_encoded(encoded(paths[:3]), shape)


def test_images_of_several_sizes_and_a_model_of_any(paths):
    Image.fromarray(GREY[0].T).save(paths[50])
    with pytest.raises(ValueError, match=r"50.png is 6×7 and others are 7×6; say in the recipe what size"):
        load_encoded(encoded(paths), (1, None, None))
    assert load_encoded(encoded(paths), (1, 5, 5)).shape == (60, 1, 5, 5)


def test_an_image_that_goes_bad_while_streaming_is_one_line(paths, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", 0)
    images = load_encoded(encoded(paths), (1, 6, 7))
    damage(paths[5])
    with pytest.raises(ValueError, match=r"05.png is damaged: ") as error:
        list(images.read([torch.arange(10)]))
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_conversion_is_not_logged_for_every_image(paths, caplog):
    with caplog.at_level(logging.DEBUG, "mrvae_zoo"):
        load_encoded(encoded(paths), (3, 4, 4))
    assert caplog.messages == []
