import numpy as np
import pytest
import torch
from PIL import Image

from mrvae_zoo.common.images import to_tensor
from mrvae_zoo.common.noise import Noise
from mrvae_zoo.common.table import Table
from mrvae_zoo.data import folders as own_sets
from mrvae_zoo.data.data_set import DataSet
from mrvae_zoo.data.encoded_images import StreamedImages
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import ImageData, load_data

DIGIT = (1, 28, 28)


def noise(seed, total=20_000):
    return Noise(torch.tensor(seed), torch.tensor(0), total)


@pytest.fixture
def root(tmp_path):
    """A BinarizedMNIST of eight images."""
    folder = tmp_path / "BinarizedMNIST"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 2, (8, 28, 28), dtype=np.uint8)
    for split in ("train", "test"):
        np.savez(folder / f"{split}.npz", images=images)
    return tmp_path


def test_pixels_become_floats_in_their_order():
    images = torch.arange(24, dtype=torch.uint8).view(6, 1, 2, 2) * 10
    data = ImageData(name="x", split="train", images=images)
    assert len(data) == 6
    assert data.shape == (1, 2, 2)
    first, second = data.read([torch.tensor([3, 1]), torch.tensor([5])])
    assert torch.equal(first, images[[3, 1]])
    assert torch.equal(second, images[[5]])
    assert torch.equal(data.prepare(first), images[[3, 1]].float() / 255)
    assert torch.equal(torch.cat(list(data.batches(4))), images.float() / 255)
    assert [len(x) for x in data.batches(4)] == [4, 2]


def test_dynamic_binarisation_draws_each_pixel_by_its_grey():
    images = torch.tensor([0, 51, 128, 255], dtype=torch.uint8).view(1, 1, 2, 2).expand(20_000, 1, 2, 2)
    data = ImageData(name="x", split="train", images=images, binarize="dynamic")
    x = data.prepare(images, noise(0))
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(x.mean(0).flatten(), torch.tensor([0.0, 0.2, 128 / 255, 1.0]), atol=0.01)
    assert torch.equal(x, data.prepare(images, noise(0)))
    assert not torch.equal(x, data.prepare(images, noise(1)))
    assert torch.equal(data.prepare(images), images / 255)


def test_images_are_turned_left_to_right_half_of_the_time():
    images = torch.randint(0, 256, (20_000, 3, 2, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = ImageData(name="x", split="train", images=images, flip=True)
    x = data.prepare(images, noise(0))
    turned = (x == images.flip(-1) / 255).flatten(1).all(1)
    same = (x == images / 255).flatten(1).all(1)
    assert (turned ^ same).all()
    assert turned.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(data.prepare(images), images / 255)
    plain = ImageData(name="x", split="train", images=images)
    assert torch.equal(plain.prepare(images, noise(0)), images / 255)


@pytest.mark.parametrize("binarize", ["none", "dynamic"])
def test_a_part_of_a_batch_is_prepared_as_in_the_whole(binarize):
    images = torch.randint(0, 256, (12, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = ImageData(name="x", split="train", images=images, binarize=binarize, flip=True)
    whole = data.prepare(images, noise(3, total=12))
    for part in (slice(0, 6), slice(6, 12)):
        own = Noise(torch.tensor(3), torch.tensor(0), 6, part.start)
        assert torch.equal(data.prepare(images[part], own), whole[part])


def test_binarized_mnist(root):
    data = load_data(DataRecipe(name="binarized_mnist", limit=5), "train", root, DIGIT)
    assert data.images.shape == (5, 1, 28, 28)
    assert set(data.images.unique().tolist()) == {0, 255}
    test = load_data(DataRecipe(name="binarized_mnist", limit=5), "test", root, DIGIT)
    assert len(test) == 8
    assert test.describe() == {"name": "binarized_mnist", "split": "test", "examples": 8}


def test_the_validation_split_of_a_set_that_has_one(root):
    images = np.random.default_rng(1).integers(0, 2, (3, 28, 28), dtype=np.uint8)
    recipe = DataRecipe(name="binarized_mnist", limit=2)
    with pytest.raises(FileNotFoundError, match=r"valid.npz is missing"):
        load_data(recipe, "valid", root, DIGIT)
    np.savez(root / "BinarizedMNIST" / "valid.npz", images=images)
    data = load_data(recipe, "valid", root, DIGIT)
    assert torch.equal(data.images[:, 0], 255 * torch.from_numpy(images))
    assert data.describe() == {"name": "binarized_mnist", "split": "valid", "examples": 3}
    for split in ("train", "valid"):
        with pytest.raises(ValueError, match="data.held_out=2 should be left out: binarized_mnist has a validation"):
            load_data(DataRecipe(name="binarized_mnist", held_out=2), split, root, DIGIT)


def numbered(count, split):
    """Images that say their number, from 0 in training and from 100 in testing."""
    start = {"train": 0, "test": 100}[split]
    return torch.arange(start, start + count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)


def numbers(data):
    return data.images[:, 0, 0, 0].tolist()


def use(monkeypatch, **keys):
    monkeypatch.setattr("mrvae_zoo.data.sets.data_sets", Table("data set", [DataSet(name="numbers", **keys)]))


def test_training_images_are_held_out_and_left_out(tmp_path, monkeypatch):
    use(monkeypatch, load=lambda _, split: numbered(90, split))
    load = lambda split, **keys: load_data(DataRecipe(name="numbers", **keys), split, tmp_path, (1, 4, 4))  # noqa: E731
    valid, train = numbers(load("valid", held_out=30, flip=True)), numbers(load("train", held_out=30))
    assert sorted([*valid, *train]) == list(range(90))
    assert (len(valid), valid != list(range(60, 90)), train == sorted(train)) == (30, True, True)
    assert not load("valid", held_out=30, flip=True).flip
    few = numbers(load("train", held_out=30, limit=40))
    assert (len(few), {*few} < {*train}, few != train[:40]) == (40, True, True)
    assert numbers(load("train", held_out=30, limit=80)) == train
    assert numbers(load("valid", held_out=30, limit=1)) == valid
    assert numbers(load("train")) == list(range(90))
    assert numbers(load("test", held_out=30, limit=1)) == list(range(100, 190))
    with pytest.raises(ValueError, match="say with data.held_out how many of its 90 training images should be one"):
        load("valid")
    for split in ("train", "valid"):
        with pytest.raises(ValueError, match="data.held_out=90 should be below 90, the training images of numbers"):
            load(split, held_out=90)


def test_the_description_says_how_images_were_chosen(tmp_path, monkeypatch):
    load = lambda split, **keys: load_data(DataRecipe(name="numbers", **keys), split, tmp_path, (1, 4, 4))  # noqa: E731
    for labels in (None, lambda *_: None, lambda *_: [1, 2], lambda *_: [0] * 60 + [1] * 30):
        use(monkeypatch, load=lambda _, split: numbered(90, split), labels=labels)
        stratified = labels is not None and len(labels(tmp_path, "train") or ()) == 90
        chosen = {"selection_seed": 0, "stratified": stratified}
        described = {"name": "numbers", "split": "valid", "examples": 9, "held_out": 9}
        assert load("valid", held_out=9).describe() == described | chosen
        described = {"name": "numbers", "split": "train", "examples": 5, "held_out": 9, "limit": 5}
        assert load("train", held_out=9, limit=5).describe() == described | chosen
        assert load("train").describe() == {"name": "numbers", "split": "train", "examples": 90}
        assert load("test", held_out=9, limit=5).describe() == {"name": "numbers", "split": "test", "examples": 90}
        if stratified:
            assert sum(number < 60 for number in numbers(load("valid", held_out=9))) == 6
            assert sum(number < 60 for number in numbers(load("train", limit=9))) == 6


@pytest.mark.parametrize("limit", [1 << 20, 0], ids=["in memory", "streamed"])
def test_a_folder_of_classes_is_divided_by_class(tmp_path, monkeypatch, limit):
    for number in range(60):
        name = "cat" if number < 40 else "dog"
        path = tmp_path / "pets" / "train" / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number).save(path)
    (tmp_path / "pets" / "test").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "pets" / "test" / "0.png")
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", limit)
    recipe = DataRecipe(name="pets", held_out=15, limit=9)
    for split, cats, dogs in (("valid", 10, 5), ("train", 6, 3)):
        data = load_data(recipe, split, tmp_path, (1, 4, 4))
        assert isinstance(data.images, StreamedImages) == (limit == 0)
        found = next(iter(data.read([torch.arange(len(data))])))[:, 0, 0, 0]
        assert ((found < 40).sum(), (found >= 40).sum()) == (cats, dogs)
        assert data.describe()["stratified"]
    with pytest.raises(ValueError, match=r"say with data.held_out how many"):
        load_data(DataRecipe(name="pets"), "valid", tmp_path, (1, 4, 4))


def test_labels_of_an_npz_of_ones_own(tmp_path):
    (tmp_path / "own").mkdir()
    images = np.arange(60, dtype=np.uint8).reshape(-1, 1, 1).repeat(4, 1).repeat(4, 2)
    for split in ("train", "test"):
        np.savez(tmp_path / "own" / f"{split}.npz", images=images, labels=np.repeat(["a", "b"], [40, 20]))
    recipe = DataRecipe(name="own", held_out=6)
    assert sum(number < 40 for number in numbers(load_data(recipe, "valid", tmp_path, (1, 4, 4)))) == 4
    np.savez(tmp_path / "own" / "train.npz", images=images, labels=np.zeros((60, 3)))
    assert not load_data(recipe, "valid", tmp_path, (1, 4, 4)).stratified


def test_the_classes_of_the_data_sets_known_by_name(data_root):
    from mrvae_zoo.data.sets import data_sets

    for name, count in (("mnist", 60_000), ("fashion_mnist", 60_000), ("omniglot", 19_280), ("cifar10", 50_000)):
        labels = data_sets[name].labels(data_root, "train")
        assert len(labels) == count
        assert len({*labels}) == (964 if name == "omniglot" else 10)


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_the_validation_split_is_binarised_once(tmp_path, monkeypatch, binarize):
    grey = torch.full((60, 1, 4, 4), 100, dtype=torch.uint8)
    monkeypatch.setattr(
        "mrvae_zoo.data.sets.data_sets", Table("data set", [DataSet(name="grey", load=lambda *_: grey)])
    )
    recipe = DataRecipe(name="grey", binarize=binarize, held_out=50)
    first, second = (load_data(recipe, "valid", tmp_path, (1, 4, 4)) for _ in range(2))
    assert set(first.images.unique().tolist()) == {0, 255}
    assert torch.equal(first.images, second.images)
    assert (first.binarize, len(first)) == ("static", 50)
    assert (first.images / 255).mean().item() == pytest.approx(100 / 255, abs=0.05)


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_the_test_split_is_binarised_once(root, monkeypatch, binarize):
    grey = torch.randint(0, 256, (50, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sets = Table("data set", [DataSet(name="grey", load=lambda *_: grey)])
    monkeypatch.setattr("mrvae_zoo.data.sets.data_sets", sets)
    first, second = (load_data(DataRecipe(name="grey", binarize=binarize), "test", root, DIGIT) for _ in range(2))
    assert set(first.images.unique().tolist()) == {0, 255}
    assert torch.equal(first.images, second.images)
    assert first.images.float().mean().item() == pytest.approx(grey.float().mean().item(), rel=0.02)
    assert first.describe()["binarize"] == "static"
    train = load_data(DataRecipe(name="grey", binarize=binarize), "train", root, DIGIT)
    assert train.binarize == binarize
    assert torch.equal(train.images, grey) == (binarize == "dynamic")


def test_what_is_missing_or_damaged_is_named(root):
    recipe = DataRecipe(name="binarized_mnist")
    with pytest.raises(FileNotFoundError, match="no such folder; --data-root is"):
        load_data(recipe, "test", root / "none", DIGIT)
    with pytest.raises(ValueError, match="unknown data set 'mnst'; did you mean"):
        load_data(DataRecipe(name="mnst"), "test", root, DIGIT)
    path = root / "BinarizedMNIST" / "test.npz"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="cannot be read"):
        load_data(recipe, "test", root, DIGIT)
    np.savez(path, drawings=np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(ValueError, match="has no array named images"):
        load_data(recipe, "test", root, DIGIT)
    np.savez(path, images=np.zeros((2, 28), np.float32))
    with pytest.raises(ValueError, match="expected uint8"):
        load_data(recipe, "test", root, DIGIT)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="is missing: an .npz with the key images"):
        load_data(recipe, "test", root, DIGIT)


def test_pickled_arrays_are_not_read(root):
    path = root / "BinarizedMNIST" / "test.npz"
    np.savez(path, images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="cannot be read: Object arrays cannot be loaded"):
        load_data(DataRecipe(name="binarized_mnist"), "test", root, DIGIT)


def test_data_of_another_shape_than_the_model_takes(root):
    with pytest.raises(ValueError, match=r"has images \(1, 28, 28\); the model's input_shape is \[3, 28, 28\]"):
        load_data(DataRecipe(name="binarized_mnist"), "test", root, (3, 28, 28))
    assert load_data(DataRecipe(name="binarized_mnist"), "test", root, (1, None, None)).shape == DIGIT
    with pytest.raises(ValueError, match=r"data.size = \[8, 8\], but this model takes \[28, 28\]"):
        load_data(DataRecipe(name="binarized_mnist", size=(8, 8)), "test", root, DIGIT)


@pytest.fixture
def photos(tmp_path):
    """A folder of forty colour images of different sizes, one of them damaged, as the set `photos`."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(40):
        size = rng.integers(9, 30, 2)
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i:02}.png")
    damaged = tmp_path / "photos" / "07.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    return tmp_path


def test_a_folder_is_converted_and_resized_to_what_the_model_takes(photos):
    data = load_data(DataRecipe(name="photos"), "train", photos, (1, 12, 16))
    assert data.images.shape[1:] == (1, 12, 16)
    test = load_data(DataRecipe(name="photos"), "test", photos, (1, 12, 16))
    assert len(data) + len(test) == 39
    path = next(iter(own_sets.split_folder(photos / "photos")["train"]))
    expected = (to_tensor(path, (1, 12, 16))[0] * 255).round().byte()
    assert torch.equal(data.images[0], expected)


def test_only_what_is_trained_on_is_turned(photos):
    recipe = DataRecipe(name="photos", flip=True)
    assert load_data(recipe, "train", photos, (1, 8, 8)).flip
    assert not load_data(recipe, "test", photos, (1, 8, 8)).flip


def test_for_a_model_of_any_size_images_have_one_size_or_are_given_one(photos):
    anything = (3, None, None)
    with pytest.raises(ValueError, match=r"say in the recipe what size all should get, such as data.size = \[64, 64\]"):
        load_data(DataRecipe(name="photos"), "train", photos, anything)
    data = load_data(DataRecipe(name="photos", size=(8, 10)), "train", photos, anything)
    assert data.shape == (3, 8, 10)
    assert data.describe()["size"] == [8, 10]


@pytest.mark.parametrize("binarize", ["none", "dynamic"])
def test_streamed_is_bit_for_bit_as_in_memory(photos, monkeypatch, binarize):
    recipe = DataRecipe(name="photos", binarize=binarize, flip=True)
    kept = load_data(recipe, "train", photos, (3, 8, 8))
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", 3 * 8 * 8 * 35)
    streamed = load_data(recipe, "train", photos, (3, 8, 8))
    assert isinstance(kept.images, torch.Tensor)
    assert isinstance(streamed.images, StreamedImages)
    assert (len(streamed), streamed.shape, streamed.describe()) == (len(kept), kept.shape, kept.describe())
    order = torch.randperm(len(kept), generator=torch.Generator().manual_seed(0)).split(5)
    state = torch.get_rng_state()
    pairs = list(zip(kept.read(order), streamed.read(iter(order)), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert len(pairs) == len(order)
    for one, other in pairs:
        assert torch.equal(one, other)
        prepared = (data.prepare(images, noise(1, len(one))) for data, images in ((kept, one), (streamed, other)))
        assert torch.equal(*prepared)
    assert torch.equal(torch.cat(list(kept.batches(7))), torch.cat(list(streamed.batches(7))))


def test_what_is_streamed_is_not_binarised_once(photos, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", 0)
    for binarize, split in (("static", "train"), ("dynamic", "test")):
        with pytest.raises(ValueError, match=f"the {split} split of photos is too large to be kept in memory"):
            load_data(DataRecipe(name="photos", binarize=binarize), split, photos, (1, 8, 8))
