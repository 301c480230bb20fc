"""Checkpoints: config.json, model.safetensors and rd_curve.json in a folder, written and read strictly.

Everything that the config asks for is compared with the header of the weights before memory is allocated.
"""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mrvae_zoo._version import __version__
from mrvae_zoo.checkpoints.registry import data_name
from mrvae_zoo.checkpoints.sampler_file import read_sampler, sampler_bytes
from mrvae_zoo.common.files import finish_replacing, replace_files, write_atomically
from mrvae_zoo.common.layout import CONFIG, CURVE, LATENTS, RECIPE, SAMPLER, WEIGHTS
from mrvae_zoo.common.schema import from_mapping, to_plain
from mrvae_zoo.errors import CheckpointError
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.curve import RDCurve
from mrvae_zoo.models.factory import build_model, complete
from mrvae_zoo.models.latents import LatentTable
from mrvae_zoo.models.sampler import MixtureSampler
from mrvae_zoo.models.vae import BaseVAE, unwrap

FORMAT_VERSION = 1
MAX_CONFIG_BYTES = 1 << 20

DTypeName = Literal["float64", "float32", "float16", "bfloat16"]
DTYPES: dict[str, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
HEADER_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsRecord:
    """The entry for model.safetensors in config.json: the dtype of its floating-point tensors, and its SHA-256."""

    dtype: DTypeName
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointConfig:
    """The content of config.json."""

    format_version: int
    library_name: str
    library_version: str
    weights: WeightsRecord
    model: ModelConfig


def torch_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """Return the dtype for a name such as "float16". A torch dtype or None is returned unchanged.

    Raises:
        ValueError: Weights cannot be stored in a dtype of this name.
    """
    if isinstance(dtype, str):
        name = dtype.removeprefix("torch.")
        if name not in DTYPES:
            raise ValueError(f"dtype={dtype!r} should be one of {', '.join(DTYPES)}")
        return DTYPES[name]
    if not (dtype is None or isinstance(dtype, torch.dtype)):
        raise ValueError(f"dtype={dtype!r} should be a dtype of torch, or one of {', '.join(DTYPES)}")
    return dtype


def save_pretrained(
    model: BaseVAE, folder: str | os.PathLike[str], *, dtype: torch.dtype | DTypeName | None = None
) -> None:
    """Write a model into `folder`: config.json, model.safetensors, and its curve, sampler and recipe if it has them.

    Args:
        model: The model to save. It may be wrapped by torch (`torch.compile`, DataParallel, an averaged model).
        folder: The folder to write to, created if it is missing. The files of an earlier checkpoint there are replaced,
            all or none: if the process is killed meanwhile, the folder holds either the old or the new checkpoint.
        dtype: The dtype to store floating-point weights in, or its name. None stores them unchanged.

    Raises:
        ValueError: The dtype cannot be stored, the model has no weights, or it is not a model of the zoo.
        OSError: The folder cannot be written.
    """
    model = unwrap(model)
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise ValueError("this model has no weights to save: it is on the meta device")
    dtype = torch_dtype(dtype) or model.dtype
    names = {torch_dtype: name for name, torch_dtype in DTYPES.items()}
    if dtype not in names:
        raise ValueError(f"dtype={dtype} cannot be stored; use one of {', '.join(DTYPES)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: stored(tensor, dtype) for name, tensor in model.state_dict().items()}
    content = safetensors.torch.save(tensors, metadata={"format": "pt"})
    sha256 = hashlib.sha256(content).hexdigest()
    config = {
        "format_version": FORMAT_VERSION,
        "library_name": "mrvae_zoo",
        "library_version": __version__,
        "weights": {"dtype": names[dtype], "sha256": sha256},
        "model": to_plain(model.config),
    }
    files: dict[str, bytes | str] = {WEIGHTS: content}
    if model.curve is not None:
        files |= _curve_files(model.curve)
    if model.sampler is not None:
        files[SAMPLER] = sampler_bytes(model.sampler, sha256)
    if model.recipe is not None:
        files[RECIPE] = model.recipe
    replace_files(folder, {**files, CONFIG: json.dumps(config, indent=1) + "\n"}, remove=(CURVE, LATENTS, SAMPLER))


def save_curve(folder: Path, curve: RDCurve) -> None:
    """Replace the curve beside the weights of a checkpoint, and what was measured with it, entirely or not at all."""
    config = (folder / CONFIG).read_text(encoding="utf-8")  # the file that `replace_files` ends with
    replace_files(folder, {**_curve_files(curve), CONFIG: config}, remove=(LATENTS,))


def save_sampler(folder: Path, sampler: MixtureSampler) -> None:
    """Replace the sampler beside the weights of a checkpoint, entirely or not at all."""
    write_atomically(folder / SAMPLER, sampler_bytes(sampler, read_config(folder).weights.sha256))


def _curve_files(curve: RDCurve) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {CURVE: curve.to_json()}
    return files if curve.latents is None else files | {LATENTS: curve.latents.to_json()}


def stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor as it is written: contiguous, on the CPU, and in `dtype` if it holds floats."""
    tensor = tensor.detach().cpu().contiguous()
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def read_config(folder: Path) -> CheckpointConfig:
    """Read the config of a checkpoint and nothing else.

    Raises:
        CheckpointError: The config is missing or wrong; the message names the file and the fault.
    """
    finish_replacing(folder, CONFIG)
    path = folder / CONFIG
    data = _read_json(path)
    version = data.get("format_version") if isinstance(data, dict) else None
    if type(version) is not int:
        raise CheckpointError(f"{path} is not the config of a checkpoint: format_version is missing")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format_version {version}; this mrvae_zoo ({__version__}) reads up to {FORMAT_VERSION}. "
            "Upgrade with: pip install -U mrvae-zoo"
        )
    try:
        config = from_mapping(CheckpointConfig, data, where=str(path))
        return replace(config, model=complete(config.model, where=str(path)))
    except ValueError as error:
        raise CheckpointError(str(error)) from None


class Description(NamedTuple):
    """The description of a model that its folder gives without the weights.

    Attributes:
        config: The description of the model: its architecture, sizes and range of β.
        curve: The published curve, or None.
        parameters: The number of parameters.
        data: The name of the data set that the model was trained on, from the recipe or else from the curve. None if
            neither names it.
        sampler: The mixtures that `sample` draws from, if they are in the folder, or None.
    """

    config: ModelConfig
    curve: RDCurve | None
    parameters: int
    data: str | None
    sampler: MixtureSampler | None = None


def read_description(folder: Path, config: ModelConfig | None = None) -> Description:
    """Describe a model without reading its weights, which need not exist.

    Args:
        folder: The folder of a checkpoint.
        config: The config of an untrained model, whose folder has none.

    Raises:
        CheckpointError: A file is missing or wrong; the message names the file and the fault.
    """
    sampler = None
    if config is None:
        record = read_config(folder)
        model = skeleton(folder, record)
        config = record.model
        sampler = read_sampler(folder, config, record.weights.sha256)
    else:
        with torch.device("meta"):
            model = build_model(config)
    curve = _read_curve(folder, config)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Description(config, curve, parameters, data_name(folder, curve), sampler)


def _read_curve(folder: Path, config: ModelConfig) -> RDCurve | None:
    if not (folder / CURVE).exists():
        return None
    try:
        curve = RDCurve.read(folder / CURVE)
        latents = LatentTable.read(folder / LATENTS) if (folder / LATENTS).exists() else None
    except (ValueError, OSError) as error:
        raise CheckpointError(str(error)) from None
    if latents is not None and (found := len(latents.points[0].kl)) != config.latent_dim:
        raise CheckpointError(f"{folder / LATENTS} has {found} latents; the model has {config.latent_dim}")
    return replace(curve, latents=latents)


def _read_json(path: Path) -> Any:
    if not path.parent.is_dir():
        raise CheckpointError(f"{path.parent}: no such folder")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; {path.parent} is not a checkpoint") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_CONFIG_BYTES:
        raise CheckpointError(f"{path} is larger than 1 MiB; it is no config")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path} is not JSON") from None


def load_checkpoint(
    folder: Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    weights_sha256: str | None = None,
) -> BaseVAE:
    """Load the model in a folder, in eval mode.

    Args:
        folder: A folder as `save_pretrained` writes it.
        device: The device to put the weights on.
        dtype: The dtype of the weights. None keeps the stored dtype, but widens half precision to float32.
        weights_sha256: The SHA-256 of the weights file, if the caller has just computed it. None computes it.

    Raises:
        CheckpointError: A file is missing or truncated, its tensors, shapes or dtype are not those of the config, or a
            checksum differs; the message names the file and the fault.
    """
    config = read_config(folder)
    model = skeleton(folder, config)
    path = folder / WEIGHTS
    content = read_weights(path, model, config.weights, sha256=weights_sha256)
    if dtype is None:
        dtype = torch.promote_types(DTYPES[config.weights.dtype], torch.float32)
    tensors = {
        name: tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)
        for name, tensor in safetensors.torch.load(content).items()
    }
    model.load_state_dict(tensors, strict=True, assign=True)
    model.curve = _read_curve(folder, config.model)
    model.sampler = read_sampler(folder, config.model, config.weights.sha256)
    if (folder / RECIPE).exists():
        try:
            model.recipe = (folder / RECIPE).read_text(encoding="utf-8")
        except (ValueError, OSError) as error:
            raise CheckpointError(f"{folder / RECIPE} cannot be read: {error}") from None
    # The buffers that no checkpoint holds are still where the skeleton made them.
    return model.to(device, dtype).eval()


def skeleton(folder: Path, config: CheckpointConfig) -> BaseVAE:
    """Build the model that the config asks for, without memory for its weights."""
    try:
        with torch.device("meta"):
            return build_model(config.model)
    except (ValueError, RuntimeError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{folder / CONFIG} asks for a model that cannot be built: {reason}") from None


def read_weights(path: Path, model: torch.nn.Module, record: WeightsRecord, *, sha256: str | None = None) -> bytes:
    """Read a weights file, and check that it holds exactly the tensors of `model` and has the recorded checksum.

    `sha256` is the checksum of the file if it is known; None computes it.
    """
    expected = {
        name: (
            tuple(tensor.shape),
            HEADER_NAMES[DTYPES[record.dtype] if tensor.is_floating_point() else tensor.dtype],
        )
        for name, tensor in model.state_dict().items()
    }
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
            found = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
        content = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is truncated or damaged: {error}") from None
    for name, (shape, dtype) in expected.items():
        if name not in found:
            raise CheckpointError(f"{path}: tensor {name} is missing")
        if found[name][0] != shape:
            raise CheckpointError(f"{path}: tensor {name} has shape {found[name][0]}; the config asks for {shape}")
        if found[name][1] != dtype:
            raise CheckpointError(f"{path}: tensor {name} is {found[name][1]}; the config says {dtype}")
    for name in found:
        if name not in expected:
            raise CheckpointError(f"{path}: tensor {name} is not part of the model that the config describes")
    if sha256 is None:
        sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != record.sha256:
        raise CheckpointError(f"{path}: the checksum differs from the one in {CONFIG}; get the file again")
    return content
