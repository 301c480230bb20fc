"""A data set by name: how its images are read, and what a model page says about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mrvae_zoo.data.encoded_images import EncodedImages
from mrvae_zoo.data.recipe import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What the page of a model says about a data set.

    Attributes:
        title: The title of the data set, in Markdown.
        known: Whether the other facts are known. False leaves only the title and the id on the Hub.
        url: The address of the data set's page.
        licence: The licence that its authors state; None if they state none.
        non_commercial: Whether its terms forbid commercial use, including of what is made from it.
        hub_id: The id of the same data set on the Hugging Face Hub.
        citation: A BibTeX entry for the data set.
        binary: Whether every pixel is already black or white.
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
        name: The name of the data set in recipes.
        load: The function that reads the images: `load(root, split)` returns (N, C, H, W) uint8, or `EncodedImages` to
            decode.
        labels: The function that reads the classes: `labels(root, split)` returns the class of each of these images in
            order, or None if the files do not tell. Subsets are chosen with each class in proportion. `EncodedImages`
            bring their own labels.
        classes: The names of the classes, if `labels` gives their numbers from 0 on. None names them by their number.
        valid: Whether the data set has a validation split of its own, which `load` then also reads.
        facts: The facts that the page of a model trained on this data set states; None if nothing is known.
    """

    name: str
    load: Callable[[Path, Split], Tensor | EncodedImages]
    labels: Callable[[Path, Split], Sequence[int] | None] | None = None
    classes: tuple[str, ...] | None = None
    valid: bool = False
    facts: DataFacts | None = None
