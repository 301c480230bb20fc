import numpy as np
import pytest
import torch

from mrvae_zoo.data.emoji import read_emoji_names, read_emoji_styles
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import load_data

STYLES = ["openmoji", "fluent", "noto", "openmoji", "twemoji", "noto"]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "Emoji64").mkdir()
    images = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1) * np.ones((1, 64, 64, 3), dtype=np.uint8)
    for split in ("train", "test"):
        names = np.array([f"1f60{i}" for i in range(6)])
        np.savez(tmp_path / "Emoji64" / f"{split}.npz", images=images, style=np.array(STYLES), name=names)
    return tmp_path


def test_only_styles_that_ask_for_attribution_alone_are_read(root):
    data = load_data("emoji64", "train", root, (3, 64, 64))
    assert data.images[:, 0, 0, 0].tolist() == [1, 2, 4, 5]
    assert read_emoji_styles(root, "train") == ["fluent", "noto", "twemoji", "noto"]
    assert read_emoji_names(root, "train") == ["1f601", "1f602", "1f604", "1f605"]


def test_held_out_pictures_come_from_every_style(root):
    held_out = load_data(DataRecipe(name="emoji64", held_out=3), "valid", root, (3, 64, 64))
    assert held_out.stratified
    assert len({(1, 2, 4, 5).index(value) for value in held_out.images[:, 0, 0, 0].tolist()}) == 3


def test_a_file_without_styles_is_an_error_that_names_it(root):
    images = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    np.savez(root / "Emoji64" / "train.npz", images=images)
    with pytest.raises(ValueError, match=r"train\.npz has no array named style"):
        load_data("emoji64", "train", root, (3, 64, 64))
    np.savez(root / "Emoji64" / "train.npz", images=images, style=np.array(["noto"]))
    with pytest.raises(ValueError, match="style has 1 entries for 2 images"):
        load_data("emoji64", "train", root, (3, 64, 64))


def test_the_real_files(data_root):
    if not (data_root / "Emoji64").is_dir():
        pytest.skip(f"no Emoji64 under {data_root}")
    images = load_data("emoji64", "test", data_root, (3, 64, 64)).images
    styles = read_emoji_styles(data_root, "test")
    names = read_emoji_names(data_root, "test")
    assert images.shape == (1119, 3, 64, 64)
    assert images.dtype == torch.uint8
    assert (styles.count("twemoji"), styles.count("noto"), styles.count("fluent")) == (401, 406, 312)
    assert names is not None
    assert len(names) == 1119
