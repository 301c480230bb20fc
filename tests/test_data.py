import numpy as np
import pytest
import torch

from mrvae_zoo.data import DataSet, ImageData, load_data
from mrvae_zoo.recipes import DataRecipe
from mrvae_zoo.registry import Registry


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
    assert torch.equal(data.batch(torch.tensor([3, 1])), images[[3, 1]].float() / 255)
    assert torch.equal(torch.cat(list(data.batches(4))), images.float() / 255)
    assert [len(x) for x in data.batches(4)] == [4, 2]


def test_dynamic_binarisation_draws_each_pixel_by_its_grey():
    images = torch.tensor([0, 51, 128, 255], dtype=torch.uint8).view(1, 1, 2, 2).expand(20_000, 1, 2, 2)
    data = ImageData(name="x", split="train", images=images, binarize="dynamic")
    index = torch.arange(20_000)
    x = data.batch(index, torch.Generator().manual_seed(0))
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(x.mean(0).flatten(), torch.tensor([0.0, 0.2, 128 / 255, 1.0]), atol=0.01)
    assert torch.equal(x, data.batch(index, torch.Generator().manual_seed(0)))
    assert not torch.equal(x, data.batch(index, torch.Generator().manual_seed(1)))


def test_binarized_mnist(root):
    data = load_data(DataRecipe(name="binarized_mnist", limit=5), "train", root)
    assert data.images.shape == (5, 1, 28, 28)
    assert set(data.images.unique().tolist()) == {0, 255}
    test = load_data(DataRecipe(name="binarized_mnist", limit=5), "test", root)
    assert len(test) == 8
    assert test.describe() == {"name": "binarized_mnist", "split": "test", "examples": 8}


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_the_test_split_is_binarised_once(root, monkeypatch, binarize):
    grey = torch.randint(0, 256, (50, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sets = Registry("data set", [DataSet(name="grey", load=lambda *_: grey)])
    monkeypatch.setattr("mrvae_zoo.data.data_sets", sets)
    first, second = (load_data(DataRecipe(name="grey", binarize=binarize), "test", root) for _ in range(2))
    assert set(first.images.unique().tolist()) == {0, 255}
    assert torch.equal(first.images, second.images)
    assert first.images.float().mean().item() == pytest.approx(grey.float().mean().item(), rel=0.02)
    assert first.describe()["binarize"] == "static"
    train = load_data(DataRecipe(name="grey", binarize=binarize), "train", root)
    assert train.binarize == binarize
    assert torch.equal(train.images, grey) == (binarize == "dynamic")


def test_what_is_missing_or_damaged_is_named(root):
    recipe = DataRecipe(name="binarized_mnist")
    with pytest.raises(FileNotFoundError, match="no such folder; --data-root is"):
        load_data(recipe, "test", root / "none")
    with pytest.raises(ValueError, match="unknown data set 'mnst'; did you mean"):
        load_data(DataRecipe(name="mnst"), "test", root)
    path = root / "BinarizedMNIST" / "test.npz"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="cannot be read"):
        load_data(recipe, "test", root)
    np.savez(path, pictures=np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(ValueError, match="has no array named images"):
        load_data(recipe, "test", root)
    np.savez(path, images=np.zeros((2, 28), np.float32))
    with pytest.raises(ValueError, match="expected uint8"):
        load_data(recipe, "test", root)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="is missing: an .npz with the key images"):
        load_data(recipe, "test", root)


def test_pickled_arrays_are_not_read(root):
    path = root / "BinarizedMNIST" / "test.npz"
    np.savez(path, images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="cannot be read: Object arrays cannot be loaded"):
        load_data(DataRecipe(name="binarized_mnist"), "test", root)


def test_mnist_that_is_not_there_says_what_to_put_where(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise OSError("<urlopen error no network>")

    monkeypatch.setattr("torchvision.datasets.MNIST.download", no_network)
    with pytest.raises(FileNotFoundError, match="put train-images-idx3-ubyte") as error:
        load_data(DataRecipe(name="mnist"), "train", tmp_path)
    assert str(tmp_path / "MNIST" / "raw") in str(error.value)


def test_mnist_is_read_as_torchvision_keeps_it(data_root):
    data = load_data(DataRecipe(name="mnist", binarize="dynamic", limit=1000), "train", data_root)
    assert data.images.shape == (1000, 1, 28, 28)
    assert data.images.dtype == torch.uint8
    assert 30 < data.images.float().mean() < 36  # the mean of MNIST is 33.3
    assert len(load_data(DataRecipe(name="mnist"), "test", data_root)) == 10_000
