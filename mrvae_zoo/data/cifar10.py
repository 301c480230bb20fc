"""CIFAR-10, without unpickling: as .npz, as lossless WebP strips, or as the official binary archive.

Letters: N examples.
"""

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mrvae_zoo.common.decoding import open_image
from mrvae_zoo.data.data_set import DataFacts, DataSet
from mrvae_zoo.data.decoded_cache import decode_once
from mrvae_zoo.data.downloading import download
from mrvae_zoo.data.npz import read_labels, read_npz
from mrvae_zoo.data.recipe import Split

EXAMPLES: dict[Split, int] = {"train": 50_000, "test": 10_000}
SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32  # bytes: a label, then the image, channels first
FILES: dict[Split, list[str]] = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
INSIDE = "cifar-10-batches-bin"
ARCHIVE = "cifar-10-binary.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"


def load_cifar10(root: Path, split: Split) -> Tensor:
    """Load CIFAR-10 in the official order, (50000 or 10000, 3, 32, 32); it is downloaded if it is missing.

    The folder CIFAR10 may hold: train.npz and test.npz; strips train_*.webp and test_*.webp of images one above the
    other; or the folder or the archive of the binary version.

    Raises:
        FileNotFoundError: The data are missing and cannot be downloaded; the message says what to put where.
        ValueError: A file is damaged, or the number of images is wrong.
    """
    folder = root / "CIFAR10"
    if (folder / f"{split}.npz").is_file():
        images = read_npz(folder / f"{split}.npz")
    elif strips := sorted(folder.glob(f"{split}_*.webp")):
        images = decode_once(strips, (None, *SHAPE), _read_strips)
    else:
        images = _read_records(folder, split)[:, 1:].reshape(-1, *SHAPE)
    expected = (EXAMPLES[split], *SHAPE)
    if tuple(images.shape) != expected:
        raise ValueError(f"{folder}: the {split} images are {tuple(images.shape)}; expected {expected}")
    return images


def read_cifar10_labels(root: Path, split: Split) -> list[Any] | None:
    """Read the class of each image, 0 to 9, stored beside the images; labels.npz holds those of strips, by split."""
    folder = root / "CIFAR10"
    if (folder / f"{split}.npz").is_file():
        return read_labels(folder / f"{split}.npz")
    if any(folder.glob(f"{split}_*.webp")):
        return read_labels(folder / "labels.npz", split)
    return list(_read_records(folder, split)[:, 0].tolist())


def _read_strips(paths: Sequence[Path]) -> Tensor:
    return torch.cat([_read_strip(path) for path in paths])


def _read_strip(path: Path) -> Tensor:
    pixels = np.array(open_image(path).convert("RGB"))  # (N * 32, 32, 3)
    if pixels.shape[1] != SHAPE[2] or pixels.shape[0] % SHAPE[1]:
        raise ValueError(
            f"{path} is {pixels.shape[1]}×{pixels.shape[0]}; expected images of 32×32, one above the other"
        )
    return torch.from_numpy(pixels.reshape(-1, 32, 32, 3)).permute(0, 3, 1, 2).contiguous()


def _read_records(folder: Path, split: Split) -> Tensor:
    """Read the binary version: (N, RECORD) uint8."""
    inside = folder / INSIDE
    if inside.is_dir():
        return torch.cat([_records(_read_file(inside / name), inside / name) for name in FILES[split]])
    if not (folder / ARCHIVE).is_file():
        _download(folder)
    return _read_archive(folder / ARCHIVE, split)


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; it belongs to the binary version of CIFAR-10")
    return path.read_bytes()


def _read_archive(path: Path, split: Split) -> Tensor:
    parts = []
    try:
        with tarfile.open(path) as archive:
            for name in FILES[split]:
                member = archive.extractfile(f"{INSIDE}/{name}")
                assert member is not None  # as for every regular file
                parts.append(_records(member.read(), path))
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise ValueError(f"{path} is damaged: {error}; remove it to download it again") from None
    return torch.cat(parts)


def _records(content: bytes, path: Path) -> Tensor:
    if len(content) % RECORD:
        raise ValueError(f"{path} is damaged: it does not hold whole records of {RECORD} bytes")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).view(-1, RECORD)


def _download(folder: Path) -> None:
    from torchvision.datasets.utils import download_url

    what = f"train.npz and test.npz with the key images, or {ARCHIVE} from {URL} (the pickled version is not read),"
    download(lambda: download_url(URL, folder, ARCHIVE, MD5), "CIFAR10", folder, what)


CIFAR10 = DataSet(
    name="cifar10",
    load=load_cifar10,
    labels=read_cifar10_labels,
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    facts=DataFacts(
        title="CIFAR-10",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        hub_id="uoft-cs/cifar10",
        citation="""@techreport{krizhevsky2009learning,
  title       = {Learning Multiple Layers of Features from Tiny Images},
  author      = {Krizhevsky, Alex},
  institution = {University of Toronto},
  year        = {2009}
}""",
    ),
)
