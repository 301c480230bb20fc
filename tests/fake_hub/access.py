"""What a request is about: who sends it, to which repository, and whether that one may."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fake_hub.accounts import ACCOUNTS, Account
from fake_hub.answers import RefusedError, no_repository
from fake_hub.lfs import Signer
from fake_hub.store import SPACES, Repository, Store

REPOSITORY = {"model": "{namespace}/{name}", "space": f"{SPACES}/{{namespace}}/{{name}}"}  # the address, by type


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """What the routes share."""

    store: Store
    signer: Signer


def hub(request: Request) -> Hub:
    found: Hub = request.app.state.hub
    return found


def caller(request: Request) -> Account | None:
    """Who sent it; None for a request without a token."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    account = ACCOUNTS.get(header.removeprefix("Bearer "))
    if account is None:
        raise RefusedError(401, "Invalid credentials in Authorization header")
    return account


def writer(request: Request, namespace: str) -> Account:
    """Who sent it, where that one may write into the namespace."""
    account = caller(request)
    if account is None:
        raise RefusedError(401, "Invalid username or password.")
    if namespace not in account.namespaces:
        raise RefusedError(403, f"You don't have the rights to write in the namespace {namespace!r}")
    if not account.writes:
        raise RefusedError(403, "This token is read-only; use a token with the write permission")
    return account


def owns(account: Account | None, repository: Repository) -> bool:
    return account is not None and repository.namespace in account.namespaces


def repository(request: Request) -> Repository:
    """The repository of the address, where the caller may know of it."""
    account = caller(request)
    space = request.scope["path"].startswith((f"/{SPACES}/", f"/api/{SPACES}/"))
    found = hub(request).store.get(address(part(request, "namespace"), part(request, "name"), space=space))
    if found is None or (found.settings["private"] and not owns(account, found)):
        raise no_repository(anonymous=account is None)
    return found


def writable(request: Request, *, proposal: bool = False) -> tuple[Repository, Account]:
    """The repository of the address and the caller, who may write to it, or propose to where `proposal` is set."""
    found = repository(request)
    account = caller(request)
    if proposal and account is not None and account.writes:
        return found, account
    return found, writer(request, found.namespace)


def address(namespace: str, name: str, *, space: bool) -> str:
    """Where a repository is, below the address of the Hub."""
    return REPOSITORY["space" if space else "model"].format(namespace=namespace, name=name)


def of_api(rest: str, answer: "Callable[[Request], Response | Awaitable[Response]]", *methods: str) -> list[Route]:
    """The routes of what a client asks the API about a repository: a model's and a Space's."""
    bases = ("/api/models/{namespace}/{name}", f"/api/{SPACES}/{{namespace}}/{{name}}")
    return [Route(f"{base}{rest}", answer, methods=methods or None) for base in bases]


def of_git(rest: str, answer: "Callable[[Request], Response | Awaitable[Response]]", *methods: str) -> list[Route]:
    """The routes below the address of a repository: a model's and a Space's."""
    return [Route(f"/{base}{rest}", answer, methods=methods or None) for base in REPOSITORY.values()]


def part(request: Request, name: str) -> str:
    """A part of the address. It is decoded here, since the slash of `refs%2Fpr%2F1` separates nothing."""
    return unquote(request.path_params[name])


def endpoint(request: Request) -> str:
    return f"http://{request.headers['host']}"


def storage(request: Request, method: str, oid: str) -> str:
    """A signed address of a large file, on another host, as far as a client can tell."""
    query = hub(request).signer.query(method, oid)
    return f"http://localhost:{request.url.port}/storage/{oid}?{query}"
