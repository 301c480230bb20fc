"""Files on their way to one repository of the Hub: one commit, on top of the one that was looked at, then compared."""

import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from mrvae_zoo._version import __version__
from mrvae_zoo.errors import HubError
from mrvae_zoo.hub.client import (
    LONGEST_WAIT,
    WAITS,
    ChangedError,
    NoRepositoryError,
    NoRevisionError,
    UnreachableError,
    asked_to_wait,
    call,
)
from mrvae_zoo.hub.download import git_blob_id

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile


STATIC = "static"  # the kind of Space that is a folder of files, with no program behind it

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The files of one repository.

    Attributes:
        repo_id: The repository, "org/name".
        repo_type: The kind of repository, "model" or "space".
        name: What the files are, for the message of the commit.
        files: The content of each file, by its path.
        removable: Patterns of the paths that an older version may have left behind. Other files of a repository are not
            ours to remove.
    """

    repo_id: str
    repo_type: Literal["model", "space"]
    name: str
    files: dict[str, bytes]
    removable: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each file in bytes, by its path."""
        return {name: len(content) for name, content in sorted(self.files.items())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """The result of a push.

    Attributes:
        repo_id: The repository, "org/name".
        url: The address of the repository.
        commit: The commit that holds the files, 40 hexadecimal digits; None after a dry run.
        changed: The files that the commit changed; none if the repository held the same already. After a dry run, all
            files that would be pushed.
        sizes: The size in bytes of each file that was pushed, by its path.
        pull_request: The address of the pull request, if one was asked for.
        space: What was pushed to the Space, if one was asked for.
    """

    repo_id: str
    url: str
    commit: str | None
    changed: tuple[str, ...]
    sizes: dict[str, int]
    pull_request: str | None = None
    space: "Pushed | None" = None


def address(api: "HfApi", repo_id: str, repo_type: str) -> str:
    """Return the address of a repository on the Hub, whether it exists or not."""
    return f"{api.endpoint}/{_place(repo_id, repo_type)}"


def _place(repo_id: str, repo_type: str) -> str:
    """Return the address of a repository below that of the Hub, which also names it in messages."""
    return f"spaces/{repo_id}" if repo_type == "space" else repo_id


class Upload:
    """One push of a package: the repository, the branch and the commit that it was looked at.

    Attributes:
        private: Whether the repository is private; known once it is open.
    """

    def __init__(
        self, api: "HfApi", package: Package, *, branch: str | None = None, message: str | None = None
    ) -> None:
        self.api, self.package, self.branch = api, package, branch
        self.repo_id, self.repo_type = package.repo_id, package.repo_type
        self.place = _place(self.repo_id, self.repo_type)
        self.message = f"Upload {package.name} with mrvae_zoo {__version__}" if message is None else message
        self.head, self.private = "", False

    def open(self, *, private: bool, tag: str | None = None) -> None:
        """Look at the repository, which is made where it is missing, and at its tags.

        Raises:
            HubError: It may not be written to, is public though it should be private, is another kind of Space, or has
                the tag at another commit.
        """
        try:
            self._look(private=private)
        except NoRepositoryError:
            self._ask(
                lambda: self.api.create_repo(
                    self.repo_id,
                    private=private,
                    exist_ok=True,
                    repo_type=self.repo_type,
                    space_sdk=STATIC if self.repo_type == "space" else None,
                ),
                action="write",
            )
            self._look(private=private)
        try:
            self.head = self._find_head()
        except NoRevisionError:
            branch = self.branch
            if branch is None:
                raise
            self._ask(
                lambda: self.api.create_branch(self.repo_id, branch=branch, exist_ok=True, repo_type=self.repo_type),
                action="write",
            )
            self.head = self._find_head()
        target = None if tag is None else self._tags().get(tag)
        if target is not None and (target != self.head or any(self._pending(self.head))):
            raise HubError(f"{self.place} has a tag {tag} at another commit, {target}; give another name")

    def commit(self, *, create_pr: bool = False) -> Pushed:
        """Commit what differs on top of the commit that was looked at.

        Where the answer is lost, the branch is looked at before anything is sent again.
        """
        changed, obsolete = self._pending(self.head)
        names = tuple(sorted((*changed, *obsolete)))
        if not names:
            return self._pushed(self.head, ())
        for wait in (*WAITS, None):
            try:
                commit, pull_request = self._send(changed, obsolete, create_pr=create_pr)
            except (UnreachableError, ChangedError) as error:
                if create_pr:
                    raise HubError(
                        f"{error}; before that, see whether the pull request is there: "
                        f"{self.api.endpoint}/{self.place}/discussions"
                    ) from error
                head = self._find_head()
                if head != self.head:
                    if any(self._pending(head)):
                        raise ChangedError(
                            f"{self.place} was changed by someone else in the meantime (it is at {head}); look at "
                            "it, then push again"
                        ) from error
                    return self._pushed(head, names)
                asked = asked_to_wait(error.__cause__)
                if wait is None or asked > LONGEST_WAIT or isinstance(error, ChangedError):
                    raise
                time.sleep(max(wait, asked))
            else:
                return self._pushed(commit, names, pull_request)
        raise AssertionError

    def check(self, commit: str) -> None:
        """Raise a HubError if the checksums of the files at a commit are not those of the package."""
        if any(self._pending(commit)):
            raise HubError(f"{self.place}@{commit} does not hold what was pushed; push again")

    def read_back(self, commit: str) -> None:
        """Download every file of the package at a commit, into a cache of its own, and compare it byte for byte.

        Raises:
            HubError: The repository, or what it serves, differs from what was pushed.
        """
        self.check(commit)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
            folder = self._ask(
                lambda: self.api.snapshot_download(
                    self.repo_id,
                    repo_type=self.repo_type,
                    revision=commit,
                    cache_dir=cache,
                    allow_patterns=list(self.package.files),
                )
            )
            for name, content in self.package.files.items():
                path = Path(folder) / name
                if not path.is_file() or path.read_bytes() != content:
                    raise HubError(f"{self.place}@{commit} gives another {name} back than was pushed; push again")

    def tag(self, tag: str, commit: str) -> None:
        """Give a commit a name."""
        self._ask(
            lambda: self.api.create_tag(
                self.repo_id, tag=tag, revision=commit, exist_ok=True, repo_type=self.repo_type
            ),
            action="write",
        )
        target = self._tags().get(tag)
        if target != commit:
            raise HubError(f"{self.place} has a tag {tag} at another commit, {target}; {commit} is pushed without it")

    def _look(self, *, private: bool) -> None:
        """Raise a HubError if the repository is not one to push to."""
        info = self._ask(lambda: self.api.repo_info(self.repo_id, repo_type=self.repo_type))
        self.private = bool(info.private)
        if private and not self.private:
            raise HubError(
                f"{self.place} is public already, and this push is private; make it private on its page, or push to "
                "another repository"
            )
        sdk = getattr(info, "sdk", None)  # only a Space has one
        if sdk not in (None, STATIC):
            raise HubError(
                f"{self.place} is there already, as a Space of the kind {sdk!r}, and a page needs a {STATIC} one; give "
                "another name: --space ORG/NAME"
            )

    def _send(self, changed: list[str], obsolete: list[str], *, create_pr: bool) -> tuple[str, str | None]:
        """Return the new commit, and the address of the pull request if one was asked for."""
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
                repo_type=self.repo_type,
            ),
            action="write",
            again=False,
        )
        return info.oid, info.pr_url

    def _pending(self, commit: str) -> tuple[list[str], list[str]]:
        """What a commit holds otherwise than the package: files to write, and files of ours to remove."""
        from huggingface_hub.hf_api import RepoFile

        tree = self._ask(
            lambda: list(
                self.api.list_repo_tree(self.repo_id, recursive=True, revision=commit, repo_type=self.repo_type)
            )
        )
        there = {file.path: file for file in tree if isinstance(file, RepoFile)}
        files = self.package.files
        changed = [name for name, content in files.items() if not _is_same(there.get(name), content)]
        obsolete = [
            name
            for name in there
            if name not in files and any(fnmatchcase(name, pattern) for pattern in self.package.removable)
        ]
        return changed, obsolete

    def _pushed(self, commit: str, changed: tuple[str, ...], pull_request: str | None = None) -> Pushed:
        return Pushed(
            repo_id=self.repo_id,
            url=address(self.api, self.repo_id, self.repo_type),
            commit=commit,
            changed=changed,
            sizes=self.package.sizes,
            pull_request=pull_request,
        )

    def _find_head(self) -> str:
        info = self._ask(lambda: self.api.repo_info(self.repo_id, revision=self.branch, repo_type=self.repo_type))
        if info.sha is None:
            raise NoRevisionError(f"{self.place} is empty; make a first commit on its page")
        return info.sha

    def _tags(self) -> dict[str, str]:
        refs = self._ask(lambda: self.api.list_repo_refs(self.repo_id, repo_type=self.repo_type))
        return {ref.name: ref.target_commit for ref in refs.tags}

    def _ask(self, function: Callable[[], T], *, action: str = "read", again: bool = True) -> T:
        return call(function, api=self.api, repo_id=self.place, revision=self.branch, action=action, again=again)


def _is_same(file: "RepoFile | None", content: bytes) -> bool:
    """Whether a file of a repository has this content, by its checksum there."""
    if file is None:
        return False
    if file.lfs is not None:
        return file.lfs.sha256 == hashlib.sha256(content).hexdigest()
    return file.blob_id == git_blob_id(content)
