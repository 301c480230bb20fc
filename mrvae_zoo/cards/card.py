"""Model cards: the page of a model on the Hugging Face Hub, generated from its config, recipe and measured curve."""

from dataclasses import dataclass
from pathlib import Path

from mrvae_zoo.cards.images import page_images
from mrvae_zoo.cards.metadata import metadata
from mrvae_zoo.cards.subject import read_subject
from mrvae_zoo.cards.text import text
from mrvae_zoo.common.layout import README
from mrvae_zoo.evaluation.plots import check_matplotlib


@dataclass(frozen=True)
class Card:
    """A page and its images.

    Attributes:
        files: by name: README.md, and the PNG files that it shows.
    """

    files: dict[str, bytes]


def make_card(
    folder: Path,
    *,
    name: str,
    repo_id: str | None = None,
    data_root: Path | None = None,
    compare: Path | None = None,
    device: str = "cpu",
) -> Card:
    """The card of a model. The same folder gives the same card, but for how matplotlib and Pillow draw letters.

    Args:
        folder: holds config.json, model.safetensors, rd_curve.json, and recipe.toml where it was trained with one: one
            of the registry, or a RUN.
        name: of the model.
        repo_id: org/name, where the card says to load it from; else the registry, or the folder.
        data_root: the folder of data sets, for the images to reconstruct; a checkout needs none for a model of MNIST.
        compare: a file of dedicated β-VAEs (see `mrvae_zoo.cards.subject.read_comparison`); else that of a checkout's
            benchmarks/results/compare_NAME_*.json which compares the model's own recipe, where there is one.

        device: where to run the model.

    Raises:
        CheckpointError: the folder holds no whole checkpoint.
        FileNotFoundError: the data set is not there.
        ValueError: there is no curve, the recipe is that of another model, or images are needed and `data_root` is not
            given.
        MissingExtraError: matplotlib is not installed.
    """
    check_matplotlib()
    subject = read_subject(folder, name=name, repo_id=repo_id, compare=compare, device=device)
    drawn = page_images(subject, data_root)
    return Card(files={README: (metadata(subject) + "\n" + text(subject, drawn)).encode()} | drawn)
