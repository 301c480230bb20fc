"""The AutoencoderKL of diffusers: where one is, what it is in the words of the zoo, and whose weights are whose."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from torch import Tensor

from mrvae_zoo.common.layout import CONFIG, DIFFUSERS_WEIGHTS
from mrvae_zoo.errors import HubError, MissingExtraError, one_line

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

ARCHITECTURE = "mrvae_autoencoder_kl"
DOWN, UP = "DownEncoderBlock2D", "UpDecoderBlock2D"
NOT_OF_THE_NETWORK = ("sample_size", "force_upcast")
KEPT = (  # keys that config and architecture have in common
    "block_out_channels",
    "layers_per_block",
    "norm_num_groups",
    "act_fn",
    "mid_block_add_attention",
    "use_quant_conv",
    "use_post_quant_conv",
    *NOT_OF_THE_NETWORK,
)
SIDES = {"quant_conv": "encoder", "post_quant_conv": "decoder"}  # of the model, which the convolutions belong to here


def autoencoder_class() -> "type[AutoencoderKL]":
    """Return the class AutoencoderKL.

    Raises:
        MissingExtraError: diffusers is not installed.
    """
    try:
        from diffusers import AutoencoderKL
    except ImportError:
        raise MissingExtraError("diffusers", "diffusers") from None
    return AutoencoderKL


def locate(source: str | Path) -> Path:
    """Return the folder of an AutoencoderKL: a folder or a Hub repository, its own or that of a pipeline with a `vae`.

    A repository is `org/name` or `org/name@revision`. Its config and safetensors weights are downloaded, nothing else.

    Raises:
        ValueError: There is no AutoencoderKL in the folder or in the repository.
        HubError: The Hub cannot provide the repository.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = _download(str(source))
    for inside in (folder, folder / "vae"):
        if is_autoencoder(inside):
            return inside
    raise ValueError(f"{source} holds no AutoencoderKL of diffusers: no {CONFIG} or vae/{CONFIG} says that it is one")


def exact_name(source: str, folder: Path) -> str:
    """Return a source as it is recorded: the full path of its folder, or the repository with its commit."""
    if Path(source).is_dir():
        return str(folder.resolve())
    snapshot = folder.parent if folder.name == "vae" else folder
    return f"{source.partition('@')[0]}@{snapshot.name}"


def _download(source: str) -> Path:
    repo_id, _, revision = source.partition("@")
    import huggingface_hub

    try:
        patterns = [f"{folder}{name}" for folder in ("", "vae/") for name in (CONFIG, DIFFUSERS_WEIGHTS)]
        return Path(huggingface_hub.snapshot_download(repo_id, revision=revision or None, allow_patterns=patterns))
    except huggingface_hub.errors.HFValidationError:
        raise ValueError(f"{source} is neither a folder nor the name of a repository, org/name") from None
    except (OSError, ValueError) as error:
        raise HubError(f"the Hub does not provide {source}: {one_line(str(error))}") from None


def is_autoencoder(folder: Path) -> bool:
    """Whether a folder holds an AutoencoderKL as diffusers saves it."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("_class_name") == "AutoencoderKL"


def load(folder: Path) -> "AutoencoderKL":
    """Load the AutoencoderKL in a folder, from safetensors weights alone.

    Raises:
        MissingExtraError: diffusers is not installed.
        ValueError: The files are damaged, or there are no such weights.
    """
    cls = autoencoder_class()
    try:
        return cls.from_pretrained(folder, use_safetensors=True, low_cpu_mem_usage=False, local_files_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder} holds an AutoencoderKL that cannot be read: {one_line(str(error))}") from None


def options_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `create_model` that describe the network of an AutoencoderKL with this config.

    Raises:
        ValueError: The network is one that the architecture does not have; the message names the key.
    """
    for key, plain in (("down_block_types", DOWN), ("up_block_types", UP)):
        if set(config[key]) != {plain}:
            raise ValueError(f"{key}={list(config[key])} is not supported; every block should be {plain}")
    if config["in_channels"] != config["out_channels"]:
        raise ValueError(
            f"in_channels={config['in_channels']} and out_channels={config['out_channels']} should be the same"
        )
    options = {key: config[key] for key in KEPT} | {"block_out_channels": tuple(config["block_out_channels"])}
    if not isinstance(options["sample_size"], int):
        options["sample_size"] = max(options["sample_size"])
    return {
        "architecture": ARCHITECTURE,
        "input_shape": (config["in_channels"], None, None),
        "latent_dim": config["latent_channels"],
        **options,
    }


def name_here(name: str) -> str:
    """Return the name that a tensor of an AutoencoderKL has in a model of the zoo."""
    side = SIDES.get(name.partition(".")[0])
    return name if side is None else f"{side}.{name}"


def name_there(name: str) -> str:
    """Return the name that a tensor of a plain model of the zoo has in an AutoencoderKL; the inverse of `name_here`."""
    side, _, rest = name.partition(".")
    return rest if SIDES.get(rest.partition(".")[0]) == side else name


def weights_of(autoencoder: "AutoencoderKL") -> dict[str, Tensor]:
    """Return the weights of an AutoencoderKL under the names that they have in a model of the zoo."""
    return {name_here(name): tensor for name, tensor in autoencoder.state_dict().items()}
