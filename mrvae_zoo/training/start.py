"""Starting a training from the weights of a checkpoint or of an AutoencoderKL, or from the images' components."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config
from mrvae_zoo.common.layout import DIFFUSERS_WEIGHTS
from mrvae_zoo.data.selection import choose
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.diffusers.multi_rate import DATA_RANGE
from mrvae_zoo.diffusers.stock import NOT_OF_THE_NETWORK, is_autoencoder, load, options_of, weights_of
from mrvae_zoo.errors import name_some
from mrvae_zoo.models.architecture_table import architectures
from mrvae_zoo.models.vae import MultiRateVAE

# What makes other functions of the same tensors; where there are gates, the features of β as well.
MEANING = ("architecture", "gating", "likelihood", "data_range", "arguments")
MEANING_OF_GATES = ("beta_range", "gating_degree", "gating_moves")

MOST_VALUES = 1 << 28  # of the images that principal components are computed from: 1 GiB
READ = 256  # images at a time


def start_from(model: MultiRateVAE, source: Path) -> str:
    """Take all weights of a checkpoint, or of an AutoencoderKL as diffusers saves it; returns their checksum.

    Raises:
        ValueError: The checkpoint does not fit. The message names the tensors that are missing, left over or of another
            shape, and the keys of the model that change the meaning of the weights.
        MissingExtraError: It is an AutoencoderKL, and diffusers is not installed.
    """
    if is_autoencoder(source):
        return _start_from_autoencoder(model, source)
    checkpoint = load_checkpoint(source)
    theirs, ours = checkpoint.state_dict(), model.state_dict()
    meaning = [
        f"model.{name} = {getattr(checkpoint.config, name)!r} there, and {getattr(model.config, name)!r} in the recipe"
        for name in (*MEANING, *(MEANING_OF_GATES if model.gating.gates else ()))
        if getattr(checkpoint.config, name) != getattr(model.config, name)
    ]
    shapes = [
        f"{name} has shape {tuple(theirs[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in ours.items()
        if name in theirs and theirs[name].shape != tensor.shape
    ]
    missing = [f"{name} is missing" for name in ours if name not in theirs]
    more = [f"{name} is not in the recipe's model" for name in theirs if name not in ours]
    if faults := [name_some(part, "; ") for part in (meaning, shapes, missing, more) if part]:
        raise ValueError(f"--init {source} does not fit the recipe's model: {'; '.join(faults)}")
    model.load_state_dict(theirs)
    return read_config(source).weights.sha256


def _start_from_autoencoder(model: MultiRateVAE, source: Path) -> str:
    """Take the weights of an AutoencoderKL; the gates begin as the identity. Errors are those of `start_from`."""
    stock = load(source)
    there = options_of(stock.config) | {"likelihood": "gaussian", "data_range": DATA_RANGE}
    here = {name: getattr(model.config, name, None) for name in there} | model.config.arguments
    faults = [
        f"model.{name} = {there[name]!r} there, and {here[name]!r} in the recipe"
        for name in there.keys() - set(NOT_OF_THE_NETWORK)
        if there[name] != here[name]
    ]
    if faults:
        raise ValueError(
            f"--init diffusers:{source} does not fit the recipe's model: {name_some(sorted(faults), '; ')}"
        )
    model.load_state_dict(model.state_dict() | weights_of(stock))
    return hashlib.sha256((source / DIFFUSERS_WEIGHTS).read_bytes()).hexdigest()


def start_from_images(model: MultiRateVAE, data: ImageData, beta: float | None) -> None:
    """Set a model to the optimum of a linear VAE of its training images, or of as many of them as memory is spent on.

    Args:
        model: The model, whose architecture has a `start`.
        data: The training images.
        beta: The only β that is trained at; None for all of the range.

    Raises:
        ValueError: The architecture says that the model does not fit.
    """
    starter = architectures[model.config.architecture].starter()
    assert starter is not None  # a recipe is checked
    data = replace(data, crop=None) if model.config.spatial else data
    images = _some(data).to(model.device)
    assert model.config.sigma is not None
    low, _ = model.beta_range
    starter(
        model.encoder,
        model.decoder,
        model.config.to_data_range(images),
        noise=model.config.sigma**2,
        beta=low if beta is None else beta,
        beta_range=model.beta_range,
    )


def _some(data: ImageData) -> Tensor:
    """Return evenly chosen images, at most `MOST_VALUES`: (N, C, H, W) in [0, 1]."""
    per_image = math.prod(data.images.shape[-3:])
    chosen = choose(len(data), min(len(data), max(1, MOST_VALUES // per_image)))
    return torch.cat([data.prepare(images) for images in data.read(chosen.split(READ))])
