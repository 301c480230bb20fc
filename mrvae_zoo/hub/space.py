"""The files of a static Space: the dial of a model, and a card that says which model it shows."""

from pathlib import Path
from typing import Any

from mrvae_zoo.common.layout import README, SAMPLER
from mrvae_zoo.hub.client import LIBRARY
from mrvae_zoo.hub.package import ModelPackage
from mrvae_zoo.hub.upload import STATIC, Package
from mrvae_zoo.page.build import page_files

SUFFIX = "-dial"
START = "index.html"
REMOVABLE = ("js/*", "images/*", "runtime/*", SAMPLER)
TAGS = (LIBRARY, "vae", "multi-rate-vae", "beta-vae", "rate-distortion")
LICENCE = ("license", "license_name", "license_link")  # the keys that the Space takes over from the card of the model
LONGEST = 60  # characters that the Hub takes as a short description
CARD = """\
# {title}

This page runs [{repo_id}]({model_url}) in your browser{what}.
There is no server behind it, and no image leaves your device.

The card of the model says how it was trained and measured, and under which licence it and the images are.
"""


def default_space(repo_id: str) -> str:
    """Return the Space that the dial of a model goes to unless another is named."""
    return f"{repo_id}{SUFFIX}"


def make_space(package: ModelPackage, space_id: str, *, model_url: str, data_root: Path | None = None) -> Package:
    """Make the dial of a model as the files of a static Space, and check its card.

    Args:
        package: The model and its card; the dial says to load the model from its repository.
        space_id: The Space, "org/name".
        model_url: The address of the model's repository, which the dial links.
        data_root: The folder of data sets, for test images that do not come with this package; see `page_files`.

    Raises:
        ValueError: A page cannot show this model, or has no images.
        FileNotFoundError: The data set is missing.
        MissingExtraError: The extra `export` is not installed.
    """
    repo_id, name = package.repo_id, package.name
    files = page_files(package.model, name=name, repo_id=repo_id, model_url=model_url, data_root=data_root)
    files[README] = _card(package, model_url).encode()
    check_space(files)
    return Package(repo_id=space_id, repo_type="space", name=f"the dial of {name}", files=files, removable=REMOVABLE)


def check_space(files: dict[str, bytes]) -> None:
    """Raise a ValueError if the Hub could not show a Space of these files, by huggingface_hub's parser of its card."""
    data = _read_card(files)
    if data.get("sdk") != STATIC:
        raise ValueError(f"{README}: sdk is {data.get('sdk')!r}; expected {STATIC!r}")
    if data.get("app_file") not in files:
        raise ValueError(f"{README} starts {data.get('app_file')}, which is not there")
    lacking = [key for key in ("title", "models", "tags") if not data.get(key)]
    if lacking:
        raise ValueError(f"{README}: its metadata lacks {', '.join(lacking)}")
    if len(data.get("short_description") or "") > LONGEST:
        raise ValueError(f"{README}: short_description is longer than {LONGEST} characters")


def _card(package: ModelPackage, model_url: str) -> str:
    """README.md of the Space: its settings, and what it shows."""
    from huggingface_hub import SpaceCardData

    folded = package.model.config.beta is not None
    title = f"{package.name}, a VAE" if folded else f"Turn β: {package.name}"
    model = _read_card(package.files)
    card = SpaceCardData(
        title=title,
        sdk=STATIC,
        app_file=START,
        pinned=False,
        short_description="A VAE in your browser" if folded else "One VAE for every β, in your browser",
        models=[package.repo_id],
        tags=list(TAGS),
        **{key: value for key in LICENCE if (value := model.get(key)) is not None},
    )
    what = "" if folded else ": turn β, and watch what the model keeps of an image and what that costs"
    text = CARD.format(title=title, repo_id=package.repo_id, model_url=model_url, what=what)
    return f"---\n{card.to_yaml(line_break=chr(10))}\n---\n\n{text}"


def _read_card(files: dict[str, bytes]) -> Any:
    """The metadata of README.md, as huggingface_hub reads it."""
    from huggingface_hub import RepoCard

    return RepoCard(files[README].decode(), ignore_metadata_errors=False).data
