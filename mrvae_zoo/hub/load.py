"""Finding a model by its source: a name in the registry, a folder, or the Hugging Face Hub."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from mrvae_zoo.checkpoints.pins import Pin, pins_path, read_pins
from mrvae_zoo.checkpoints.registry import has_weights, list_models, model_folder
from mrvae_zoo.checkpoints.sources import HUB, LOCAL, HubSource, local_folder, parse_hub_source
from mrvae_zoo.common.layout import CONFIG, RECIPE, WEIGHTS
from mrvae_zoo.errors import HubError
from mrvae_zoo.hub.client import HubOptions

if TYPE_CHECKING:
    import torch

    from mrvae_zoo.checkpoints.folder import Description, DTypeName
    from mrvae_zoo.hub.download import Fetched
    from mrvae_zoo.models.vae import BaseVAE


CompileMode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


def as_source(name: str) -> str:
    """Return `name`, or `local-dir:path` if it is the path of a folder that holds a model or its recipe.

    If a model of the registry and a folder have the same name, the model is meant.
    """
    if not name or name.startswith((LOCAL, HUB)) or name in list_models():
        return name
    return f"{LOCAL}{name}" if any((Path(name) / file).is_file() for file in (CONFIG, RECIPE)) else name


def exact(source: str, revision: str | None = None) -> str:
    """Return the source in a form that does not change: a Hub source with its commit, a folder with its full path.

    A name in the registry without weights becomes what its pin names; see also `as_source`. Files made from a model
    record this form, and commands that load a model twice get the same one.

    Raises:
        ValueError: The source is wrong; see `locate_checkpoint`.
        HubError: There is no such repository or revision, or the Hub cannot be reached.
    """
    source = as_source(source)
    if source.startswith(HUB):
        from mrvae_zoo.hub.download import find_commit

        parts = parse_hub_source(source, revision)
        return str(HubSource(repo_id=parts.repo_id, revision=find_commit(parts.repo_id, parts.revision)))
    _check_no_revision(source, revision)
    if source.startswith(LOCAL):
        return f"{LOCAL}{local_folder(source).resolve()}"
    pin = _pin_of(source)
    if pin is None:
        return source
    _fetch_pinned(
        source, pin, HubOptions()
    )  # the pin names the checksum of the weights as well, and its source does not
    return pin.source


def locate_checkpoint(source: str, revision: str | None = None, options: HubOptions | None = None) -> Path:
    """Return the folder of a trained model; a model on the Hub is downloaded first.

    Args:
        source: A name in the registry (`arch.tag`), `local-dir:path`, a path alone, or `hf-hub:org/name[@revision]`.
        revision: The branch, tag or commit of a source on the Hub.
        options: The options of requests to the Hub: token, cache and offline mode.

    Raises:
        ValueError: The source is none of these (the message says what it could have been), or the registry has only the
            recipe of the model, with neither weights nor a pin.
        HubError: The Hub cannot provide the model; the message says why, and what to do.
    """
    return _locate(source, revision, options or HubOptions())[0]


def _locate(source: str, revision: str | None, options: HubOptions) -> tuple[Path, str | None]:
    """Return the folder of a model, and the SHA-256 of its weights if it was computed just now."""
    source = as_source(source)
    if source.startswith(HUB):
        from mrvae_zoo.hub.download import fetch, find_commit

        parts = parse_hub_source(source, revision)
        return fetch(parts.repo_id, find_commit(parts.repo_id, parts.revision, options), options)
    _check_no_revision(source, revision)
    if source.startswith(LOCAL):
        return local_folder(source), None
    pin = _pin_of(source)
    return (model_folder(source), None) if pin is None else _fetch_pinned(source, pin, options)


def describe_model(source: str) -> "Description":
    """Describe a model without its weights, which are not downloaded and need not exist.

    Arguments and errors are those of `locate_checkpoint`, except that a model of the registry need not be trained.
    """
    from mrvae_zoo.checkpoints.folder import read_description

    folder = _description_folder(source)
    if (folder / CONFIG).is_file() or not (folder / RECIPE).is_file():
        return read_description(folder)
    from mrvae_zoo.training.recipe import read_recipe

    return read_description(folder, read_recipe(folder / RECIPE).model)


def _description_folder(source: str) -> Path:
    source = as_source(source)
    if source.startswith(LOCAL):
        return local_folder(source)
    if source.startswith(HUB):
        parts = parse_hub_source(source)
    else:
        here = has_weights(_in_registry(source))
        pin = None if here else read_pins().get(source)
        if pin is None:
            return model_folder(source)
        parts = HubSource(repo_id=pin.repo, revision=pin.revision)
    from mrvae_zoo.hub.download import fetch_description, find_commit

    return fetch_description(parts.repo_id, find_commit(parts.repo_id, parts.revision))


def own_folder(source: str) -> Path:
    """Return the folder of a trained model that may be written to: a path, or a name in the registry with weights here.

    Raises:
        ValueError: The model is in the cache of the Hub, or the source is not a model.
    """
    source = as_source(source)
    if source.startswith(HUB) or (not source.startswith(LOCAL) and _pin_of(source) is not None):
        raise ValueError(
            f"{source} is in the cache of the Hub, which holds what is published; save it in a folder first"
        )
    return locate_checkpoint(source)


def locate_recipe(source: str) -> Path:
    """Return the path of the recipe.toml of a source, trained or not.

    Raises:
        ValueError: The source is wrong; see `locate_checkpoint`.
        HubError: The Hub cannot provide the recipe; see `locate_checkpoint`.
    """
    source = as_source(source)
    if source.startswith(HUB):
        from mrvae_zoo.hub.download import fetch_recipe, find_commit

        parts = parse_hub_source(source)
        return fetch_recipe(parts.repo_id, find_commit(parts.repo_id, parts.revision))
    return (local_folder(source) if source.startswith(LOCAL) else _in_registry(source)) / RECIPE


def _in_registry(source: str) -> Path:
    if any(mark in source for mark in "/\\:"):
        raise ValueError(
            f"{source!r} is not a name of the registry; for a folder write {LOCAL}path, for the Hub {HUB}org/name"
        )
    if source and Path(source).is_dir() and source not in list_models():
        raise ValueError(f"{source!r} is a folder without a model: it holds neither {CONFIG} nor {RECIPE}")
    return model_folder(source)


def _check_no_revision(source: str, revision: str | None) -> None:
    if revision is not None:
        raise ValueError(f"revision={revision!r} is for {HUB}org/name; {source} has none")


def _pin_of(source: str) -> Pin | None:
    """Return the pin of a name in the registry whose weights are not here; None if they are."""
    if has_weights(_in_registry(source)):
        return None
    pin = read_pins().get(source)
    if pin is None:
        raise ValueError(f"{source} has no weights here; train it with: mrvae train {source} --data-root DIR -o RUN")
    return pin


def _fetch_pinned(source: str, pin: Pin, options: HubOptions) -> "Fetched":
    from mrvae_zoo.hub.download import discard_weights, fetch

    fetched = fetch(pin.repo, pin.revision, options)
    if fetched.sha256 != pin.sha256:
        weights = fetched.folder / WEIGHTS
        discard_weights(fetched.folder)
        raise HubError(
            f"{source}: the checksum of {weights} differs from the one in {pins_path()}; it is removed from the cache, "
            f"run again to download it once more (if that does not help, do not use {pin.source})"
        )
    return fetched


def load_pretrained(
    source: "str | os.PathLike[str]",
    device: "str | torch.device" = "cpu",
    dtype: "torch.dtype | DTypeName | None" = None,
    revision: str | None = None,
    *,
    token: str | None = None,
    cache_dir: "str | os.PathLike[str] | None" = None,
    local_files_only: bool = False,
    compile: bool | CompileMode = False,  # noqa: A002 (the word of torch)
) -> "BaseVAE":
    """Load a trained model in eval mode, with its published curve as `model.curve`.

    Args:
        source: A name in the registry (`mrvae_mlp.mnist`), the path of a folder (or `local-dir:path`), or
            `hf-hub:org/name[@revision]`. If the weights of a name are not here, they are downloaded from the commit
            that registry/pins.toml names.
        device: The device to put the model on: "cpu", "cuda", "mps", or "auto" for a GPU if there is one.
        dtype: The dtype of the weights, as a torch dtype or by name ("float16"). None keeps the stored dtype, but
            widens half precision to float32.
        revision: The branch, tag or commit of `hf-hub:org/name`. None is the main branch.
        token: The token for a private repository of the Hub. None uses the saved token, or that of HF_TOKEN.
        cache_dir: The folder to keep downloads in. None uses the cache of huggingface_hub.
        local_files_only: Whether to use only what is in the cache, without asking the Hub.
        compile: Whether to compile the model (`model.compile()`). Compilation happens at the first use, once more when
            β or the batch size first changes, and not again after that. A mode can be given instead: "reduce-overhead"
            uses CUDA graphs on a GPU, the fastest for small batches. It works from one thread, with one graph per batch
            size.

    Returns:
        A MultiRateVAE, or a FixedRateVAE if the gates were folded before saving. Both are called in the same way.

    Raises:
        ValueError: There is no such source, device or compile mode; for an unknown name the message suggests the
            nearest ones.
        HubError: The Hub cannot provide the model: there is no such repository or revision, no network, or a wrong
            checksum.
        CheckpointError: The files are not a complete checkpoint; the message names the file and the fault.
    """
    from mrvae_zoo.checkpoints.folder import load_checkpoint, torch_dtype
    from mrvae_zoo.common.devices import find_device

    if compile not in (False, True, *get_args(CompileMode)):
        raise ValueError(f"compile={compile!r} should be True, False or one of {', '.join(get_args(CompileMode))}")
    dtype = torch_dtype(dtype)
    device = find_device(device)
    source = source if isinstance(source, str) else f"{LOCAL}{os.fspath(source)}"
    cache = None if cache_dir is None else Path(cache_dir)
    options = HubOptions(token=token, cache_dir=cache, local_files_only=local_files_only)
    folder, checksum = _locate(source, revision, options)
    model = load_checkpoint(folder, device=device, dtype=dtype, weights_sha256=checksum)
    model.name = source
    if compile:
        model.compile(mode="default" if compile is True else compile)
    return model
