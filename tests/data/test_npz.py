import numpy as np
import pytest
import torch

from mrvae_zoo.data.npz import read_npz

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 6), dtype=np.uint8)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (IMAGES, IMAGES),
        (IMAGES.transpose(0, 2, 3, 1), IMAGES),
        (IMAGES[:, 0], IMAGES[:, :1]),
        (IMAGES[:, :1], IMAGES[:, :1]),
        (IMAGES[:, 0, ..., None], IMAGES[:, :1]),
        (IMAGES[:, :, :3, :3], IMAGES[:, :, :3, :3]),  # either may be the channels: the second axis is
    ],
)
def test_channels_come_first(tmp_path, given, expected):
    np.savez(tmp_path / "a.npz", images=given, labels=np.arange(4))
    assert torch.equal(read_npz(tmp_path / "a.npz"), torch.from_numpy(expected))


@pytest.mark.parametrize("images", [IMAGES[:0], IMAGES[0, 0], IMAGES.astype(np.float32), IMAGES[:, :, :0]])
def test_what_is_no_array_of_images(tmp_path, images):
    np.savez(tmp_path / "a.npz", images=images)
    with pytest.raises(ValueError, match="expected uint8"):
        read_npz(tmp_path / "a.npz")
