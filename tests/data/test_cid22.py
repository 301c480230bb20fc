import pytest
from PIL import Image

from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import load_data

ANY = (3, None, None)


def test_photographs_are_read_whole_in_the_order_of_their_names(tmp_path):
    (tmp_path / "Photos" / "train").mkdir(parents=True)
    for name, value in (("b", 200), ("a", 100)):
        Image.new("RGB", (40, 40), (value, value, value)).save(tmp_path / "Photos" / "train" / f"{name}.png")
    recipe = DataRecipe(name="cid22", size=(40, 40), crop=16)
    data = load_data(recipe, "train", tmp_path, ANY)
    assert data.images[:, 0, 0, 0].tolist() == [100, 200]
    assert data.shape == (3, 16, 16)


def test_a_missing_folder_is_an_error_that_says_what_belongs_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="CID22-512"):
        load_data("cid22", "test", tmp_path, ANY)


def test_the_real_files(data_root):
    if not (data_root / "Photos").is_dir():
        pytest.skip(f"no Photos under {data_root}")
    data = load_data(DataRecipe(name="cid22", size=(512, 512)), "test", data_root, ANY)
    assert data.images.shape == (41, 3, 512, 512)
