"""Calls to the Hugging Face Hub: repeated if the network failed, with errors in one line that says what to do."""

import importlib.util
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mrvae_zoo._version import __version__
from mrvae_zoo.errors import HubError

if TYPE_CHECKING:
    from huggingface_hub import HfApi


LIBRARY = "mrvae_zoo"
WAITS = (0.5, 1.0, 2.0)  # seconds before the second, third and fourth try
LONGEST_WAIT = 60.0  # seconds that a server may ask for
BUSY = (408, 429, 500, 502, 503, 504)

logger = logging.getLogger(__name__)
T = TypeVar("T")


class UnreachableError(HubError):
    """The Hub does not answer, or its answer says nothing about the request."""


class ChangedError(HubError):
    """A branch has moved since it was looked at."""


class NoRepositoryError(HubError):
    """There is no such repository, or none that may be read."""


class NoRevisionError(HubError):
    """The repository has no such branch, tag or commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubOptions:
    """The options of requests to the Hub, with the names that huggingface_hub uses.

    Attributes:
        token: The token to send. None uses the saved one, or that of HF_TOKEN.
        cache_dir: The folder of the cache. None uses the cache of huggingface_hub.
        local_files_only: Whether to use only what is in the cache, without asking the Hub.
    """

    token: str | None = None
    cache_dir: Path | None = None
    local_files_only: bool = False

    @property
    def offline(self) -> bool:
        """Whether the Hub must not be asked."""
        return self.local_files_only or is_offline()


def make_api(token: str | None = None) -> "HfApi":
    """Return a client that identifies this library; `token` None uses the saved token, or that of HF_TOKEN."""
    check_environment()
    from huggingface_hub import HfApi

    return HfApi(token=token, library_name=LIBRARY, library_version=__version__)


def check_environment() -> None:
    """Raise a HubError if an environment variable that the client reads is not valid, before it is imported.

    The client's own errors do not say which variable it was.
    """
    for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        value = os.environ.get(name, "1")
        if not value.isdecimal():
            raise HubError(f"the variable {name}={value!r} should be a whole number of seconds")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if not os.environ.get(name, "").isascii():
            raise HubError(f"the variable {name} holds letters that no token has; copy it again")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(name)
        if path and not os.path.exists(path):  # noqa: PTH110 (as httpx does)
            raise HubError(f"the variable {name}={path!r} leads to nothing; unset it, or name what is there")
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
        proxy = os.environ.get(name) or os.environ.get(name.lower()) or ""
        if proxy.startswith("socks") and importlib.util.find_spec("socksio") is None:
            raise HubError(f"the variable {name}={proxy!r} is a SOCKS proxy, which needs: pip install socksio")


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE is set."""
    check_environment()
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def call(
    function: Callable[[], T],
    *,
    api: "HfApi",
    repo_id: str,
    revision: str | None = None,
    action: str = "read",
    again: bool = True,
) -> T:
    """Return the result of `function`; call it again after a while if the connection fails or the server is busy.

    Args:
        function: A function that makes one request or several. A second call must do no harm.
        api: The client that it uses.
        repo_id: The repository, for messages.
        revision: The revision, for messages; None is the main branch.
        action: The kind of access, for messages: "read" or "write".
        again: Whether to try again after a failure.

    Raises:
        HubError: The call failed; one line with the remedy.
        EntryNotFoundError: There is no such file (an error of huggingface_hub).
    """
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    waits = iter(WAITS if again else ())
    while True:
        try:
            return function()
        except Exception as raised:
            error = _behind(raised)
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                raise
            if not _is_of_the_hub(error):
                raise
            wait = next(waits, None) if _may_pass(error) else None
            asked = asked_to_wait(error)
            if wait is None or asked > LONGEST_WAIT:
                raise explain(error, api=api, repo_id=repo_id, revision=revision, action=action) from error
            wait = max(wait, asked)
            logger.info("%s: %s; trying again in %g seconds", repo_id, _reason(error), wait)
            time.sleep(wait)


def explain(error: Exception, *, api: "HfApi", repo_id: str, revision: str | None, action: str) -> HubError:
    """Return the error of the client as one line that says what to do."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    what = repo_id if revision is None else f"{repo_id}@{revision}"
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # the reason why the client did not look beyond its cache
    if isinstance(error, OfflineModeIsEnabled):
        return UnreachableError(f"{what} is not in the cache, and HF_HUB_OFFLINE is set; unset it and run again")
    if not isinstance(error, HfHubHTTPError):
        where = f"the Hub at {api.endpoint}"
        return UnreachableError(
            f"{what}: the connection to {where} failed ({_reason(error)}); check the network and run again"
        )
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return NoRepositoryError(
            f"{repo_id} is read only by those who asked for it; ask at {api.endpoint}/{repo_id}, "
            "then log in with: hf auth login"
        )
    if isinstance(error, RevisionNotFoundError):
        return NoRevisionError(
            f"{repo_id} has no revision {revision!r}; see its branches and tags at {api.endpoint}/{repo_id}/tree/main"
        )
    if isinstance(error, RepositoryNotFoundError) and token_of(api) is None:
        return NoRepositoryError(
            f"the Hub has no public repository {repo_id}; check the name, or log in for a private one with: "
            "hf auth login"
        )
    if status == 401:
        return HubError(
            f"{repo_id}: the Hub refuses this token (HF_TOKEN, or the saved one); log in again with: hf auth login"
        )
    if isinstance(error, RepositoryNotFoundError):
        return NoRepositoryError(
            f"the Hub has no repository {repo_id} that your token may {action}; check the name, and the permissions "
            f"of the token at {api.endpoint}/settings/tokens"
        )
    if status == 403:
        return HubError(f"your token may not {action} {repo_id}; use one that may, from {api.endpoint}/settings/tokens")
    if status in (409, 412):
        return ChangedError(f"{what} was changed by someone else in the meantime; look at it, then push again")
    if status in BUSY:
        return UnreachableError(f"{what}: the Hub answers {_reason(error)}; try again later")
    return HubError(f"{what}: the Hub answers {_reason(error)}")


def _behind(error: Exception) -> Exception:
    """Return the underlying error if the client only says that a large file could not be uploaded."""
    cause = error.__cause__
    return cause if type(error) is RuntimeError and isinstance(cause, Exception) else error


def _is_of_the_hub(error: Exception) -> bool:
    """Whether an error comes from the client or its connection, rather than from our own mistake or from the disk."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    # The errors of the connection are those of httpx or of its successor, by the version of the client. What is no JSON
    # comes from something else in the way, such as the page of a network to log in to.
    of_requests: type[Exception] = HfHubHTTPError.__bases__[0]
    of_the_hub = (of_requests, LocalEntryNotFoundError, OfflineModeIsEnabled, json.JSONDecodeError)
    return isinstance(error, of_the_hub) or _is_short(error) or _is_closed(error)


def _is_short(error: Exception) -> bool:
    """Whether a file was shorter than announced: an OSError of the client without a system error number."""
    return isinstance(error, OSError) and error.errno is None and "Consistency check failed" in str(error)


def _is_closed(error: Exception) -> bool:
    """Whether another thread of the client closed the connections, as it does when one of them fails."""
    return type(error) is RuntimeError and "client has been closed" in str(error)


def _may_pass(error: Exception) -> bool:
    """Whether another try may succeed. Before a LocalEntryNotFoundError the client has already tried again."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in BUSY
    return not isinstance(error, (LocalEntryNotFoundError, OfflineModeIsEnabled))


def asked_to_wait(error: BaseException | None) -> float:
    """Return the seconds of Retry-After, or 0 without it."""
    from huggingface_hub.errors import HfHubHTTPError

    text = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return float(text) if text.isdecimal() else 0.0


def _reason(error: Exception) -> str:
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        message = error.server_message or error.response.reason_phrase
        return " ".join(f"{error.response.status_code}: {message}".split())
    return " ".join(str(error).split()) or type(error).__name__


def token_of(api: "HfApi") -> str | None:
    """Return the token that a client sends, or None."""
    from huggingface_hub import get_token

    return api.token if isinstance(api.token, str) else get_token()
