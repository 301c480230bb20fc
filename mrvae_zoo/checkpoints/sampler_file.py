"""sampler.safetensors: the mixtures that new images are drawn from, stored with the weights that they belong to."""

from pathlib import Path

import safetensors
import safetensors.torch

from mrvae_zoo.common.layout import SAMPLER, WEIGHTS
from mrvae_zoo.errors import CheckpointError
from mrvae_zoo.models.config import ModelConfig
from mrvae_zoo.models.sampler import MixtureSampler

BELONGS_TO = "weights_sha256"  # in the header: the checksum of the weights whose latents were fitted


def sampler_bytes(sampler: MixtureSampler, weights_sha256: str) -> bytes:
    """Return the content of sampler.safetensors, for the weights with this SHA-256."""
    return safetensors.torch.save(sampler.to_tensors(), metadata={BELONGS_TO: weights_sha256})


def read_sampler(folder: Path, config: ModelConfig, weights_sha256: str) -> MixtureSampler | None:
    """Read the sampler of a checkpoint, or return None if there is none.

    Raises:
        CheckpointError: The file cannot be read, was fitted to other weights than those with this SHA-256, or does not
            hold exactly the tensors of a sampler for this model; the message names the tensor.
    """
    path = folder / SAMPLER
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            belongs_to = (file.metadata() or {}).get(BELONGS_TO)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is truncated or damaged: {error}") from None
    if belongs_to != weights_sha256:
        raise CheckpointError(
            f"{path} was not fitted to the weights in {WEIGHTS}; remove it, and fit another with: mrvae fit-sampler"
        )
    if config.spatial:
        raise CheckpointError(f"{path} should not be there: a model with latents at many places has no sampler")
    try:
        sampler = MixtureSampler.from_tensors(tensors, config.latent_dim)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    low, high = config.beta_range
    if any(not low * (1 - 1e-6) <= beta <= high * (1 + 1e-6) for beta in sampler.betas):
        raise CheckpointError(f"{path}: tensor betas goes beyond the range of the model, [{low:g}, {high:g}]")
    return sampler
