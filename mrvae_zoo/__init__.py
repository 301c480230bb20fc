"""A zoo of Multi-Rate VAEs: one model, trained once, for every β in a range.

    model = mrvae_zoo.load_pretrained("mrvae_mlp.mnist")
    x = model.preprocess(["digit.png"])
    out = model(x, 0.1)  # at β = 0.1; or one β for each image

Each name is explained by help(), such as help(mrvae_zoo.load_pretrained).

Get a model
    list_models                names of the models there are
    load_pretrained            a trained model, by name, folder or Hub repository
    create_model               an untrained model
    list_architectures         what create_model can make
    save_pretrained            write a model into a folder
    push_to_hub                push a model and its page to the Hugging Face Hub
Use it
    MultiRateVAE               a model for every β of a range
    FixedRateVAE               a plain VAE at one β, as model.at(beta) gives it
    MixtureSampler             what model.sample draws from, if model.sampler is set
    BaseVAE                    the methods that both have: calls, encode, decode, sample, preprocess
    VAEOutput, Posterior       what calling and encoding give
    to_pil, save_images        tensors of images as PIL images, or as one picture
    beta_for_each              the β at which each image has a given rate or distortion
    Traversal                  images along each latent, as model.traverse(x, beta) gives them
    encode_tiled, decode_tiled large images through a spatial model, tile by tile
    export                     one file that runs without mrvae_zoo: ONNX or pt2
    write_page                 a page on which anyone turns β, in the browser
Measure it
    RDCurve, RDPoint           a rate-distortion curve; beta_for(rate=20.0) finds a β
    LatentStatistics           what each latent is like at a β, as model.latent_statistics(beta) gives it
    measure_curve              the curve of a model, as it is published
    rate_distortion            the same at any β
    compare_curves             two curves, at every β in common
    bd_rate                    how much rate one curve saves against another (BD-rate)
    bd_distortion, bd_psnr     how much distortion it saves, or PSNR it gains, at equal rate
    draw_curve                 a curve as a PNG
    sweep                      a metric of yours at every β, and the β to take
    Sweep, SweepPoint          what it gives
    importance_weighted_bound  a bound on log p(x)
    bits_per_dimension         the bound at β = 1, in bits per pixel and channel
    mutual_information_gap     how well latents stand for the factors of the sprites
    fit_sampler                mixtures over the latents, for samples that look right at a low β
    unusualness                how unlike the training data an image is
Train one
    read_recipe, Recipe        a recipe.toml
    train                      train as it says
    load_data, ImageData       a split of a data set
    load_labels, Labels        the class of each of its images
    sample_beta                β for a training loop of one's own
    gate                       any torch module, gated by β
    save_gates, load_gates     its gates in a file of their own, beside the module they belong to
    register_architecture      a network of one's own
    ModelConfig                what a model is
Errors
    CheckpointError, HubError, MissingExtraError, UnknownNameError

Importing this imports no torch; each name is imported when it is first used.
"""

import importlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mrvae_zoo._version import __version__
from mrvae_zoo.common import face

if TYPE_CHECKING:
    from mrvae_zoo.checkpoints.folder import save_pretrained
    from mrvae_zoo.checkpoints.gates_file import load_gates, save_gates
    from mrvae_zoo.checkpoints.registry import list_models
    from mrvae_zoo.common.grids import save_images, to_pil
    from mrvae_zoo.data.labels import Labels, load_labels
    from mrvae_zoo.data.sets import ImageData, load_data
    from mrvae_zoo.errors import CheckpointError, HubError, MissingExtraError, UnknownNameError
    from mrvae_zoo.evaluation.bd_rate import bd_distortion, bd_psnr, bd_rate
    from mrvae_zoo.evaluation.bits import bits_per_dimension
    from mrvae_zoo.evaluation.curve import measure_curve
    from mrvae_zoo.evaluation.disentanglement import mutual_information_gap
    from mrvae_zoo.evaluation.fit_sampler import fit_sampler
    from mrvae_zoo.evaluation.log_likelihood import importance_weighted_bound
    from mrvae_zoo.evaluation.plots import draw_curve
    from mrvae_zoo.evaluation.rate_distortion import rate_distortion
    from mrvae_zoo.evaluation.sweep import sweep
    from mrvae_zoo.evaluation.sweep_result import Sweep, SweepPoint
    from mrvae_zoo.evaluation.unusualness import unusualness
    from mrvae_zoo.gating.beta import sample_beta
    from mrvae_zoo.gating.module import gate
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.hub.push import push_to_hub
    from mrvae_zoo.inference.export import export
    from mrvae_zoo.inference.per_image import beta_for_each
    from mrvae_zoo.inference.tiling import decode_tiled, encode_tiled
    from mrvae_zoo.models.architecture_table import list_architectures, register_architecture
    from mrvae_zoo.models.base import VAEOutput
    from mrvae_zoo.models.config import ModelConfig
    from mrvae_zoo.models.curve import RDCurve, RDPoint, compare_curves
    from mrvae_zoo.models.factory import create_model
    from mrvae_zoo.models.latents import LatentStatistics
    from mrvae_zoo.models.posterior import Posterior
    from mrvae_zoo.models.sampler import MixtureSampler
    from mrvae_zoo.models.traversal import Traversal
    from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE, MultiRateVAE
    from mrvae_zoo.page.build import write_page
    from mrvae_zoo.training.recipe import Recipe, read_recipe
    from mrvae_zoo.training.train import train

__all__ = [
    "BaseVAE",
    "CheckpointError",
    "FixedRateVAE",
    "HubError",
    "ImageData",
    "Labels",
    "LatentStatistics",
    "MissingExtraError",
    "MixtureSampler",
    "ModelConfig",
    "MultiRateVAE",
    "Posterior",
    "RDCurve",
    "RDPoint",
    "Recipe",
    "Sweep",
    "SweepPoint",
    "Traversal",
    "UnknownNameError",
    "VAEOutput",
    "__version__",
    "bd_distortion",
    "bd_psnr",
    "bd_rate",
    "beta_for_each",
    "bits_per_dimension",
    "compare_curves",
    "create_model",
    "decode_tiled",
    "draw_curve",
    "encode_tiled",
    "export",
    "fit_sampler",
    "gate",
    "importance_weighted_bound",
    "list_architectures",
    "list_models",
    "load_data",
    "load_gates",
    "load_labels",
    "load_pretrained",
    "measure_curve",
    "mutual_information_gap",
    "push_to_hub",
    "rate_distortion",
    "read_recipe",
    "register_architecture",
    "sample_beta",
    "save_gates",
    "save_images",
    "save_pretrained",
    "sweep",
    "to_pil",
    "train",
    "unusualness",
    "write_page",
]

_HOME = {
    "checkpoints.registry": ("list_models",),
    "checkpoints.folder": ("save_pretrained",),
    "checkpoints.gates_file": (
        "load_gates",
        "save_gates",
    ),
    "common.grids": (
        "save_images",
        "to_pil",
    ),
    "data.labels": (
        "Labels",
        "load_labels",
    ),
    "data.sets": (
        "ImageData",
        "load_data",
    ),
    "errors": (
        "CheckpointError",
        "HubError",
        "MissingExtraError",
        "UnknownNameError",
    ),
    "evaluation.bd_rate": (
        "bd_distortion",
        "bd_psnr",
        "bd_rate",
    ),
    "evaluation.bits": ("bits_per_dimension",),
    "evaluation.curve": ("measure_curve",),
    "evaluation.disentanglement": ("mutual_information_gap",),
    "evaluation.fit_sampler": ("fit_sampler",),
    "evaluation.log_likelihood": ("importance_weighted_bound",),
    "evaluation.plots": ("draw_curve",),
    "evaluation.rate_distortion": ("rate_distortion",),
    "evaluation.sweep": ("sweep",),
    "evaluation.sweep_result": (
        "Sweep",
        "SweepPoint",
    ),
    "evaluation.unusualness": ("unusualness",),
    "gating.beta": ("sample_beta",),
    "gating.module": ("gate",),
    "hub.load": ("load_pretrained",),
    "hub.push": ("push_to_hub",),
    "inference.export": ("export",),
    "inference.per_image": ("beta_for_each",),
    "inference.tiling": (
        "decode_tiled",
        "encode_tiled",
    ),
    "models.base": ("VAEOutput",),
    "models.config": ("ModelConfig",),
    "models.curve": (
        "RDCurve",
        "RDPoint",
        "compare_curves",
    ),
    "models.factory": ("create_model",),
    "models.latents": ("LatentStatistics",),
    "models.posterior": ("Posterior",),
    "models.sampler": ("MixtureSampler",),
    "models.architecture_table": (
        "list_architectures",
        "register_architecture",
    ),
    "models.traversal": ("Traversal",),
    "models.vae": (
        "BaseVAE",
        "FixedRateVAE",
        "MultiRateVAE",
    ),
    "page.build": ("write_page",),
    "training.recipe": (
        "Recipe",
        "read_recipe",
    ),
    "training.train": ("train",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    # pydoc would print the whole of every class, and with it all of torch's Module; the overview above is its page.
    for_help = "pydoc" in sys.modules and any(frame == "pydoc" for frame in _callers())
    return [] if for_help else sorted(__all__)


def _callers() -> Iterator[str]:
    """The modules of the functions that called `dir` of this one, the next few."""
    for depth in range(3, 6):
        try:
            yield sys._getframe(depth).f_globals.get("__name__", "")
        except ValueError:
            return


face.lend(__getattr__)
