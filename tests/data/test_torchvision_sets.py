import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import CHECKOUT
from PIL import Image

from mrvae_zoo.data.downloading import download
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import data_sets, load_data
from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.training.recipe import read_recipe

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)


def no_network(*_, **__):
    raise OSError("<urlopen error no network>")


def write_idx(path, images):
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(size.to_bytes(4, "big") for size in images.shape)
    path.write_bytes(bytes([0, 0, 8, images.ndim]) + sizes + images.tobytes())


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_sets_in_the_format_of_mnist(tmp_path, name, folder):
    raw = tmp_path / folder / "raw"
    write_idx(raw / "train-images-idx3-ubyte", IMAGES)
    write_idx(raw / "t10k-images-idx3-ubyte", IMAGES[:2])
    assert torch.equal(data_sets[name].load(tmp_path, "train")[:, 0], torch.from_numpy(IMAGES))
    assert torch.equal(data_sets[name].load(tmp_path, "test")[:, 0], torch.from_numpy(IMAGES[:2]))
    for cut in (0, 10, 100):
        content = (raw / "train-images-idx3-ubyte").read_bytes()[:cut]
        (raw / "train-images-idx3-ubyte").write_bytes(content)
        with pytest.raises(ValueError, match="train-images-idx3-ubyte is damaged .*remove the folder to download it"):
            data_sets[name].load(tmp_path, "train")


@pytest.mark.parametrize(
    ("name", "broken", "folder", "what"),
    [
        ("mnist", "mnist.MNIST.download", "MNIST/raw", "train-images-idx3-ubyte and t10k-images-idx3-ubyte"),
        ("fashion_mnist", "mnist.MNIST.download", "FashionMNIST/raw", "train-images-idx3-ubyte"),
        ("kmnist", "mnist.MNIST.download", "KMNIST/raw", "train-images-idx3-ubyte"),
        ("omniglot", "omniglot.Omniglot.download", "omniglot-py/images_background", "train28.npz with the key images"),
        ("celeba", "celeba.CelebA.download", "celeba", "img_align_celeba and list_eval_partition.txt"),
    ],
)
def test_without_a_network_it_says_what_to_put_where(tmp_path, monkeypatch, name, broken, folder, what):
    monkeypatch.setattr(f"torchvision.datasets.{broken}", no_network)
    with pytest.raises(
        FileNotFoundError, match=f"could not be downloaded .*no network.*; put .*{what}.* there"
    ) as error:
        load_data(DataRecipe(name=name), "train", tmp_path, (1, 28, 28))
    assert str(tmp_path / folder) in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_whole_reason_is_told_and_what_was_there_stays(tmp_path):
    def fail():
        (tmp_path / "there" / "new" / "deep").mkdir(parents=True)
        (tmp_path / "there" / "new" / "deep" / "half").touch()
        raise RuntimeError("Error downloading it:\nTried https://a, got:\n<name or service not known>")

    (tmp_path / "there").mkdir()
    reason = r"\(Error downloading it: Tried https://a, got: <name or service not known>\); put files there"
    with pytest.raises(FileNotFoundError, match=reason):
        download(fail, "a set", tmp_path / "there" / "new" / "deep", "files")
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]
    assert list((tmp_path / "there").iterdir()) == []


def test_an_archive_that_is_there_is_unpacked_without_a_network(tmp_path, monkeypatch):
    """As the files come from their site, packed: torchvision unpacks them, and checks them."""
    monkeypatch.setattr("torchvision.datasets.utils.check_integrity", lambda path, md5=None: Path(path).is_file())
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", no_network)
    raw = tmp_path / "KMNIST" / "raw"
    for stem in ("train-images-idx3", "t10k-images-idx3"):
        write_idx(raw / f"{stem}-ubyte", IMAGES)
    for stem in ("train-labels-idx1", "t10k-labels-idx1"):
        write_idx(raw / f"{stem}-ubyte", IMAGES[:, 0, 0])
    for path in list(raw.iterdir()):
        with gzip.open(f"{path}.gz", "wb") as packed:
            packed.write(path.read_bytes())
        path.unlink()
    assert torch.equal(data_sets["kmnist"].load(tmp_path, "test")[:, 0], torch.from_numpy(IMAGES))


def test_omniglot_as_torchvision_keeps_it_is_omniglot_at_28(tmp_path, data_root):
    """The drawings of 105×105, black on white and one a file, become the prepared images of 28×28."""
    if not (data_root / "Omniglot" / "test.npz").is_file():
        pytest.skip("no Omniglot there")
    with np.load(data_root / "Omniglot" / "test.npz") as arrays:
        drawings = arrays["images"][:40]
    for i, drawing in enumerate(drawings):
        path = tmp_path / "omniglot-py" / "images_evaluation" / "Angelic" / f"character{i // 20:02}" / f"{i:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawing == 0).save(path)
    prepared = load_data(DataRecipe(name="omniglot"), "test", data_root, (1, 28, 28))
    assert len(prepared) == 13_180
    assert torch.equal(
        load_data(DataRecipe(name="omniglot"), "test", tmp_path, (1, 28, 28)).images, prepared.images[:40]
    )
    assert len(load_data(DataRecipe(name="omniglot"), "train", data_root, (1, 28, 28))) == 19_280


@pytest.mark.parametrize(("name", "train", "test"), [("mnist", 33.32, 33.79), ("fashion_mnist", 72.94, 73.15)])
def test_the_real_images(data_root, name, train, test):
    """The means of the pixels are those that are published with the sets."""
    if not (data_root / {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[name]).is_dir():
        pytest.skip(f"no {name} there")
    for split, n, mean in (("train", 60_000, train), ("test", 10_000, test)):
        images = load_data(DataRecipe(name=name), split, data_root, (1, 28, 28)).images
        assert (images.shape, images.dtype) == ((n, 1, 28, 28), torch.uint8)
        assert images.float().mean().item() == pytest.approx(mean, abs=0.01)


def test_svhn_as_npz(tmp_path):
    (tmp_path / "SVHN").mkdir()
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "SVHN" / "test.npz", images=images)
    expected = torch.from_numpy(images).permute(0, 3, 1, 2)
    assert torch.equal(load_data(DataRecipe(name="svhn"), "test", tmp_path, (3, 32, 32)).images, expected)


def test_svhn_needs_an_extra_before_anything_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match=r"scipy is not installed; .*mrvae-zoo\[svhn\]"):
        data_sets["svhn"].load(tmp_path, "train")


def test_svhn_as_torchvision_keeps_it(tmp_path, monkeypatch):
    savemat = pytest.importorskip("scipy.io").savemat
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    (tmp_path / "SVHN").mkdir()
    mat = {"X": images.transpose(1, 2, 3, 0), "y": np.ones((4, 1), np.uint8)}
    savemat(tmp_path / "SVHN" / "test_32x32.mat", mat)
    monkeypatch.setattr("torchvision.datasets.svhn.check_integrity", lambda *_: True)
    expected = torch.from_numpy(images).permute(0, 3, 1, 2)
    assert torch.equal(data_sets["svhn"].load(tmp_path, "test"), expected)


@pytest.fixture
def celeba(tmp_path):
    """Ten faces, green in the middle 140×140 pixels and red around: six to train on, two to validate, two to test."""
    folder = tmp_path / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    parts = "0000110220"
    for i in range(10):
        face = Image.new("RGB", (178, 218), "red")
        face.paste((0, 200 + i, 0), (19, 39, 159, 179))
        face.save(folder / f"{i:06}.png")
    lines = (f"{i:06}.png {part}\n" for i, part in enumerate(parts))
    (tmp_path / "celeba" / "list_eval_partition.txt").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def test_celeba(celeba):
    recipe = read_recipe(CHECKOUT / "registry" / "mrvae_resnet.paper_celeba64" / "recipe.toml")
    data = load_data(recipe.data, "train", celeba, recipe.model.input_shape)
    assert data.images.shape == (6, 3, 64, 64)
    for image, green in zip(data.images, (200, 201, 202, 203, 206, 209), strict=True):
        assert image.flatten(1).unique(dim=1).flatten().tolist() == [0, green, 0]
    assert load_data(recipe.data, "test", celeba, (1, 20, 30)).images.shape == (2, 1, 20, 30)
    assert load_data(recipe.data, "valid", celeba, (3, 8, 8)).images[:, 1, 0, 0].tolist() == [204, 205]


def test_celeba_that_is_damaged(celeba, caplog):
    parts = celeba / "celeba" / "list_eval_partition.txt"
    (celeba / "celeba" / "img_align_celeba" / "000008.png").unlink()
    assert len(load_data(DataRecipe(name="celeba"), "test", celeba, (3, 8, 8))) == 1
    assert "1 of 2 images cannot be read and are left out" in caplog.text
    parts.write_text("000001.png\n", encoding="utf-8")
    with pytest.raises(ValueError, match="list_eval_partition.txt is damaged"):
        load_data(DataRecipe(name="celeba"), "test", celeba, (3, 8, 8))
    parts.write_text("000001.png 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="names no images of the test split"):
        load_data(DataRecipe(name="celeba"), "test", celeba, (3, 8, 8))
