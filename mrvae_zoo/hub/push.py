"""Pushing a model to the Hugging Face Hub, and its dial to a Space: one commit in each repository, read back."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config
from mrvae_zoo.checkpoints.sources import check_repo_id, check_revision
from mrvae_zoo.errors import HubError
from mrvae_zoo.hub.client import HubOptions, is_offline, make_api, token_of
from mrvae_zoo.hub.download import fetch, is_commit
from mrvae_zoo.hub.package import ModelPackage, find_folder, make_package
from mrvae_zoo.hub.space import default_space, make_space
from mrvae_zoo.hub.upload import Package, Pushed, Upload, address
from mrvae_zoo.models.vae import BaseVAE
from mrvae_zoo.page.graphs import check_onnx

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def push_to_hub(
    source: str | Path | BaseVAE,
    repo_id: str,
    *,
    space: str | Literal[True] | None = None,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    tag: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    data_root: str | Path | None = None,
    device: str = "cpu",
    token: str | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Pushed:
    """Push a trained model and its page to a repository of the Hub, as one commit.

    Before anything is sent, the checkpoint is loaded, the curve is measured again if `data_root` is given, and the page
    is made and checked. Afterwards the model is downloaded at the new commit, loaded and compared. If the repository
    holds the same files already, no commit is made.

    With `space`, the dial goes to a static Space with the same guarantees: the page that runs the model in the browser,
    see `mrvae_zoo.write_page`. Both repositories are looked at before anything is sent. The Space comes first, so that
    the card of the model links it only once it was read back.

    Args:
        source: The folder of a training, a name of the registry, or a model with its curve.
        repo_id: The repository, "org/name". It is created if it does not exist.
        space: The Space to push the dial to, "org/name"; True is `repo_id` with "-dial" behind it. None pushes no dial,
            and the card then links none.
        private: Create the repository as a private one. The Space of a private model is always private.
        revision: The branch, which is created if it does not exist; None is the main branch.
        create_pr: Open a pull request instead of committing to the branch.
        tag: A name for the commit.
        message: The message of the commits; None names the model and the version of this library.
        dry_run: Make and check everything, but send nothing and ask nobody. No token is needed.
        data_root: The folder of data sets to measure three points of the curve on again.
        device: The device to measure and to draw the page on; see `load_pretrained`.
        token: The token to push with; None is the saved one, or the one in HF_TOKEN.
        progress: A function that is called with the share of the measurement that is done, in [0, 1].

    Raises:
        ValueError: The model is not fit to be pushed, or an argument is wrong.
        MissingExtraError: matplotlib is not installed, or for a Space the extra `export`.
        HubError: The Hub refuses or cannot be reached, or someone else changed the repository in the meantime.
    """
    _check_arguments(repo_id, revision=revision, tag=tag, create_pr=create_pr, message=message)
    space_id = None if space is None else default_space(repo_id) if space is True else space
    if space_id is not None:
        _check_space(space_id, revision=revision, create_pr=create_pr)
    if isinstance(source, str | Path):
        read_config(find_folder(source)[0])  # what is wrong with the folder comes before what is wrong with the token
    api = make_api(token)
    if not dry_run:
        check_may_push(api, repo_id)
    root = None if data_root is None else Path(data_root)
    package = make_package(
        source,
        repo_id,
        space_url=None if space_id is None else address(api, space_id, "space"),
        data_root=root,
        device=device,
        progress=progress,
    )
    dial = None
    if space_id is not None:
        dial = make_space(package, space_id, model_url=address(api, repo_id, "model"), data_root=root)
    if dry_run:
        return replace(_planned(api, package), space=None if dial is None else _planned(api, dial))
    upload = Upload(api, package, branch=revision, message=message)
    upload.open(private=private, tag=tag)
    shown = None if dial is None else _push_space(Upload(api, dial, message=message), private=upload.private)
    pushed = upload.commit(create_pr=create_pr)
    assert pushed.commit is not None
    upload.check(pushed.commit)
    _read_back(package, pushed.commit, token_of(api))
    if tag is not None:
        upload.tag(tag, pushed.commit)
    return replace(pushed, space=shown)


def _check_arguments(
    repo_id: str, *, revision: str | None, tag: str | None, create_pr: bool, message: str | None
) -> None:
    """Raise a ValueError that names the argument that is wrong."""
    check_repo_id(repo_id)
    for name in (revision, tag):
        if name is not None:
            check_revision(name)
            if is_commit(name):
                raise ValueError(f"{name} is a commit; give the name of a branch or a tag")
    if create_pr and tag is not None:
        raise ValueError("a tag is for what is merged; leave it out of a pull request")
    if message is not None and not message.strip():
        raise ValueError("the message of the commit is empty; write one, or leave it out")


def _check_space(space_id: str, *, revision: str | None, create_pr: bool) -> None:
    """Raise a ValueError if there can be no such Space or no dial, or none for this push."""
    check_repo_id(space_id)
    if revision not in (None, "main") or create_pr:
        raise ValueError("a Space shows what is on the main branch; push without the Space, or to the main branch")
    check_onnx()


def check_may_push(api: "HfApi", what: str) -> None:
    """Raise a HubError where there is no network or no token to push with."""
    if is_offline():
        raise HubError(f"{what}: HF_HUB_OFFLINE is set; unset it to push")
    if token_of(api) is None:
        raise HubError(f"{what}: pushing needs a token; log in with: hf auth login, or set HF_TOKEN")


def _planned(api: "HfApi", package: Package) -> Pushed:
    """What a push would send."""
    return Pushed(
        repo_id=package.repo_id,
        url=address(api, package.repo_id, package.repo_type),
        commit=None,
        changed=tuple(sorted(package.files)),
        sizes=package.sizes,
    )


def _push_space(upload: Upload, *, private: bool) -> Pushed:
    upload.open(private=private)
    pushed = upload.commit()
    assert pushed.commit is not None
    upload.read_back(pushed.commit)
    return pushed


def _read_back(package: ModelPackage, commit: str, token: str | None) -> None:
    """Download the model at a commit into a cache of its own, load it and compare it with what was pushed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        fetched = fetch(package.repo_id, commit, HubOptions(token=token, cache_dir=Path(cache)))
        theirs = load_checkpoint(fetched.folder, weights_sha256=fetched.sha256)
    ours = package.model
    expected, found = ours.state_dict(), theirs.state_dict()
    same = expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)
    if not same or ours.config != theirs.config or ours.curve != theirs.curve:
        raise HubError(f"{package.repo_id}@{commit} gives another model back than was pushed; push again")
