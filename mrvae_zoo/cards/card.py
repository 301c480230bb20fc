"""Model cards: the page of a model on the Hugging Face Hub, generated from its config, recipe and measured curve."""

from dataclasses import dataclass
from pathlib import Path

from mrvae_zoo.cards.images import page_images
from mrvae_zoo.cards.metadata import metadata
from mrvae_zoo.cards.subject import read_subject
from mrvae_zoo.cards.text import check_jinja2, text
from mrvae_zoo.common.layout import README
from mrvae_zoo.evaluation.plots import check_matplotlib


@dataclass(frozen=True)
class Card:
    """A page and its images.

    Attributes:
        files: The content of each file, by name: README.md, the PNG files that it shows, and two example images.
    """

    files: dict[str, bytes]


def make_card(
    folder: Path,
    *,
    name: str,
    repo_id: str | None = None,
    space_url: str | None = None,
    data_root: Path | None = None,
    compare: Path | None = None,
    device: str = "cpu",
    page: str = "",
) -> Card:
    """Make the card of a model. The same folder gives the same card, except for how matplotlib draws letters.

    Args:
        folder: A folder of the registry, or a RUN. It holds config.json, model.safetensors and rd_curve.json, and
            recipe.toml if the model was trained with one.
        name: The name of the model.
        repo_id: The repository, org/name, that the card says to load the model from. None names the registry, or the
            folder without its path.
        space_url: The address of the Space on which the model runs in the browser; None if there is none.
        data_root: The folder of data sets, for the images to reconstruct. A checkout needs none for a model of MNIST.
        compare: A file of dedicated β-VAEs (see `mrvae_zoo.cards.subject.read_comparison`). None takes the file
            benchmarks/results/compare_NAME_*.json of a checkout that compares the model's own recipe, if there is one.
        device: The device to run the model on.
        page: The folder of the page, relative to the one that holds `folder`. The code on the card of a folder reads
            its example images there.

    Raises:
        CheckpointError: The folder holds no whole checkpoint.
        FileNotFoundError: The data set is not there.
        ValueError: There is no curve, the recipe describes another model, or images are needed and `data_root` is not
            given.
        MissingExtraError: matplotlib or jinja2 is not installed.
    """
    check_matplotlib()
    check_jinja2()
    subject = read_subject(folder, name=name, repo_id=repo_id, compare=compare, device=device, page=page)
    drawn = page_images(subject, data_root)
    return Card(files={README: (metadata(subject) + "\n" + text(subject, drawn, space_url=space_url)).encode()} | drawn)
