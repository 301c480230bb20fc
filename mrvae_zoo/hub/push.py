"""Pushing a model to the Hugging Face Hub: one commit, on top of the one that was looked at, read back afterwards."""

import hashlib
import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from mrvae_zoo._version import __version__
from mrvae_zoo.cards.images import EXAMPLES
from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config
from mrvae_zoo.checkpoints.sources import check_repo_id, check_revision
from mrvae_zoo.common.layout import CURVE_PLOT, LATENTS, RECONSTRUCTIONS, SAMPLER, SAMPLES
from mrvae_zoo.errors import HubError
from mrvae_zoo.hub.client import (
    LONGEST_WAIT,
    WAITS,
    ChangedError,
    HubOptions,
    NoRepositoryError,
    NoRevisionError,
    UnreachableError,
    asked_to_wait,
    call,
    is_offline,
    make_api,
    token_of,
)
from mrvae_zoo.hub.download import fetch, git_blob_id, is_commit
from mrvae_zoo.hub.package import Package, find_folder, make_package
from mrvae_zoo.models.vae import BaseVAE

if TYPE_CHECKING:
    from huggingface_hub import HfApi


# What an older version of a model or its page may have left; other files of a repository are not ours to remove.
OPTIONAL = (LATENTS, SAMPLER, CURVE_PLOT, RECONSTRUCTIONS, SAMPLES, *EXAMPLES)

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """The result of a push.

    Attributes:
        repo_id: The repository, "org/name".
        commit: The commit that holds the model, 40 hexadecimal digits; None after a dry run.
        changed: The files that the commit changed; none if the repository held the same already. After a dry run, all
            files of the model and its page.
        sizes: The size in bytes of each file of the model and its page, by name.
        pull_request: The address of the pull request, if one was asked for.
    """

    repo_id: str
    commit: str | None
    changed: tuple[str, ...]
    sizes: dict[str, int]
    pull_request: str | None = None


def push_to_hub(
    source: str | Path | BaseVAE,
    repo_id: str,
    *,
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

    Args:
        source: The folder of a training, a name of the registry, or a model with its curve.
        repo_id: The repository, "org/name". It is created if it does not exist.
        private: Create the repository as a private one.
        revision: The branch, which is created if it does not exist; None is the main branch.
        create_pr: Open a pull request instead of committing to the branch.
        tag: A name for the commit.
        message: The message of the commit; None names the model and the version of this library.
        dry_run: Make and check everything, but send nothing and ask nobody. No token is needed.
        data_root: The folder of data sets to measure three points of the curve on again.
        device: The device to measure and to draw the page on; see `load_pretrained`.
        token: The token to push with; None is the saved one, or the one in HF_TOKEN.
        progress: A function that is called with the share of the measurement that is done, in [0, 1].

    Raises:
        ValueError: The model is not fit to be pushed, or an argument is wrong.
        HubError: The Hub refuses or cannot be reached, or someone else changed the repository in the meantime.
    """
    _check_arguments(repo_id, revision=revision, tag=tag, create_pr=create_pr, message=message)
    if isinstance(source, str | Path):
        read_config(find_folder(source)[0])  # what is wrong with the folder comes before what is wrong with the token
    api = None
    if not dry_run:
        api = make_api(token)
        check_may_push(api, repo_id)
    root = None if data_root is None else Path(data_root)
    package = make_package(source, repo_id, data_root=root, device=device, progress=progress)
    if api is None:
        return Pushed(repo_id=repo_id, commit=None, changed=tuple(sorted(package.files)), sizes=package.sizes)
    push = _Push(api, repo_id, revision, package, message)
    push.open(private=private, tag=tag)
    pushed = push.commit(create_pr=create_pr)
    assert pushed.commit is not None
    push.read_back(pushed.commit)
    if tag is not None:
        push.tag(tag, pushed.commit)
    return pushed


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


def check_may_push(api: "HfApi", what: str) -> None:
    """Raise a HubError where there is no network or no token to push with."""
    if is_offline():
        raise HubError(f"{what}: HF_HUB_OFFLINE is set; unset it to push")
    if token_of(api) is None:
        raise HubError(f"{what}: pushing needs a token; log in with: hf auth login, or set HF_TOKEN")


class _Push:
    """One push: the repository, the branch and the commit that it was looked at."""

    def __init__(
        self, api: "HfApi", repo_id: str, branch: str | None, package: Package, message: str | None = None
    ) -> None:
        self.api, self.repo_id, self.branch, self.package = api, repo_id, branch, package
        self.message = f"Upload {package.name} with mrvae_zoo {__version__}" if message is None else message
        self.head = ""

    def open(self, *, private: bool, tag: str | None) -> None:
        """Look at the repository, which is made where it is missing, and at its tags."""
        try:
            info = self._ask(lambda: self.api.model_info(self.repo_id))
        except NoRepositoryError:
            self._ask(lambda: self.api.create_repo(self.repo_id, private=private, exist_ok=True), action="write")
            info = self._ask(lambda: self.api.model_info(self.repo_id))
        if private and not info.private:
            raise HubError(f"{self.repo_id} is public already; make it private on its page, or leave --private out")
        try:
            self.head = self._find_head()
        except NoRevisionError:
            branch = self.branch
            if branch is None:
                raise
            self._ask(lambda: self.api.create_branch(self.repo_id, branch=branch, exist_ok=True), action="write")
            self.head = self._find_head()
        target = None if tag is None else self._tags().get(tag)
        if target is not None and (target != self.head or any(self._pending(self.head))):
            raise HubError(f"{self.repo_id} has a tag {tag} at another commit, {target}; give another name")

    def commit(self, *, create_pr: bool) -> Pushed:
        """Commit what differs on top of the commit that was looked at.

        Where the answer is lost, the branch is looked at before anything is sent again.
        """
        changed, obsolete = self._pending(self.head)
        names = tuple(sorted((*changed, *obsolete)))
        if not names:
            return self._pushed(self.head, ())
        for wait in (*WAITS, None):
            try:
                info = self._send(changed, obsolete, create_pr=create_pr)
            except (UnreachableError, ChangedError) as error:
                if create_pr:
                    raise HubError(
                        f"{error}; before that, see whether the pull request is there: "
                        f"{self.api.endpoint}/{self.repo_id}/discussions"
                    ) from error
                head = self._find_head()
                if head != self.head:
                    if any(self._pending(head)):
                        raise ChangedError(
                            f"{self.repo_id} was changed by someone else in the meantime (it is at {head}); look at "
                            "it, then push again"
                        ) from error
                    return self._pushed(head, names)
                asked = asked_to_wait(error.__cause__)
                if wait is None or asked > LONGEST_WAIT or isinstance(error, ChangedError):
                    raise
                time.sleep(max(wait, asked))
            else:
                return self._pushed(info[0], names, info[1])
        raise AssertionError

    def _pushed(self, commit: str, changed: tuple[str, ...], pull_request: str | None = None) -> Pushed:
        sizes = self.package.sizes
        return Pushed(repo_id=self.repo_id, commit=commit, changed=changed, sizes=sizes, pull_request=pull_request)

    def read_back(self, commit: str) -> None:
        """Download the model at a commit into a cache of its own, load it and compare it with what was pushed."""
        if any(self._pending(commit)):
            raise HubError(f"{self.repo_id}@{commit} does not hold what was pushed; push again")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
            fetched = fetch(self.repo_id, commit, HubOptions(token=self._token(), cache_dir=Path(cache)))
            again = load_checkpoint(fetched.folder, weights_sha256=fetched.sha256)
        ours, theirs = self.package.model, again
        expected, found = ours.state_dict(), theirs.state_dict()
        same = expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)
        if not same or ours.config != theirs.config or ours.curve != theirs.curve:
            raise HubError(f"{self.repo_id}@{commit} gives another model back than was pushed; push again")

    def tag(self, tag: str, commit: str) -> None:
        """Give a commit a name."""
        self._ask(lambda: self.api.create_tag(self.repo_id, tag=tag, revision=commit, exist_ok=True), action="write")
        target = self._tags().get(tag)
        if target != commit:
            raise HubError(f"{self.repo_id} has a tag {tag} at another commit, {target}; {commit} is pushed without it")

    def _send(self, changed: list[str], obsolete: list[str], *, create_pr: bool) -> tuple[str, str | None]:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(name, self.package.files[name]) for name in changed),
            *(CommitOperationDelete(name) for name in obsolete),
        ]
        info = self._ask(
            lambda: self.api.create_commit(
                self.repo_id,
                operations,
                commit_message=self.message,
                revision=self.branch,
                parent_commit=self.head,
                create_pr=create_pr,
            ),
            action="write",
            again=False,
        )
        return info.oid, info.pr_url

    def _pending(self, commit: str) -> tuple[list[str], list[str]]:
        """What a commit holds otherwise than the package: files to write, and files of ours to remove."""
        from huggingface_hub.hf_api import RepoFile

        tree = self._ask(lambda: list(self.api.list_repo_tree(self.repo_id, revision=commit)))
        there = {file.path: file for file in tree if isinstance(file, RepoFile)}
        changed = []
        for name, content in self.package.files.items():
            file = there.get(name)
            if file is not None and file.lfs is not None:
                same = file.lfs.sha256 == hashlib.sha256(content).hexdigest()
            else:
                same = file is not None and file.blob_id == git_blob_id(content)
            if not same:
                changed.append(name)
        return changed, [name for name in OPTIONAL if name in there and name not in self.package.files]

    def _find_head(self) -> str:
        info = self._ask(lambda: self.api.model_info(self.repo_id, revision=self.branch))
        if info.sha is None:
            raise NoRevisionError(f"{self.repo_id} is empty; make a first commit on its page")
        return info.sha

    def _tags(self) -> dict[str, str]:
        refs = self._ask(lambda: self.api.list_repo_refs(self.repo_id))
        return {ref.name: ref.target_commit for ref in refs.tags}

    def _token(self) -> str | None:
        return token_of(self.api)

    def _ask(self, function: Callable[[], T], *, action: str = "read", again: bool = True) -> T:
        return call(function, api=self.api, repo_id=self.repo_id, revision=self.branch, action=action, again=again)
