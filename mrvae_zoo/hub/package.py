"""The files of a push: a model and its page, checked before the first byte is sent."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mrvae_zoo.cards.card import make_card
from mrvae_zoo.cards.images import EXAMPLES
from mrvae_zoo.cards.metadata import LIBRARY
from mrvae_zoo.checkpoints.folder import load_checkpoint, save_pretrained
from mrvae_zoo.checkpoints.registry import has_weights, list_models, model_folder
from mrvae_zoo.checkpoints.sources import HUB, LOCAL, local_folder
from mrvae_zoo.common.devices import find_device
from mrvae_zoo.common.layout import (
    CONFIG,
    CURVE,
    CURVE_PLOT,
    LATENTS,
    README,
    RECIPE,
    RECONSTRUCTIONS,
    SAMPLER,
    SAMPLES,
    WEIGHTS,
)
from mrvae_zoo.evaluation.published import TOLERANCE, deviation, measure_again
from mrvae_zoo.hub.client import LIBRARY as SEARCHED
from mrvae_zoo.hub.upload import Package
from mrvae_zoo.models.vae import BaseVAE, unwrap

LINK = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")  # an image in Markdown
REMOVABLE = (LATENTS, SAMPLER, CURVE_PLOT, RECONSTRUCTIONS, SAMPLES, *EXAMPLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPackage(Package):
    """A model that may be pushed: its files, its page and the images of the page.

    Attributes:
        model: The model, as loaded.
    """

    model: BaseVAE


def find_folder(source: str | Path) -> tuple[Path, str | None]:
    """Return the folder of a trained model that is here, and its name if it is in the registry.

    Raises:
        ValueError: There is no such model; the message says what was expected.
    """
    if isinstance(source, Path):
        return source, None
    if source.startswith(LOCAL):
        return local_folder(source), None
    if source.startswith(HUB):
        raise ValueError(f"{source} is on the Hub already; give the folder of a training, or a name of the registry")
    is_folder = Path(source).is_dir()
    if source not in list_models():
        # An unknown name raises here, with the nearest ones.
        return (Path(source), None) if is_folder or "/" in source else (model_folder(source), source)
    if is_folder:
        raise ValueError(f"{source} is a folder here and a name of the registry; for the folder write {LOCAL}{source}")
    folder = model_folder(source)
    if not has_weights(folder):
        raise ValueError(f"{source} has no weights here; train it with: mrvae train {source} --data-root DIR -o RUN")
    return folder, source


def make_package(
    source: str | Path | BaseVAE,
    repo_id: str,
    *,
    space_url: str | None = None,
    data_root: Path | None = None,
    device: str = "cpu",
    progress: Callable[[float], None] = lambda _: None,
) -> ModelPackage:
    """Collect and check all files that a push of a model to a repository sends.

    Args:
        source: The folder of a model, a name in the registry, or a model with its curve.
        repo_id: The repository that the page names.
        space_url: The address of the Space that the page links; None for a model without one.
        data_root: The folder of data sets to measure the curve again on; see `check_curve`. None does not measure.
        device: The device to measure on, and to draw the page with.
        progress: A function that is called with the share of the measurement done, in [0, 1].

    Raises:
        ValueError: Something is missing or wrong: the checkpoint, the curve or the page.
        FileNotFoundError: The data set is missing.
        MissingExtraError: matplotlib is not installed.
    """
    if not isinstance(source, str | Path):
        source = unwrap(source)
        _check_complete(source)
        with tempfile.TemporaryDirectory() as saved:
            save_pretrained(source, saved)
            return make_package(
                Path(saved), repo_id, space_url=space_url, data_root=data_root, device=device, progress=progress
            )
    folder, name = find_folder(source)
    model = load_checkpoint(folder, device=find_device(device))
    if model.curve is None:
        raise ValueError(
            f"{folder} has no {CURVE}; only a model with its measured curve is pushed; measure it "
            f"with: mrvae curve {LOCAL}{folder} --data-root DIR --data SET --save"
        )
    if data_root is not None:
        check_curve(model, data_root, progress=progress)
    name = repo_id.split("/")[1] if name is None else name
    page = make_card(folder, name=name, repo_id=repo_id, space_url=space_url, data_root=data_root, device=device)
    names = (RECIPE, CONFIG, WEIGHTS, CURVE, LATENTS, SAMPLER)
    own = (file for file in names if (folder / file).is_file())  # recipe, latents and sampler are no must
    files = {file: (folder / file).read_bytes() for file in own} | page.files
    check_page(files)
    return ModelPackage(repo_id=repo_id, repo_type="model", name=name, files=files, removable=REMOVABLE, model=model)


def _check_complete(model: BaseVAE) -> None:
    """Raise a ValueError if a model lacks something that its page must state."""
    if model.curve is None or "name" not in model.curve.data:
        raise ValueError(
            "this model has no curve that names the data set it was measured on, which its page shows; set "
            "model.curve = mrvae_zoo.measure_curve(model, data), with data from mrvae_zoo.load_data"
        )


def check_curve(model: BaseVAE, data_root: Path, *, progress: Callable[[float], None] = lambda _: None) -> None:
    """Measure the published curve again at its two ends and in its middle, on the whole test set.

    Some β are left out, but no images: the published figures are means over all images, and means over some would
    differ by chance.

    Raises:
        ValueError: A point differs by more than TOLERANCE, 1%; the message names the worst.
        FileNotFoundError: The data set is missing.
    """
    assert model.curve is not None
    betas = model.curve.betas
    some = sorted({betas[0], betas[len(betas) // 2], betas[-1]})
    measured = measure_again(model, data_root, betas=some, progress=progress)
    off, beta = max((deviation(model.curve.at(new.beta), new), new.beta) for new in measured.points)
    if off > TOLERANCE:
        raise ValueError(f"this model does not have its published curve: off by {off:.2%} at β={beta:g}; not pushed")


def check_page(files: dict[str, bytes]) -> None:
    """Raise a ValueError if the page lacks something that it must have, according to huggingface_hub's parser."""
    from huggingface_hub import ModelCard

    if README not in files:
        raise ValueError(f"the page has no {README}")
    text = files[README].decode()
    try:
        data = ModelCard(text, ignore_metadata_errors=False).data
    except Exception as error:  # noqa: BLE001 (the parser of YAML has errors of its own)
        raise ValueError(f"{README}: its metadata cannot be read: {error}") from None
    lacking = [key for key in ("tags", "pipeline_tag", "eval_results") if not data.get(key)]
    if lacking:
        raise ValueError(f"{README}: its metadata lacks {', '.join(lacking)}")
    if data.get("library_name") != LIBRARY:
        raise ValueError(f"{README}: library_name is {data.get('library_name')!r}; expected {LIBRARY!r}")
    if SEARCHED not in data.get("tags"):
        raise ValueError(f"{README}: its tags lack {SEARCHED!r}, which `mrvae list --hub` searches for")
    missing = [link for link in LINK.findall(text) if "://" not in link and link not in files]
    if missing:
        raise ValueError(f"{README} shows {', '.join(missing)}, which is not there")
