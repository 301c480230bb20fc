"""The gallery: the pages of several models in one folder, with a page that leads to them.

Letters: N images, C, H, W image.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from mrvae_zoo.common.files import atomic_folder
from mrvae_zoo.common.grids import to_pil, to_png
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.inference.reconstruction import ROWS
from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE
from mrvae_zoo.page.build import DECODER, ENCODER, name_in, page_files, shown_source, to_json, write_files
from mrvae_zoo.page.examples import Example, find_examples, trained_on
from mrvae_zoo.page.runtime import Runtime, from_cdn, from_package
from mrvae_zoo.page.static import INDEX, static_files

CATALOGUE = "gallery.json"
SEED = 0
SHOWN = 3  # which of the dozen images a strip shows: a 3, a cat, a heart


def write_gallery(
    models: Iterable[BaseVAE],
    folder: Path,
    *,
    runtime: Path | None = None,
    data_root: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Write the pages of models, and the gallery that leads to them. They appear when the last page is complete.

    Args:
        models: The models, each with the name that it was loaded by.
        folder: The folder to write, with one sub-folder for each model. If it exists, other files in it stay.
        runtime: The folder of the npm package onnxruntime-web, which the pages then share. None links to a CDN.
        data_root: The folder that holds the data sets, for test images that do not come with the package.
        progress: A function that is called with the name of each model whose page is complete.

    Raises:
        ValueError: A page cannot show a model, or has no images; the message names the model.
    """
    package = from_cdn() if runtime is None else from_package(runtime)
    shared = package if runtime is None else Runtime(url=f"../{package.url}")
    with atomic_folder(folder) as temporary:
        write_files(temporary, {f"{package.url}{name}": content for name, content in package.files.items()})
        entries = []
        for model in models:
            name = name_in(shown_source(model))
            try:
                files = page_files(model, runtime=shared, data_root=data_root, gallery_url=f"../{INDEX}")
                examples = find_examples(model, images=None, data_root=data_root)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            strip = f"strip/{name}.png"
            write_files(temporary, {f"{name}/{path}": content for path, content in files.items()})
            write_files(temporary, {strip: strip_of(model, examples[min(SHOWN, len(examples) - 1)])})
            entries.append(_entry(model, name, len(files[ENCODER]) + len(files[DECODER])) | {"strip": strip})
            progress(name)
        write_files(temporary, static_files("gallery") | {CATALOGUE: to_json(entries)})


@torch.no_grad()
def strip_of(model: BaseVAE, example: Example) -> bytes:
    """Return an image's reconstructions at seven β side by side, at the size of the image, as a PNG.

    They are decoded means of the posterior, and for a spatial model draws: its decoder counts on their noise.
    """
    betas = [model.beta] if isinstance(model, FixedRateVAE) else log_spaced(model.beta_range, ROWS)
    x = model.config.to_data_range(example.x[None]).to(model.device, model.dtype)
    shown = []
    for beta in betas:
        generator = torch.Generator().manual_seed(SEED) if model.config.spatial else None
        shown.append(model(x, beta, sample=model.config.spatial, generator=generator).reconstruction)
    return to_png(to_pil(model.config.to_unit_range(torch.cat(shown, dim=-1)).clamp(0, 1))[0])


def _entry(model: BaseVAE, name: str, size: int) -> dict[str, Any]:
    """Return what the gallery says of a model."""
    config, data = model.config, trained_on(model)
    points = () if model.curve is None else model.curve.points
    return {
        "name": name,
        "title": "" if data.facts is None else data.facts.title.replace("`", ""),
        "data": data.name,
        "architecture": config.architecture,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "bytes": size,
        "beta_range": list(config.beta_range) if config.beta is None else [config.beta, config.beta],
        "loss_at_beta_1": next((point.loss for point in points if math.isclose(point.beta, 1, rel_tol=1e-6)), None),
        "href": f"{name}/{INDEX}",
    }
