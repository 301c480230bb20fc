"""Where a model comes from: a name of the catalogue, or a folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from mrvae_zoo.catalogue import has_weights, model_folder

if TYPE_CHECKING:
    import torch

    from mrvae_zoo.vae import FixedRateVAE, MultiRateVAE

LOCAL = "local-dir:"
HUB = "hf-hub:"


def locate(source: str) -> Path:
    """The folder of a source: a name of the catalogue (`arch.tag`), or `local-dir:path`.

    Raises:
        ValueError: the source is neither; the message says what it could have been.
    """
    if source.startswith(LOCAL):
        return Path(source.removeprefix(LOCAL)).expanduser()
    if source.startswith(HUB):
        raise ValueError(f"{source!r}: this version of mrvae_zoo reads {LOCAL}path and names of its catalogue")
    if any(mark in source for mark in "/\\:"):
        raise ValueError(
            f"{source!r} is not a name of the catalogue; for a folder write {LOCAL}path, for the Hub {HUB}org/name"
        )
    return model_folder(source)


def locate_checkpoint(source: str) -> Path:
    """The folder of a trained model, as `locate`.

    Raises:
        ValueError: also where the catalogue has the recipe of a model and not its weights.
    """
    folder = locate(source)
    if not source.startswith(LOCAL) and not has_weights(folder):
        raise ValueError(f"{source} has no weights here; train it with: mrvae train {source} --data-root DIR -o RUN")
    return folder


def load_pretrained(
    source: str, device: "str | torch.device" = "cpu", dtype: "torch.dtype | None" = None
) -> "MultiRateVAE | FixedRateVAE":
    """A trained model in eval mode, with its published curve as `model.curve`.

    Args:
        source: a name of the catalogue (`mrvae_mlp.mnist`) or `local-dir:path`.
        device: where to put it.
        dtype: of its weights; None is float32 for weights stored in half precision, else as stored.

    Returns:
        A MultiRateVAE; a FixedRateVAE where the gates were folded before it was saved.

    Raises:
        ValueError: no such source; an unknown name comes with the nearest ones.
        CheckpointError: the files are not a whole checkpoint; the message names the file and the fault.
    """
    from mrvae_zoo.checkpoint import load_checkpoint

    return load_checkpoint(locate_checkpoint(source), device=device, dtype=dtype)
