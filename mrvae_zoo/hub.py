"""Where a model comes from: a name of the catalogue, or a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from mrvae_zoo.catalogue import has_weights, model_folder

if TYPE_CHECKING:
    import torch

    from mrvae_zoo.vae import FixedRateVAE, MultiRateVAE

LOCAL = "local-dir:"
HUB = "hf-hub:"

CompileMode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


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
    source: str,
    device: "str | torch.device" = "cpu",
    dtype: "torch.dtype | None" = None,
    *,
    compile: bool | CompileMode = False,  # noqa: A002 (the word of torch)
) -> "MultiRateVAE | FixedRateVAE":
    """A trained model in eval mode, with its published curve as `model.curve`.

    Args:
        source: a name of the catalogue (`mrvae_mlp.mnist`) or `local-dir:path`.
        device: where to put it.
        dtype: of its weights; None is float32 for weights stored in half precision, else as stored.
        compile: compile call, encode and decode when they are first used (`model.compile()`), once more when β or the
            batch size first changes, and not again after. "reduce-overhead" runs them as CUDA graphs on a GPU: the
            fastest for small batches, from one thread, one graph for each batch size.

    Returns:
        A MultiRateVAE; a FixedRateVAE where the gates were folded before it was saved.

    Raises:
        ValueError: no such source, or no such mode of compilation; an unknown name comes with the nearest ones.
        CheckpointError: the files are not a whole checkpoint; the message names the file and the fault.
    """
    from mrvae_zoo.checkpoint import load_checkpoint

    if compile not in (False, True, *get_args(CompileMode)):
        raise ValueError(f"compile={compile!r} should be True, False or one of {', '.join(get_args(CompileMode))}")
    model = load_checkpoint(locate_checkpoint(source), device=device, dtype=dtype)
    if compile:
        model.compile(mode="default" if compile is True else compile)
    return model
