"""Starting a training from the weights of a checkpoint."""

from pathlib import Path

from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config
from mrvae_zoo.errors import name_some
from mrvae_zoo.models.vae import MultiRateVAE

# What makes other functions of the same tensors; where there are gates, the features of β as well.
MEANING = ("architecture", "gating", "likelihood", "data_range", "arguments")
MEANING_OF_GATES = ("beta_range", "gating_degree", "gating_moves")


def start_from(model: MultiRateVAE, source: Path) -> str:
    """Take all weights of a checkpoint; returns their checksum.

    Raises:
        ValueError: The checkpoint does not fit. The message names the tensors that are missing, left over or of another
            shape, and the keys of the model that change the meaning of the weights.
    """
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
