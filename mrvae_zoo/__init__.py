"""A zoo of Multi-Rate VAEs: one model, trained once, for every β in a range.

Importing this imports no torch; each name is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from mrvae_zoo._version import __version__
from mrvae_zoo.common import face

if TYPE_CHECKING:
    from mrvae_zoo.checkpoints.folder import save_pretrained
    from mrvae_zoo.checkpoints.registry import list_models
    from mrvae_zoo.data.sets import ImageData, load_data
    from mrvae_zoo.errors import CheckpointError, HubError, MissingExtraError, UnknownNameError
    from mrvae_zoo.evaluation.curve import measure_curve
    from mrvae_zoo.evaluation.disentanglement import mutual_information_gap
    from mrvae_zoo.evaluation.log_likelihood import importance_weighted_bound
    from mrvae_zoo.evaluation.rate_distortion import rate_distortion
    from mrvae_zoo.evaluation.unusualness import unusualness
    from mrvae_zoo.gating.beta import sample_beta
    from mrvae_zoo.gating.module import gate
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.hub.push import push_to_hub
    from mrvae_zoo.inference.export import export
    from mrvae_zoo.inference.tiling import decode_tiled, encode_tiled
    from mrvae_zoo.models.architecture_table import list_architectures, register_architecture
    from mrvae_zoo.models.base import VAEOutput
    from mrvae_zoo.models.config import ModelConfig
    from mrvae_zoo.models.curve import RDCurve, RDPoint, bits_per_dimension, compare_curves
    from mrvae_zoo.models.factory import create_model
    from mrvae_zoo.models.posterior import Posterior
    from mrvae_zoo.models.vae import FixedRateVAE, MultiRateVAE
    from mrvae_zoo.training.recipe import Recipe, read_recipe
    from mrvae_zoo.training.train import train

__all__ = [
    "CheckpointError",
    "FixedRateVAE",
    "HubError",
    "ImageData",
    "MissingExtraError",
    "ModelConfig",
    "MultiRateVAE",
    "Posterior",
    "RDCurve",
    "RDPoint",
    "Recipe",
    "UnknownNameError",
    "VAEOutput",
    "__version__",
    "bits_per_dimension",
    "compare_curves",
    "create_model",
    "decode_tiled",
    "encode_tiled",
    "export",
    "gate",
    "importance_weighted_bound",
    "list_architectures",
    "list_models",
    "load_data",
    "load_pretrained",
    "measure_curve",
    "mutual_information_gap",
    "push_to_hub",
    "rate_distortion",
    "read_recipe",
    "register_architecture",
    "sample_beta",
    "save_pretrained",
    "train",
    "unusualness",
]

_HOME = {
    "checkpoints.registry": ("list_models",),
    "checkpoints.folder": ("save_pretrained",),
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
    "evaluation.curve": ("measure_curve",),
    "evaluation.disentanglement": ("mutual_information_gap",),
    "evaluation.log_likelihood": ("importance_weighted_bound",),
    "evaluation.rate_distortion": ("rate_distortion",),
    "evaluation.unusualness": ("unusualness",),
    "gating.beta": ("sample_beta",),
    "gating.module": ("gate",),
    "hub.load": ("load_pretrained",),
    "hub.push": ("push_to_hub",),
    "inference.export": ("export",),
    "inference.tiling": (
        "decode_tiled",
        "encode_tiled",
    ),
    "models.base": ("VAEOutput",),
    "models.config": ("ModelConfig",),
    "models.curve": (
        "RDCurve",
        "RDPoint",
        "bits_per_dimension",
        "compare_curves",
    ),
    "models.factory": ("create_model",),
    "models.posterior": ("Posterior",),
    "models.architecture_table": (
        "list_architectures",
        "register_architecture",
    ),
    "models.vae": (
        "FixedRateVAE",
        "MultiRateVAE",
    ),
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
    return sorted(__all__)


face.lend(__getattr__)
