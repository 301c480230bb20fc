"""The application: its routes, a log of what was asked for, and the faults in front of it."""

import json
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fake_hub import collection_routes, download_routes, repository_routes, upload_routes
from fake_hub.access import Hub
from fake_hub.accounts import ACCOUNTS
from fake_hub.answers import RefusedError
from fake_hub.faults import Faults
from fake_hub.lfs import Signer
from fake_hub.store import Store

REQUESTS = "requests.jsonl"


def make_app(root: Path) -> ASGIApp:
    """A Hub whose whole state is in the folder `root`."""
    root.mkdir(parents=True, exist_ok=True)
    app = Starlette(
        routes=[
            *repository_routes.ROUTES,
            *collection_routes.ROUTES,
            *upload_routes.ROUTES,
            *download_routes.ROUTES,
        ],
        exception_handlers={RefusedError: refuse},
    )
    app.state.hub = Hub(store=Store(root), signer=Signer(root))
    return RawPaths(Log(Faults(app), root / REQUESTS))


async def refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return error.response()


class RawPaths:
    """Routes see a path as it was sent: in `refs%2Fpr%2F1` the slashes are part of a name."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii")}
        await self.app(scope, receive, send)


class Log:
    """Writes a line of JSON for each request as it comes in."""

    def __init__(self, app: ASGIApp, path: Path) -> None:
        self.app, self.path = app, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/-/"):
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            account = ACCOUNTS.get(headers.get("authorization", "").removeprefix("Bearer "))
            line = {
                "method": scope["method"],
                "path": scope["path"],
                "query": scope["query_string"].decode(),
                "user": account.user if account else None,
                "agent": headers.get("user-agent", ""),
                "range": headers.get("range"),
            }
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        await self.app(scope, receive, send)
