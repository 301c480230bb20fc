"""Downloading a model from the Hugging Face Hub: a revision becomes a commit, and all files belong to that commit.

The files lie in the cache of huggingface_hub, whose blobs are named by their checksum. Every file that is read is
compared with that name, so a damaged file is noticed, removed and downloaded again.
"""

import hashlib
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.layout import CONFIG, CURVE, LATENTS, RECIPE, SAMPLER, WEIGHTS
from mrvae_zoo.errors import HubError
from mrvae_zoo.hub.client import (
    LIBRARY,
    HubOptions,
    NoRevisionError,
    UnreachableError,
    call,
    check_environment,
    make_api,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi


ANYHOW = HubOptions()

logger = logging.getLogger(__name__)


def find_commit(repo_id: str, revision: str | None = None, options: HubOptions = ANYHOW) -> str:
    """Return the commit of a revision, 40 hexadecimal digits; a full commit is returned without asking the Hub.

    Without a network, it is the commit that the Hub returned when it was last asked.

    Args:
        repo_id: The repository, "org/name".
        revision: A branch, a tag or a commit; None is the main branch.
        options: The options of the request.

    Raises:
        HubError: The Hub cannot answer; see `explain`.
    """
    check_environment()
    if revision is not None and is_commit(revision):
        return revision
    ref = _repository_cache(repo_id, options) / "refs" / (revision or "main")
    try:
        commit = _ask_commit(make_api(options.token), repo_id, revision, options)
    except UnreachableError as error:
        if not ref.is_file():
            raise
        commit = ref.read_text(encoding="utf-8").strip()
        if not options.offline:
            logger.warning("%s; using the commit it was last seen at, %s", error, commit[:12])
        return commit
    _remember(ref, commit)
    return commit


class Fetched(NamedTuple):
    """A model from the Hub: its folder, and the SHA-256 of the weights that lie there, which was just computed."""

    folder: Path
    sha256: str


def fetch(repo_id: str, commit: str, options: HubOptions = ANYHOW) -> Fetched:
    """Fetch a model at a commit: config.json, model.safetensors, and curve, sampler and recipe if present.

    Files that are in the cache are not downloaded again.

    Args:
        repo_id: The repository, "org/name".
        commit: The full commit.
        options: The options of the request.

    Raises:
        HubError: The model cannot be downloaded, is not a model of this library, or is damaged; see also `explain`.
    """
    files = _Files(repo_id, commit, options)
    config = _description(files)  # before the weights: whoever finds these knows that the rest was asked for
    files.get_if_any(SAMPLER)
    expected = _read_checksum(config, repo_id)
    weights = files.get(WEIGHTS)
    if weights is None:
        raise HubError(f"{repo_id} has no {WEIGHTS}; see: mrvae list --hub")
    checksum = _checksum_of_whole(weights)
    if expected is not None and checksum != expected:
        _discard(weights)
        _discard(config)
        raise HubError(
            f"{weights}: the checksum differs from the one in {CONFIG}; both are removed from the cache, run again to "
            f"download them once more (if that does not help, {repo_id} itself is damaged)"
        )
    return Fetched(config.parent, checksum)


def fetch_description(repo_id: str, commit: str, options: HubOptions = ANYHOW) -> Path:
    """Return the folder of a model at a commit with config.json and, if present, the curve and the recipe; no weights.

    Raises:
        HubError: The model cannot be downloaded; see `fetch`.
    """
    return _description(_Files(repo_id, commit, options)).parent


def _description(files: "_Files") -> Path:
    """Return the path of a model's config, with its curve and its recipe beside it."""
    config = files.get(CONFIG)
    if config is None:
        raise HubError(f"{files.repo_id} is not an MR-VAE repository: it has no {CONFIG}; see: mrvae list --hub")
    _read_checksum(config, files.repo_id)
    for name in (CURVE, LATENTS, RECIPE):
        files.get_if_any(name)
    return config


def fetch_recipe(repo_id: str, commit: str, options: HubOptions = ANYHOW) -> Path:
    """Return the path of the recipe.toml of a repository at a commit.

    Raises:
        HubError: The repository has no recipe; see also `explain`.
    """
    path = _Files(repo_id, commit, options).get(RECIPE)
    if path is None:
        raise HubError(f"{repo_id} has no {RECIPE}")
    return path


def has_cached_weights(repo_id: str, commit: str) -> bool:
    """Whether the weights of a model at a commit are in the cache. The Hub is not asked, and no checksum computed."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repo_id, WEIGHTS, revision=commit), str)


def discard_weights(folder: Path) -> None:
    """Remove the weights in a folder that `fetch` returned from the cache."""
    _discard(folder / WEIGHTS)


def is_commit(revision: str) -> bool:
    """Whether a revision is a full commit."""
    return re.fullmatch("[0-9a-f]{40}", revision) is not None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob_id(content: bytes) -> str:
    """Return the name that git gives a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Files:
    """The files of a repository at a commit. The Hub is asked for that commit before the first one is downloaded."""

    def __init__(self, repo_id: str, commit: str, options: HubOptions) -> None:
        self.api, self.repo_id, self.commit, self.options = make_api(options.token), repo_id, commit, options
        self.asked = False

    def get(self, name: str) -> Path | None:
        """Return the path of an undamaged file, or None if the repository has none of that name."""
        path = self._cached(name)
        if path is None:
            return None
        if path is not _UNKNOWN:
            if _is_whole(path):
                return path
            _discard(path)
            if self.options.offline:
                raise HubError(
                    f"{path} was damaged and is removed from the cache; run again without HF_HUB_OFFLINE and "
                    "local_files_only to download it once more"
                )
            logger.warning("%s is damaged; downloading it again", path)
        for force in (path is not _UNKNOWN, True):
            path = self._download(name, force=force)
            if path is None or _is_whole(path):
                return path
            _discard(path)
        raise HubError(
            f"{self.repo_id}: the Hub sent a {name} that is not the one it announced, twice; nothing of it is kept, "
            "run again later"
        )

    def get_if_any(self, name: str) -> None:
        """Get an optional file. Without a network, a model whose weights are in the cache does without it."""
        try:
            self.get(name)
        except UnreachableError:
            if self._cached(WEIGHTS) in (None, _UNKNOWN):
                raise

    def _cached(self, name: str) -> "Path | None":
        """Return what the cache knows: a path, None (there is no such file), or _UNKNOWN."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repo_id, name, cache_dir=self.options.cache_dir, revision=self.commit)
        if isinstance(found, str):
            return Path(found)
        return _UNKNOWN if found is None else None

    def _download(self, name: str, *, force: bool) -> Path | None:
        from huggingface_hub.errors import EntryNotFoundError

        if not self.asked:
            _ask_commit(self.api, self.repo_id, self.commit, self.options)
            self.asked = True
        try:
            path = call(
                lambda: self.api.hf_hub_download(
                    self.repo_id, name, revision=self.commit, cache_dir=self.options.cache_dir, force_download=force
                ),
                api=self.api,
                repo_id=self.repo_id,
                revision=self.commit,
            )
        except EntryNotFoundError:
            return None
        return Path(path)


_UNKNOWN = Path()  # stands for a file that the cache knows nothing about


def _ask_commit(api: "HfApi", repo_id: str, revision: str | None, options: HubOptions) -> str:
    from huggingface_hub import constants

    if options.local_files_only:
        what = repo_id if revision is None else f"{repo_id}@{revision}"
        raise UnreachableError(f"{what} is not in the cache, and local_files_only is set; run again without it")

    info = call(
        lambda: api.model_info(repo_id, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT),
        api=api,
        repo_id=repo_id,
        revision=revision,
    )
    if info.sha is None:
        raise NoRevisionError(f"{repo_id} is empty")
    return info.sha


def _repository_cache(repo_id: str, options: HubOptions) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(options.cache_dir or constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo_id, repo_type="model")


def _remember(ref: Path, commit: str) -> None:
    """Record a commit where huggingface_hub also looks for it; a cache that cannot be written does without."""
    try:
        if ref.is_file() and ref.read_text(encoding="utf-8").strip() == commit:
            return
        ref.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(ref, commit)
    except OSError as error:
        logger.warning("%s cannot be written (%s); without a network it will not be known", ref, error.strerror)


def _read_checksum(config: Path, repo_id: str) -> str | None:
    """Return the checksum of the weights in a config.json, after checking that it is a model of this library."""
    try:
        data = json.loads(config.read_bytes())
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or data.get("library_name") != LIBRARY or "format_version" not in data:
        raise HubError(
            f"{repo_id} is not an MR-VAE repository: its {CONFIG} is not that of an {LIBRARY} model; "
            "see: mrvae list --hub"
        )
    weights = data.get("weights")
    expected = weights.get("sha256") if isinstance(weights, dict) else None
    return expected if isinstance(expected, str) else None


def _is_whole(path: Path) -> bool:
    """Whether a cached file has the checksum that its blob is named by; True if there are no links to tell."""
    name = _blob_name(path)
    if _is_sha256(name):
        return sha256(path) == name
    if is_commit(name):  # a git blob id, which has the form of a commit
        return git_blob_id(path.read_bytes()) == name
    return True


def _checksum_of_whole(path: Path) -> str:
    """Return the SHA-256 of a cached file for which `_is_whole` was True; large files are not read once more."""
    name = _blob_name(path)
    return name if _is_sha256(name) else sha256(path)


def _blob_name(path: Path) -> str:
    """Return the name of the blob that a cached file links to; empty if it is no link."""
    return path.readlink().name if path.is_symlink() else ""


def _is_sha256(name: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", name) is not None


def _discard(path: Path) -> None:
    """Remove a file from the cache, together with the blob that it links to."""
    if path.is_symlink():
        (path.parent / path.readlink()).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
