"""The ways to name a model: a name in the registry, `local-dir:PATH`, `hf-hub:ORG/NAME[@REVISION]`."""

import re
from dataclasses import dataclass
from pathlib import Path

LOCAL = "local-dir:"
HUB = "hf-hub:"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """The parts of `hf-hub:org/name[@revision]`.

    Attributes:
        repo_id: The repository, "org/name".
        revision: A branch, a tag or a commit; None is the main branch.
    """

    repo_id: str
    revision: str | None

    def __str__(self) -> str:
        return f"{HUB}{self.repo_id}" + ("" if self.revision is None else f"@{self.revision}")


def local_folder(source: str) -> Path:
    """Return the folder that `local-dir:PATH` or a bare path names.

    Raises:
        ValueError: The path is empty, or names the home of a user who does not exist.
    """
    path = source.removeprefix(LOCAL)
    if not path:
        raise ValueError(f"{source!r} names no folder; write {LOCAL}PATH")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{source}: there is no user {Path(path).parts[0].removeprefix('~')!r} with a home") from None


def check_repo_id(repo_id: str) -> None:
    """Raise a ValueError if `repo_id` is not org/name as the Hub writes it."""
    parts = repo_id.split("/")
    # Letters, digits, and - . _ between them: as a folder of the cache, a name cannot leave it.
    if len(parts) != 2 or len(repo_id) > 96 or not all(re.fullmatch(r"\w([\w.-]*\w)?", p, re.ASCII) for p in parts):
        raise ValueError(
            f"{repo_id!r} is not a repository of the Hub; expected org/name of letters, digits, -, . and _"
        )
    if "--" in repo_id or ".." in repo_id:
        raise ValueError(f"{repo_id!r} is not a repository of the Hub; neither -- nor .. may stand in it")


def check_revision(revision: str) -> None:
    """Raise a ValueError if `revision` cannot be a branch, a tag or a commit."""
    parts = revision.split("/")
    if not all(re.fullmatch(r"[\w.+-]+", part) and not part.startswith(".") and ".." not in part for part in parts):
        raise ValueError(f"{revision!r} is not a revision; expected a branch, a tag or a commit")


def parse_hub_source(source: str, revision: str | None = None) -> HubSource:
    """Return the parts of `hf-hub:org/name[@revision]`.

    Args:
        source: The source, with its prefix.
        revision: The same as `@revision`. Both may be given if they agree.

    Raises:
        ValueError: The source has another form, or names another revision.
    """
    repo_id, at, named = source.removeprefix(HUB).partition("@")
    check_repo_id(repo_id)
    if at:
        check_revision(named)
        if revision not in (None, named):
            raise ValueError(f"{source!r} and revision={revision!r} differ; give one of them")
        return HubSource(repo_id=repo_id, revision=named)
    if revision is not None:
        check_revision(revision)
    return HubSource(repo_id=repo_id, revision=revision)
