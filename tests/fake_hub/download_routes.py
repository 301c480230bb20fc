"""A file of a commit, whole or a range of it: small ones from here, large ones from the storage that they point to."""

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from fake_hub.access import caller, hub, of_git, owns, part, repository, storage
from fake_hub.answers import RefusedError
from fake_hub.upload_routes import signed


def resolve(request: Request) -> Response:
    found = repository(request)
    account = caller(request)
    if found.settings["gated"] and not owns(account, found):
        raise RefusedError(401 if account is None else 403, f"Access to model {found.id} is restricted.", "GatedRepo")
    commit = found.resolve(part(request, "revision"))
    entry = found.entry(commit, part(request, "path"))
    headers = {"X-Repo-Commit": commit, "ETag": f'"{entry.etag}"', "Accept-Ranges": "bytes"}
    if entry.pointer is None:
        return content(request, found.blob(entry.oid), headers)
    headers |= {"X-Linked-Size": str(entry.size), "X-Linked-ETag": f'"{entry.etag}"'}
    return RedirectResponse(storage(request, "GET", entry.pointer.oid), 302, headers)


def stored_object(request: Request) -> Response:
    """The content of a large file, from a signed address."""
    oid = signed(request)
    path = hub(request).store.objects.path(oid)
    if not path.is_file():
        raise RefusedError(404, "The specified key does not exist.")
    return content(request, path.read_bytes(), {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})


def content(request: Request, whole: bytes, headers: dict[str, str]) -> Response:
    """All of it, or the one range that was asked for."""
    media_type = "application/octet-stream"
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if asked is None:
        return Response(whole, headers=headers, media_type=media_type)
    first, last = int(asked[1]), min(int(asked[2] or len(whole)), len(whole) - 1)
    if first > last:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(whole)}"})
    told = {**headers, "Content-Range": f"bytes {first}-{last}/{len(whole)}"}
    return Response(whole[first : last + 1], 206, told, media_type)


ROUTES = [
    Route("/storage/{oid}", stored_object),
    *of_git("/resolve/{revision}/{path:path}", resolve),
]
