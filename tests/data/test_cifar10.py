import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from mrvae_zoo.data import cifar10
from mrvae_zoo.data.cifar10 import load_cifar10

IMAGES = {
    split: np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    for seed, (split, n) in enumerate((("train", 10), ("test", 4)))
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A data root with an empty CIFAR10, of ten and four images."""
    monkeypatch.setattr(cifar10, "EXAMPLES", {"train": 10, "test": 4})
    (tmp_path / "CIFAR10").mkdir()
    return tmp_path


def as_npz(folder):
    for split, images in IMAGES.items():
        np.savez(folder / f"{split}.npz", images=images, labels=np.zeros(len(images)))


def as_strips(folder):
    for split, images in IMAGES.items():
        for number, part in enumerate(np.split(images, 2)):
            Image.fromarray(part.reshape(-1, 32, 3)).save(folder / f"{split}_{number:03}.webp", lossless=True)


def as_binary(folder):
    inside = folder / "cifar-10-batches-bin"
    inside.mkdir()
    names = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
    for split, images in IMAGES.items():
        for name, part in zip(names[split], np.split(images, len(names[split])), strict=True):
            records = (bytes([7]) + image.transpose(2, 0, 1).tobytes() for image in part)
            (inside / name).write_bytes(b"".join(records))


def as_archive(folder):
    as_binary(folder)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(folder / "cifar-10-batches-bin", "cifar-10-batches-bin")
    for path in (folder / "cifar-10-batches-bin").iterdir():
        path.unlink()
    (folder / "cifar-10-batches-bin").rmdir()


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("lay_out", [as_npz, as_strips, as_binary, as_archive])
def test_every_layout_gives_the_images_in_their_order(root, lay_out, split):
    lay_out(root / "CIFAR10")
    assert torch.equal(load_cifar10(root, split), torch.from_numpy(IMAGES[split]).permute(0, 3, 1, 2))


def test_files_that_are_missing_or_damaged(root, monkeypatch):
    folder = root / "CIFAR10"
    as_strips(folder)
    (folder / "train_001.webp").unlink()
    with pytest.raises(ValueError, match=r"the train images are \(5, 3, 32, 32\); expected \(10, 3, 32, 32\)"):
        load_cifar10(root, "train")
    Image.new("RGB", (32, 33)).save(folder / "train_001.webp")
    with pytest.raises(ValueError, match="is 32×33; expected images of 32×32"):
        load_cifar10(root, "train")
    for path in folder.iterdir():
        path.unlink()
    as_archive(folder)
    archive = folder / "cifar-10-binary.tar.gz"
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="tar.gz is damaged: .*; remove it to download it again"):
        load_cifar10(root, "train")
    archive.unlink()
    as_binary(folder)
    batch = folder / "cifar-10-batches-bin" / "data_batch_3.bin"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"data_batch_3.bin is damaged: it does not hold whole records"):
        load_cifar10(root, "train")
    batch.unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_3.bin is missing"):
        load_cifar10(root, "train")


def test_without_a_network_it_says_what_to_put_where(tmp_path, monkeypatch):
    def no_network(*_):
        raise OSError("<urlopen error no network>")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", no_network)
    (tmp_path / "CIFAR10" / "cifar-10-batches-py").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"put train.npz and test.npz .* there") as error:
        load_cifar10(tmp_path, "train")
    assert str(tmp_path / "CIFAR10") in str(error.value)
    assert "the pickled version is not read" in str(error.value)
    assert "no network" in str(error.value)


def test_what_is_downloaded_is_read(root, monkeypatch):
    def download(url, folder, name, md5):
        assert url.endswith(name)
        assert len(md5) == 32
        as_archive(folder)

    monkeypatch.setattr("torchvision.datasets.utils.download_url", download)
    assert torch.equal(load_cifar10(root, "test"), torch.from_numpy(IMAGES["test"]).permute(0, 3, 1, 2))


@pytest.mark.slow
def test_the_real_images(data_root):
    if not (data_root / "CIFAR10").is_dir():
        pytest.skip("no CIFAR10 there")
    train, test = load_cifar10(data_root, "train"), load_cifar10(data_root, "test")
    assert (train.shape, test.shape) == ((50_000, 3, 32, 32), (10_000, 3, 32, 32))
    mean, std = train.double().div(255).mean((0, 2, 3)), train.double().div(255).std((0, 2, 3))
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)  # as published in many places
    assert std.tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=1e-4)
    with Image.open(data_root / "CIFAR10" / "test_003.webp") as strip:
        first = np.asarray(strip.convert("RGB"))[:32]
    assert torch.equal(test[1500], torch.from_numpy(first.copy()).permute(2, 0, 1))
