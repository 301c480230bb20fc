import numpy as np
import pytest
import torch
from PIL import Image

from mrvae_zoo.data.data_set import DataSet
from mrvae_zoo.data.labels import load_labels, to_labels
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import data_sets, load_data
from mrvae_zoo.data.whole_folder import load_whole_folder


@pytest.fixture
def npz(tmp_path):
    """A set whose every image has its label as its grey value, and no order in its labels."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 60), ("test", 30)):
        labels = rng.permutation(np.arange(count) % 3)
        images = np.repeat(labels.astype(np.uint8)[:, None, None] * 100, 16, 1).reshape(count, 4, 4)
        (tmp_path / "greys").mkdir(exist_ok=True)
        np.savez(tmp_path / "greys" / f"{split}.npz", images=images, labels=labels)
    return tmp_path


def write_images(folder, names, value):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(np.full((4, 4), value, np.uint8)).save(folder / name)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("limit", [None, 20])
def test_labels_follow_the_images_that_a_recipe_chooses(npz, split, limit):
    recipe = DataRecipe(name="greys", held_out=15, limit=limit)
    data = load_data(recipe, split, npz, (1, 4, 4))
    labels = load_labels(data, npz)
    assert len(labels) == len(data) == {"train": limit or 45, "valid": 15, "test": 30}[split]
    assert labels.names == ("0", "1", "2")
    assert torch.equal(labels.values, data.images[:, 0, 0, 0].long() // 100)


def test_folders_name_the_classes_and_an_unreadable_file_takes_its_label_with_it(tmp_path):
    for split in ("train", "test"):
        write_images(tmp_path / "pets" / split / "cat", ["1.png", "2.png"], 0)
        write_images(tmp_path / "pets" / split / "dog", ["1.png", "2.png", "3.png"], 200)
    (tmp_path / "pets" / "test" / "cat" / "0.png").write_bytes(b"no image")
    data = load_data("pets", "test", tmp_path, (1, 4, 4))
    labels = load_labels(data, tmp_path)
    assert labels.names == ("cat", "dog")
    assert torch.equal(labels.values, data.images[:, 0, 0, 0].long() // 200)
    assert len(labels) == 5
    train = load_data(DataRecipe(name="pets", limit=3), "train", tmp_path, (1, 4, 4))
    assert torch.equal(load_labels(train, tmp_path).values, train.images[:, 0, 0, 0].long() // 200)


def test_a_csv_names_files_by_any_end_of_their_path_that_is_their_own(tmp_path):
    for name, value in (("a", 10), ("b", 20)):
        write_images(tmp_path / "mine" / "test" / name, ["1.png", f"only_{name}.png"], value)
        write_images(tmp_path / "mine" / "train" / name, ["1.png"], value)
    data = load_data("mine", "test", tmp_path, (1, 4, 4))
    rows = "file,label\na/1.png,dark\nonly_a.png,dark\nb/1.png,light\nonly_b.png,light\n"
    (tmp_path / "labels.csv").write_text(rows, encoding="utf-8")
    labels = load_labels(data, tmp_path, file=tmp_path / "labels.csv")
    assert labels.names == ("dark", "light")
    assert torch.equal(labels.values, data.images[:, 0, 0, 0].long() // 10 - 1)
    for text, message in (
        (rows.replace("a/1.png", "1.png"), r"labels.csv: '1.png' is not in mine; expected the name of an image file"),
        (rows.replace("b/1.png,light\n", ""), r"has no label for 1 of 4 images: .*b.1.png"),
        (rows.replace("only_b.png,light", "only_b.png"), r"line 5: \['only_b.png'\] should be two columns"),
        (rows.replace("light", "dark"), "all images of mine have the same label; expected at least two classes"),
    ):
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            load_labels(data, tmp_path, file=tmp_path / "labels.csv")
    with pytest.raises(FileNotFoundError, match="none.csv: no such file"):
        load_labels(data, tmp_path, file=tmp_path / "none.csv")


def test_a_csv_names_rows_of_the_file_that_the_images_are_in(npz):
    data = load_data(DataRecipe(name="greys", limit=20), "train", npz, (1, 4, 4))
    own = load_labels(data, npz)
    with np.load(npz / "greys" / "train.npz") as arrays:
        rows = [f"{row},{'xyz'[label]}" for row, label in enumerate(arrays["labels"])]
    (npz / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    given = load_labels(data, npz, file=npz / "labels.csv")
    assert given.names == ("x", "y", "z")
    assert torch.equal(given.values, own.values)
    (npz / "labels.csv").write_text("\n".join([*rows, "60,x"]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"'60' is not in greys; expected a row from 0 to 59"):
        load_labels(data, npz, file=npz / "labels.csv")


def test_a_set_without_labels_says_how_to_give_them(tmp_path, bars, own_root):
    for root, name in ((bars, "binarized_mnist"), (own_root, "mine")):
        data = load_data(name, "test", root, (1, 8, 8))
        with pytest.raises(ValueError, match=rf"{name} has no labels; give them in a CSV file \(--labels\)"):
            load_labels(data, root)
    write_images(tmp_path / "flat", [f"{i}.png" for i in range(20)], 1)
    data = load_data("flat", "train", tmp_path, (1, 4, 4))
    with pytest.raises(ValueError, match="flat has no labels"):
        load_labels(data, tmp_path)


def test_classes_have_names_where_the_set_knows_them(monkeypatch, tmp_path):
    def load(root, split):
        return torch.zeros(4, 1, 2, 2, dtype=torch.uint8)

    record = DataSet(name="named", load=load, labels=lambda root, split: [1, 0, 1, 1], classes=("no", "yes"))
    monkeypatch.setitem(data_sets._records, "named", record)
    labels = load_labels(load_data("named", "test", tmp_path, (1, 2, 2)), tmp_path)
    assert labels.names == ("no", "yes")
    assert labels.values.tolist() == [1, 0, 1, 1]
    assert labels.number("yes") == 1
    with pytest.raises(ValueError, match="there is no class 'yess'; did you mean yes"):
        labels.number("yess")
    with pytest.raises(ValueError, match="same label"):
        to_labels([3, 3])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "some"),
    [
        ("mnist", (1, 28, 28), "7"),
        ("fashion_mnist", (1, 28, 28), "Ankle boot"),
        ("cifar10", (3, 32, 32), "horse"),
        ("omniglot", (1, 28, 28), "0"),
        ("emoji64", (3, 64, 64), "noto"),
    ],
)
def test_real_sets_have_a_label_for_every_image(data_root, name, shape, some):
    data = load_data(name, "test", data_root, shape)
    labels = load_labels(data, data_root)
    assert len(labels) == len(data)
    assert some in labels.names
    assert int(labels.values.max()) == len(labels.names) - 1


def test_the_whole_of_a_folder_is_read_and_binarised_as_the_data_are(tmp_path):
    write_images(tmp_path / "odd" / "test", [f"{i}.png" for i in range(5)], 128)
    write_images(tmp_path / "odd", ["x.png"], 128)
    grey = load_whole_folder(tmp_path / "odd", (1, 4, 4))
    assert len(grey) == 6
    assert grey.images.unique().tolist() == [128]
    drawn = load_whole_folder(tmp_path / "odd", (1, 4, 4), binarize="static")
    assert drawn.images.unique().tolist() == [0, 255]
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="none holds no images"):
        load_whole_folder(tmp_path / "none", (1, 4, 4))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_whole_folder(tmp_path / "nowhere", (1, 4, 4))
