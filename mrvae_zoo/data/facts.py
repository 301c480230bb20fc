"""What is known of data sets by their names: title, licence, source and citation, for the cards of models."""

import re
from dataclasses import dataclass

from mrvae_zoo.data.hf_datasets import PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """A data set, for those who read a card.

    Attributes:
        title: its name in Markdown.
        known: whether the rest says what is so; of an unknown set only the title and the Hub's id are there.
        url: where it comes from.
        licence: what its authors state, None where they state none.
        non_commercial: whether its terms allow no commercial use, also of what is made from it.
        hub_id: of the same set on the Hugging Face Hub.
        citation: in BibTeX.
        binary: whether every pixel is black or white already.
    """

    title: str
    known: bool = True
    url: str | None = None
    licence: str | None = None
    non_commercial: bool = False
    hub_id: str | None = None
    citation: str | None = None
    binary: bool = False


def data_facts(name: str) -> DataFacts:
    """What is known of the data set of that name: for one that is not in the table, its name."""
    if name in FACTS:
        return FACTS[name]
    hub_id, _, _ = name.removeprefix(PREFIX).partition(":")
    on_hub = name.startswith(PREFIX) and re.fullmatch(r"[\w.-]+/[\w.-]+", hub_id, re.ASCII) is not None
    code = " ".join(name.replace("`", "'").split())
    return DataFacts(title=f"`{code}`", known=False, hub_id=hub_id if on_hub else None)


MNIST_CITATION = """@article{lecun1998gradient,
  title   = {Gradient-Based Learning Applied to Document Recognition},
  author  = {LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},
  journal = {Proceedings of the IEEE},
  volume  = {86},
  number  = {11},
  pages   = {2278--2324},
  year    = {1998}
}"""

FACTS = {
    "mnist": DataFacts(
        title="MNIST",
        url="http://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0",
        hub_id="ylecun/mnist",
        citation=MNIST_CITATION,
    ),
    "binarized_mnist": DataFacts(
        title="MNIST as binarised by Larochelle",
        url="http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",
        licence="CC BY-SA 3.0",
        citation=MNIST_CITATION,
        binary=True,
    ),
    "fashion_mnist": DataFacts(
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
    "kmnist": DataFacts(
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
    "omniglot": DataFacts(
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
    "svhn": DataFacts(
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
    "cifar10": DataFacts(
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
    "celeba": DataFacts(
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
    "sprites": DataFacts(title="the sprites that mrvae_zoo draws", licence="Apache-2.0"),
}
