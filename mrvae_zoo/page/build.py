"""The files of a page, and the folder that holds them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

from mrvae_zoo.checkpoints.registry import list_models
from mrvae_zoo.checkpoints.sources import HUB, LOCAL
from mrvae_zoo.common.face import public
from mrvae_zoo.common.files import atomic_folder
from mrvae_zoo.common.layout import SAMPLER
from mrvae_zoo.models.vae import BaseVAE, unwrap
from mrvae_zoo.page.description import describe_data, describe_file, describe_model
from mrvae_zoo.page.examples import check_drawable, find_examples, trained_on
from mrvae_zoo.page.graphs import check_onnx, decoder_bytes, encoder_bytes
from mrvae_zoo.page.runtime import Runtime, from_cdn, from_package
from mrvae_zoo.page.static import dial_files

DESCRIPTION = "model.json"
ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
HUB_PAGE = "https://huggingface.co/"


def page_files(
    model: BaseVAE,
    *,
    runtime: Path | Runtime | None = None,
    images: Path | None = None,
    data_root: Path | None = None,
    name: str | None = None,
    repo_id: str | None = None,
    model_url: str | None = None,
    gallery_url: str | None = None,
) -> dict[str, bytes]:
    """Return the files of the page of a model, by their paths. The same model gives the same bytes.

    Args:
        model: The model, which is not changed.
        runtime: The folder of the npm package onnxruntime-web, whose files the page then carries; or a runtime that is
            elsewhere. None loads it from a CDN.
        images: A folder of images that the page begins with. None takes test images.
        data_root: The folder that holds the data sets, for test images that do not come with the package.
        name: The name of the model. None takes that of the repository, or else of what the model was loaded from.
        repo_id: The repository of the Hub that the page says to load the model from. None names what it was loaded
            from.
        model_url: The address of the model's page. None takes that of the repository on the Hub, if there is one.
        gallery_url: The address of the gallery that the page belongs to.

    Raises:
        ValueError: A page cannot show this model, has no images, or the runtime is not the pinned one; the message says
            what to do.
        FileNotFoundError: A folder is missing.
        MissingExtraError: The extra `export` is not installed.
    """
    check_onnx()
    model = unwrap(model)
    check_drawable(model)
    runtime = from_cdn() if runtime is None else from_package(runtime) if isinstance(runtime, Path) else runtime
    examples = find_examples(model, images=images, data_root=data_root)
    networks = {ENCODER: encoder_bytes(model), DECODER: decoder_bytes(model)}
    sampler = {} if model.sampler is None else {SAMPLER: safetensors.torch.save(model.sampler.to_tensors())}
    pictures = {f"images/{number:02}.png": example for number, example in enumerate(examples)}
    source = f"{HUB}{repo_id}" if repo_id is not None else shown_source(model)
    described = {"name": name or name_in(source), "source": source} | describe_model(model)
    described |= {
        "sampler": next((describe_file(*file) for file in sampler.items()), None),
        "files": {Path(path).stem: describe_file(path, content) for path, content in networks.items()},
        "runtime": runtime.describe(),
        "data": describe_data(trained_on(model), own_images=images is not None),
        "images": [
            {"path": path, "title": each.title, "label": each.label, "attribution": each.attribution}
            for path, each in pictures.items()
        ],
        "links": {"model": model_url or _hub_page(source), "code": None, "gallery": gallery_url},
    }
    return {
        **dial_files(runtime.url),
        DESCRIPTION: to_json(described),
        **networks,
        **sampler,
        **{path: example.to_png() for path, example in pictures.items()},
        **{f"{runtime.url}{path}": content for path, content in runtime.files.items()},
    }


def write_page(
    model: BaseVAE | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    runtime: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    data_root: str | os.PathLike[str] | None = None,
    repo_id: str | None = None,
    force: bool = False,
) -> None:
    """Write the page of a model: a folder of static files that run it in a browser, with no server behind them.

    Any web server can serve the folder. Its files appear together, when all of them are complete.

    Example:
        mrvae_zoo.write_page("mrvae_mlp.mnist", "dial")

    Args:
        model: The model, or the source of one (see `mrvae_zoo.load_pretrained`).
        folder: The folder to write.
        runtime: The folder of the npm package onnxruntime-web, which the page then carries with it: it works without a
            network. None links it to a public CDN, with a hash of each file.
        images: A folder of images that the page begins with. None takes a dozen test images.
        data_root: The folder that holds the data sets, for test images that do not come with the package.
        repo_id: The repository of the Hub that the page says to load the model from. None names what it was loaded
            from.
        force: Whether to write into a folder that exists. Other files in it stay.

    Raises:
        FileExistsError: The folder exists, and `force` is not given.
        ValueError: A page cannot show this model, has no images, or the runtime is not the pinned one; the message says
            what to do.
        FileNotFoundError: A folder is missing.
        MissingExtraError: The extra `export` is not installed.
    """
    target = Path(folder)
    if target.exists() and not force:
        raise FileExistsError(f"{target} exists; pass force=True to write into it")
    files = page_files(
        model if isinstance(model, nn.Module) else public("load_pretrained")(model),
        runtime=None if runtime is None else Path(runtime),
        images=None if images is None else Path(images),
        data_root=None if data_root is None else Path(data_root),
        repo_id=repo_id,
    )
    with atomic_folder(target) as temporary:
        write_files(temporary, files)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, by their paths in it."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def to_json(value: Any) -> bytes:
    """Return a value as the content of a JSON file."""
    return f"{json.dumps(value, ensure_ascii=False, indent=1)}\n".encode()


def shown_source(model: BaseVAE) -> str:
    """Return what `load_pretrained` takes, without the path of the machine that the page is made on."""
    source = model.name or "model"
    if source.startswith(HUB) or source in list_models():
        return source
    return Path(source.removeprefix(LOCAL)).resolve().name


def name_in(source: str) -> str:
    """Return the name of a model in what `shown_source` returns."""
    return source.partition("@")[0].rpartition("/")[2] if source.startswith(HUB) else source


def _hub_page(source: str) -> str | None:
    """Return the address of a repository of the Hub, if the source is one."""
    return f"{HUB_PAGE}{source.removeprefix(HUB).partition('@')[0]}" if source.startswith(HUB) else None
