"""model.json: what a page knows of its model.

Letters: M values of β, Z latents.
"""

import hashlib
import math
from typing import Any

from mrvae_zoo._version import __version__
from mrvae_zoo.inference.tiling import reach
from mrvae_zoo.models.curve import RDCurve
from mrvae_zoo.models.vae import BaseVAE
from mrvae_zoo.page.examples import PIXELS, TrainedOn

FORMAT = 1
TILE = 256  # pixels of a side


def describe_model(model: BaseVAE) -> dict[str, Any]:
    """Return the entries of model.json that say what the model is and how it was measured."""
    config, spatial = model.config, model.config.spatial
    described: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "architecture": config.architecture,
        "gating": config.gating,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "input_shape": list(config.input_shape),
        "spatial": spatial,
        "stride": model.stride,
        "latent_dim": config.latent_dim,
        "latent_shape": None if spatial else [config.latent_dim],
        "beta_range": list(config.beta_range) if config.beta is None else [config.beta, config.beta],
        "folded": config.beta is not None,
        "likelihood": config.likelihood,
        "sigma": config.sigma,
        "data_range": None if config.data_range is None else list(config.data_range),
        "curve": None if model.curve is None else _curve(model.curve),
        "latents": None if model.curve is None else _latents(model.curve),
    }
    if spatial:
        described["limits"] = {"pixels": PIXELS, "tile": TILE, "margin": reach(model) * model.stride}
    return described


def describe_data(data: TrainedOn, *, own_images: bool) -> dict[str, Any]:
    """Return the entry `data` of model.json: what the model was trained on, and whose the images of the page are."""
    facts = data.facts
    if facts is None:
        return {"title": "unknown data", "licence": None, "url": None, "citation": None, "attribution": ""}
    title = facts.title.replace("`", "")
    terms = f" ({facts.licence})" if facts.licence else ""
    return {
        "title": title,
        "licence": facts.licence,
        "url": facts.url,
        "citation": facts.citation,
        "attribution": f"Trained on {title}{terms}." if own_images else f"Images from {title}{terms}.",
    }


def describe_file(path: str, content: bytes) -> dict[str, Any]:
    """Return the entry of a file in model.json: where it is, its size, and its SHA-256."""
    return {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _curve(curve: RDCurve) -> dict[str, Any]:
    return {
        "betas": list(curve.betas),
        "rates": [point.rate for point in curve.points],
        "distortions": [point.distortion for point in curve.points],
        "data": " ".join(str(curve.data[key]) for key in ("name", "split") if key in curve.data),
        "pixels": math.prod(curve.data["size"]) if "size" in curve.data else None,
    }


def _latents(curve: RDCurve) -> dict[str, Any] | None:
    if curve.latents is None:
        return None
    points = curve.latents.points
    figures = {key: [list(getattr(point, key)) for point in points] for key in ("mean", "std", "kl")}
    return {"betas": [point.beta for point in points], **figures}
