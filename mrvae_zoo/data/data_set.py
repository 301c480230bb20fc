"""A data set by name: how its images are read, and what a page says of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mrvae_zoo.data.encoded_images import EncodedImages
from mrvae_zoo.data.recipe import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What the page of a model says of a data set.

    Attributes:
        title: its name in Markdown.
        known: whether the rest is known; False leaves the title and the id on the Hub.
        url: where it comes from.
        licence: the licence that its authors state; None where they state none.
        non_commercial: whether its terms forbid commercial use, also of what is made from it.
        hub_id: the id of the same set on the Hugging Face Hub.
        citation: a BibTeX entry.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A data set by name.

    Attributes:
        name: as in recipes.
        load: `load(root, split)` gives its images, (N, C, H, W) uint8, or `EncodedImages` to decode.
        labels: `labels(root, split)` gives the class of each of these images, in their order, or None where the files
            do not tell. What is held out or left out is chosen by it. `EncodedImages` bring theirs.
        valid: whether it has a validation split of its own, which `load` then gives too.
        facts: what the page of a model that was trained on it says of it; None where nothing is known.
    """

    name: str
    load: Callable[[Path, Split], Tensor | EncodedImages]
    labels: Callable[[Path, Split], Sequence[int] | None] | None = None
    valid: bool = False
    facts: DataFacts | None = None
