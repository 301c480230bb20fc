import numpy as np
import pytest
import torch
from PIL import Image

from mrvae_zoo.data.folders import split_folder
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.errors import UnknownNameError

SHAPE = (1, 4, 4)
HELD_OUT_OF_THIRTY = ["12.png", "6.png"]


def draw(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), value).save(path)


def load(root, name, split):
    return load_data(DataRecipe(name=name), split, root, SHAPE)


def values(root, name, split):
    return load(root, name, split).images[:, 0, 0, 0].tolist()


def test_npz(tmp_path):
    (tmp_path / "mine").mkdir()
    for split, n in (("train", 5), ("test", 3)):
        np.savez(tmp_path / "mine" / f"{split}.npz", images=np.full((n, 4, 4), n, np.uint8), labels=np.zeros(n))
    assert values(tmp_path, "mine", "train") == [5] * 5
    assert load(tmp_path, "mine", "test").describe() == {"name": "mine", "split": "test", "examples": 3}
    (tmp_path / "mine" / "test.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"test.npz is missing: an .npz with the key images"):
        load(tmp_path, "mine", "test")


def test_folders_train_and_test_with_folders_of_classes(tmp_path):
    for i, name in enumerate(("train/cats/a.png", "train/cats/more/b.PNG", "train/dogs/a.bmp", "test/dogs/c.png")):
        draw(tmp_path / "mine" / name, i + 1)
    assert values(tmp_path, "mine", "train") == [1, 2, 3]
    assert values(tmp_path, "mine", "test") == [4]


@pytest.mark.parametrize("held_out", ["test", "val", "valid", "validation", "Val"])
def test_what_is_held_out_by_its_folder_is_never_trained_on(tmp_path, held_out):
    for i in range(20):
        draw(tmp_path / "mine" / "train" / "cats" / f"{i}.png", 1)
        draw(tmp_path / "mine" / held_out / "cats" / f"{i}.png", 2)
    assert values(tmp_path, "mine", "train") == [1] * 20
    assert values(tmp_path, "mine", "test") == [2] * 20


@pytest.mark.parametrize(("valid", "test"), [("val", "test"), ("Valid", "test"), ("val", "validation")])
def test_a_folder_for_validation_beside_one_for_testing(tmp_path, valid, test):
    for i, name in enumerate(("train/a.png", "train/b.png", f"{valid}/a.png", f"{test}/a.png")):
        draw(tmp_path / "mine" / name, i + 1)
    assert (values(tmp_path, "mine", "train"), values(tmp_path, "mine", "test")) == ([1, 2], [4])
    assert values(tmp_path, "mine", "valid") == [3]
    with pytest.raises(ValueError, match="held_out=1 should be left out: mine has a validation split of its own"):
        load_data(DataRecipe(name="mine", held_out=1), "train", tmp_path, SHAPE)


def test_an_npz_for_validation(tmp_path):
    (tmp_path / "mine").mkdir()
    for split, n in (("train", 5), ("test", 3), ("valid", 2)):
        np.savez(tmp_path / "mine" / f"{split}.npz", images=np.full((n, 4, 4), n, np.uint8))
    assert values(tmp_path, "mine", "valid") == [2, 2]


def test_images_beside_the_folders_of_the_splits_are_counted(tmp_path, caplog):
    for name in ("train/a.png", "train/b.png", "test/a.png", "extra/a.png", "b.png"):
        draw(tmp_path / "mine" / name)
    values(tmp_path, "mine", "test")
    assert caplog.messages == []
    values(tmp_path, "mine", "train")
    assert [one.removeprefix(str(tmp_path)) for one in caplog.messages] == [
        "/mine: 2 images are in none of train/, test/ and are left out: b.png, extra/a.png"
    ]


def test_what_is_no_image_or_hidden_is_passed_over(tmp_path):
    for name in ("a.png", "b.png", ".c.png", ".thumbnails/d.png"):
        draw(tmp_path / "mine" / name)
    (tmp_path / "mine" / "labels.csv").write_text("a,b", encoding="utf-8")
    (tmp_path / "mine" / "folder.png").mkdir()
    splits = split_folder(tmp_path / "mine")
    assert sorted(path.name for each in splits.values() for path in each) == ["a.png", "b.png"]


@pytest.mark.parametrize("n", [2, 3, 11, 400])
def test_an_undivided_folder_is_split_by_the_names_of_its_files(tmp_path, n):
    for i in range(n):
        draw(tmp_path / "mine" / f"{i % 3}" / f"{i}.png")
    splits = split_folder(tmp_path / "mine")
    assert not {*splits["train"]} & {*splits["test"]}
    assert len(splits["train"]) + len(splits["test"]) == n
    assert len(splits["test"]) >= 1
    assert len(splits["train"]) >= 1
    assert all(paths == sorted(paths) for paths in splits.values())
    if n == 400:
        assert 20 <= len(splits["test"]) <= 60
        (tmp_path / "mine").rename(tmp_path / "elsewhere")
        for i in range(n, n + 50):
            draw(tmp_path / "elsewhere" / f"{i}.png")
        more = split_folder(tmp_path / "elsewhere")["test"]
        before = {path.relative_to(tmp_path / "mine") for path in splits["test"]}
        assert before == {path for one in more if (path := one.relative_to(tmp_path / "elsewhere")) in before}
        assert all(
            int(path.stem) >= n for one in more if (path := one.relative_to(tmp_path / "elsewhere")) not in before
        )


def test_the_split_is_the_same_everywhere(tmp_path):
    for i in range(30):
        draw(tmp_path / "mine" / f"{i}.png")
    assert [path.name for path in split_folder(tmp_path / "mine")["test"]] == HELD_OUT_OF_THIRTY


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "mine holds no images in a format that Pillow reads; expected at least 2"),
        (["a.png"], "mine holds one image only; expected at least 2"),
        (["train/a.png", "test/a.png"], "train holds one image only; expected at least 2"),
        (["train/a.png", "train/b.png", "test/.a.png"], "test holds no images"),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_too_few_images(tmp_path, names, message, split):
    (tmp_path / "mine").mkdir()
    for name in names:
        draw(tmp_path / "mine" / name)
    with pytest.raises(ValueError, match=message):
        load(tmp_path, "mine", split)


@pytest.mark.parametrize("name", ["", ".", "..", "../photos", "photos/../photos", "a/b", "ABSOLUTE", "\0"])
def test_a_name_does_not_lead_out_of_the_data_root(tmp_path, name):
    root = tmp_path / "root"
    for folder in (root, root / "photos", root / "a" / "b", tmp_path / "photos", root.parent):
        for file in ("a.png", "b.png"):
            draw(folder / file)
    with pytest.raises(UnknownNameError, match="unknown data set"):
        load(root, str(tmp_path / "photos") if name == "ABSOLUTE" else name, "train")


def test_an_unknown_name_suggests_names_and_says_what_a_set_is(tmp_path):
    draw(tmp_path / "holidays" / "a.png")
    with pytest.raises(UnknownNameError, match="unknown data set 'holydays'; did you mean holidays") as error:
        load(tmp_path, "holydays", "train")
    assert f"a folder in {tmp_path} with train.npz and test.npz" in str(error.value)
    with pytest.raises(UnknownNameError, match="did you mean fashion_mnist"):
        load(tmp_path, "fashon_mnist", "train")


@pytest.mark.parametrize(
    ("name", "meant"), [("MNIST", "mnist"), ("FashionMNIST", "fashion_mnist"), ("CIFAR10", "cifar10")]
)
def test_the_folder_of_a_registered_set_is_no_set_of_ones_own(tmp_path, name, meant):
    for file in ("a.png", "b.png"):
        draw(tmp_path / name / file)
    with pytest.raises(UnknownNameError, match=f"unknown data set '{name}'; did you mean {meant}"):
        load(tmp_path, name, "train")


def test_limit_is_of_the_training_split(tmp_path):
    for i in range(40):
        draw(tmp_path / "mine" / f"{i}.png", i)
    whole = load(tmp_path, "mine", "train")
    some = load_data(DataRecipe(name="mine", limit=7), "train", tmp_path, SHAPE)
    assert {*some.images[:, 0, 0, 0].tolist()} < {*whole.images[:, 0, 0, 0].tolist()}
    assert not torch.equal(some.images, whole.images[:7])
    assert len(load_data(DataRecipe(name="mine", limit=1), "test", tmp_path, SHAPE)) == 40 - len(whole)
