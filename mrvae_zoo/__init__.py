"""A zoo of Multi-Rate VAEs: one model, trained once, for every β in a range.

Importing this imports no torch; each name is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mrvae_zoo.catalogue import list_models
    from mrvae_zoo.checkpoint import save_pretrained
    from mrvae_zoo.config import ModelConfig
    from mrvae_zoo.disentanglement import mutual_information_gap
    from mrvae_zoo.errors import CheckpointError, HubError, MissingExtraError, UnknownNameError
    from mrvae_zoo.evaluation import importance_weighted_bound, rate_distortion
    from mrvae_zoo.factory import create_model
    from mrvae_zoo.gate_module import gate
    from mrvae_zoo.hub import load_pretrained
    from mrvae_zoo.hub_upload import push_to_hub
    from mrvae_zoo.objectives import sample_beta
    from mrvae_zoo.posterior import Posterior
    from mrvae_zoo.rd_curve import RDCurve, RDPoint, bits_per_dimension
    from mrvae_zoo.registry import list_architectures, register_architecture
    from mrvae_zoo.tiling import decode_tiled, encode_tiled
    from mrvae_zoo.vae import FixedRateVAE, MultiRateVAE, VAEOutput

__all__ = [
    "CheckpointError",
    "FixedRateVAE",
    "HubError",
    "MissingExtraError",
    "ModelConfig",
    "MultiRateVAE",
    "Posterior",
    "RDCurve",
    "RDPoint",
    "UnknownNameError",
    "VAEOutput",
    "__version__",
    "bits_per_dimension",
    "create_model",
    "decode_tiled",
    "encode_tiled",
    "gate",
    "importance_weighted_bound",
    "list_architectures",
    "list_models",
    "load_pretrained",
    "mutual_information_gap",
    "push_to_hub",
    "rate_distortion",
    "register_architecture",
    "sample_beta",
    "save_pretrained",
]

_HOME = {
    "catalogue": ("list_models",),
    "checkpoint": ("save_pretrained",),
    "config": ("ModelConfig",),
    "disentanglement": ("mutual_information_gap",),
    "errors": ("CheckpointError", "HubError", "MissingExtraError", "UnknownNameError"),
    "evaluation": ("importance_weighted_bound", "rate_distortion"),
    "factory": ("create_model",),
    "gate_module": ("gate",),
    "hub": ("load_pretrained",),
    "hub_upload": ("push_to_hub",),
    "objectives": ("sample_beta",),
    "posterior": ("Posterior",),
    "rd_curve": ("RDCurve", "RDPoint", "bits_per_dimension"),
    "registry": ("list_architectures", "register_architecture"),
    "tiling": ("decode_tiled", "encode_tiled"),
    "vae": ("FixedRateVAE", "MultiRateVAE", "VAEOutput"),
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
