"""The data sets that the zoo knows by name, in the layouts of torchvision, downloaded if possible.

Nothing here unpickles. Of torchvision's readers, only those of MNIST's format are used, and the one for SVHN, which
needs SciPy. Everything else is read here, from what torchvision downloads.

Letters: N examples, C, H, W image.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mrvae_zoo.common.decoding import find_images, open_image
from mrvae_zoo.data.data_set import DataFacts, DataSet
from mrvae_zoo.data.downloading import download
from mrvae_zoo.data.encoded_images import EncodedImages
from mrvae_zoo.data.npz import read_labels, read_npz
from mrvae_zoo.data.recipe import Split
from mrvae_zoo.errors import MissingExtraError

if TYPE_CHECKING:
    from PIL import Image


CELEBA_CROP = 140  # pixels, the middle of the 178×218 of an aligned image: the face (Tolstikhin et al., 2018)
OMNIGLOT_SIZE = 28


def mnist_loader(kind: str) -> Callable[[Path, Split], Tensor]:
    """Return a function that reads a data set in MNIST's format: (60000 or 10000, 1, 28, 28).

    Args:
        kind: The class in torchvision.datasets, which is also the name of the folder.
    """

    def load(root: Path, split: Split) -> Tensor:
        import torchvision.datasets

        files = {each: root / kind / "raw" / f"{stem}-images-idx3-ubyte" for each, stem in MNIST_STEMS.items()}
        if not files[split].is_file():
            names = " and ".join(file.name for file in files.values())
            reader = getattr(torchvision.datasets, kind)
            download(lambda: reader(root, download=True), kind, files[split].parent, names)
        try:
            images: Tensor = torchvision.datasets.mnist.read_image_file(str(files[split]))
        except (OSError, ValueError, TypeError, KeyError, AssertionError, RuntimeError) as error:
            raise ValueError(
                f"{files[split]} is damaged ({error or 'it is not of the length it says'}); "
                "remove the folder to download it again"
            ) from None
        return images.unsqueeze(1)

    return load


def mnist_labels(kind: str) -> Callable[[Path, Split], list[Any] | None]:
    """Return a function that reads the classes of a data set in MNIST's format; None if their file is missing."""

    def read(root: Path, split: Split) -> list[Any] | None:
        from torchvision.datasets.mnist import read_label_file

        path = root / kind / "raw" / f"{MNIST_STEMS[split]}-labels-idx1-ubyte"
        try:
            return list(read_label_file(str(path)).tolist())
        except (OSError, ValueError, TypeError, KeyError, AssertionError, RuntimeError):
            return None

    return read


MNIST_STEMS: dict[Split, str] = {"train": "train", "test": "t10k"}


def load_binarized_mnist(root: Path, split: Split) -> Tensor:
    """Load MNIST binarised once (Larochelle's files): (50000, or 10000 for validation and testing, 1, 28, 28)."""
    return 255 * read_npz(root / "BinarizedMNIST" / f"{split}.npz")


def load_omniglot(root: Path, split: Split) -> Tensor:
    """Load Omniglot at 28×28, white on black, (N, 1, 28, 28); the background set is the training split.

    The source is Omniglot/{train,test}28.npz, or else torchvision's omniglot-py, whose drawings of 105×105 are averaged
    over areas. Both have 19,280 and 13,180 drawings.
    """
    prepared, folder = _omniglot_files(root, split)
    if prepared.is_file():
        return read_npz(prepared)
    if not folder.is_dir():
        from torchvision.datasets import Omniglot

        what = f"the contents of {folder.name}.zip in {folder}, or {prepared} with the key images, uint8 (N, 28, 28),"
        download(lambda: Omniglot(root, background=split == "train", download=True), "Omniglot", root, what)
    paths = find_images(folder)
    if not paths:
        raise FileNotFoundError(f"{folder} holds no drawings; put the contents of {folder.name}.zip there")
    with ThreadPoolExecutor() as pool:
        return torch.stack(list(pool.map(_drawing, paths)))


def read_omniglot_labels(root: Path, split: Split) -> list[Any] | None:
    """Read the character of each drawing."""
    prepared, folder = _omniglot_files(root, split)
    if prepared.is_file():
        return read_labels(prepared)
    return [str(path.parent.relative_to(folder)) for path in find_images(folder)]


def _omniglot_files(root: Path, split: Split) -> tuple[Path, Path]:
    folder = {"train": "images_background", "test": "images_evaluation"}[split]
    return root / "Omniglot" / f"{split}28.npz", root / "omniglot-py" / folder


def _drawing(path: Path) -> Tensor:
    """Convert a drawing, black on white, to (1, 28, 28) uint8, white on black."""
    from PIL import Image, ImageChops

    white = ImageChops.invert(open_image(path).convert("L"))
    small = white.resize((OMNIGLOT_SIZE, OMNIGLOT_SIZE), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small)).unsqueeze(0)


def load_svhn(root: Path, split: Split) -> Tensor:
    """Load SVHN's cropped digits, (73257 or 26032, 3, 32, 32), from SVHN/{train,test}.npz or torchvision's .mat files.

    Raises:
        MissingExtraError: There is no .npz, and SciPy, which reads the .mat, is not installed.
    """
    folder = root / "SVHN"
    if (folder / f"{split}.npz").is_file():
        return read_npz(folder / f"{split}.npz")
    return torch.from_numpy(np.ascontiguousarray(_read_svhn(folder, split).data))


def read_svhn_labels(root: Path, split: Split) -> list[Any] | None:
    """Read the digit in each image."""
    folder = root / "SVHN"
    if (folder / f"{split}.npz").is_file():
        return read_labels(folder / f"{split}.npz")
    return list(_read_svhn(folder, split).labels.tolist())


def _read_svhn(folder: Path, split: Split) -> Any:
    if find_spec("scipy") is None:  # before the download, after which torchvision's reader imports it
        raise MissingExtraError("scipy", "svhn")
    from torchvision.datasets import SVHN

    found = (folder / f"{split}_32x32.mat").is_file()
    what = f"{split}_32x32.mat from {SVHN.split_list[split][0]}"
    return download(lambda: SVHN(folder, split, download=not found), "SVHN", folder, what)


def load_celeba(root: Path, split: Split) -> EncodedImages:
    """Load CelebA's aligned faces, the middle 140×140 pixels of each: 162,770, 19,867 or 19,962 images to decode."""
    folder = root / "celeba"
    images, parts = folder / "img_align_celeba", folder / "list_eval_partition.txt"
    if not (images.is_dir() and parts.is_file()):
        from torchvision.datasets import CelebA

        what = "the folder img_align_celeba and list_eval_partition.txt"
        download(lambda: CelebA(root, download=True), "CelebA", folder, what)
    number = {"train": "0", "valid": "1", "test": "2"}[split]
    rows = [line.split() for line in parts.read_text(encoding="utf-8").splitlines() if line.strip()]
    if any(len(row) != 2 for row in rows):
        raise ValueError(f"{parts} is damaged: a line should be the name of a file and 0, 1 or 2")
    paths = [images / Path(name).name for name, part in rows if part == number]
    if not paths:
        raise ValueError(f"{parts} names no images of the {split} split")
    return EncodedImages("celeba", paths, open_face)


def open_face(path: Path) -> "Image.Image":
    """Return the middle of an aligned image."""
    image = open_image(path)
    left, top = (image.width - CELEBA_CROP) // 2, (image.height - CELEBA_CROP) // 2
    return image.crop((left, top, left + CELEBA_CROP, top + CELEBA_CROP))


MNIST_CITATION = """@article{lecun1998gradient,
  title   = {Gradient-Based Learning Applied to Document Recognition},
  author  = {LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},
  journal = {Proceedings of the IEEE},
  volume  = {86},
  number  = {11},
  pages   = {2278--2324},
  year    = {1998}
}"""
MNIST = DataSet(
    name="mnist",
    load=mnist_loader("MNIST"),
    labels=mnist_labels("MNIST"),
    facts=DataFacts(
        title="MNIST",
        url="http://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0",
        hub_id="ylecun/mnist",
        citation=MNIST_CITATION,
    ),
)

FASHION_MNIST = DataSet(
    name="fashion_mnist",
    load=mnist_loader("FashionMNIST"),
    labels=mnist_labels("FashionMNIST"),
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    facts=DataFacts(
        title="Fashion-MNIST",
        url="https://github.com/zalandoresearch/fashion-mnist",
        licence="MIT",
        hub_id="zalando-datasets/fashion_mnist",
        citation="""@article{xiao2017fashion,
  title   = {{Fashion-MNIST}: a Novel Image Dataset for Benchmarking Machine Learning Algorithms},
  author  = {Xiao, Han and Rasul, Kashif and Vollgraf, Roland},
  journal = {arXiv:1708.07747},
  year    = {2017}
}""",
    ),
)

KMNIST = DataSet(
    name="kmnist",
    load=mnist_loader("KMNIST"),
    labels=mnist_labels("KMNIST"),
    facts=DataFacts(
        title="Kuzushiji-MNIST",
        url="https://github.com/rois-codh/kmnist",
        licence="CC BY-SA 4.0",
        citation="""@article{clanuwat2018deep,
  title   = {Deep Learning for Classical {Japanese} Literature},
  author  = {Clanuwat, Tarin and Bober-Irizar, Mikel and Kitamoto, Asanobu and Lamb, Alex and Yamamoto, Kazuaki and
             Ha, David},
  journal = {arXiv:1812.01718},
  year    = {2018}
}""",
    ),
)

BINARIZED_MNIST = DataSet(
    name="binarized_mnist",
    load=load_binarized_mnist,
    valid=True,
    facts=DataFacts(
        title="MNIST as binarised by Larochelle",
        url="http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",
        licence="CC BY-SA 3.0",
        citation=MNIST_CITATION,
        binary=True,
    ),
)

OMNIGLOT = DataSet(
    name="omniglot",
    load=load_omniglot,
    labels=read_omniglot_labels,
    facts=DataFacts(
        title="Omniglot at 28×28",
        url="https://github.com/brendenlake/omniglot",
        licence="MIT",
        citation="""@article{lake2015human,
  title   = {Human-Level Concept Learning through Probabilistic Program Induction},
  author  = {Lake, Brenden M. and Salakhutdinov, Ruslan and Tenenbaum, Joshua B.},
  journal = {Science},
  volume  = {350},
  number  = {6266},
  pages   = {1332--1338},
  year    = {2015}
}""",
    ),
)

SVHN = DataSet(
    name="svhn",
    load=load_svhn,
    labels=read_svhn_labels,
    facts=DataFacts(
        title="SVHN (cropped digits)",
        url="http://ufldl.stanford.edu/housenumbers/",
        licence="for non-commercial use only",
        non_commercial=True,
        hub_id="ufldl-stanford/svhn",
        citation="""@inproceedings{netzer2011reading,
  title     = {Reading Digits in Natural Images with Unsupervised Feature Learning},
  author    = {Netzer, Yuval and Wang, Tao and Coates, Adam and Bissacco, Alessandro and Wu, Bo and Ng, Andrew Y.},
  booktitle = {NIPS Workshop on Deep Learning and Unsupervised Feature Learning},
  year      = {2011}
}""",
    ),
)

CELEBA = DataSet(
    name="celeba",
    load=load_celeba,
    valid=True,
    facts=DataFacts(
        title="CelebA (the middle 140×140 pixels of the aligned faces)",
        url="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        licence="for non-commercial research only",
        non_commercial=True,
        citation="""@inproceedings{liu2015deep,
  title     = {Deep Learning Face Attributes in the Wild},
  author    = {Liu, Ziwei and Luo, Ping and Wang, Xiaogang and Tang, Xiaoou},
  booktitle = {International Conference on Computer Vision (ICCV)},
  year      = {2015}
}""",
    ),
)
