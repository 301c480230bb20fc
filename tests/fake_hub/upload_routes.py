"""A commit: which files are large, where their content goes, and the commit that names them all."""

import base64
import binascii
import json
import tempfile
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fake_hub.access import endpoint, hub, of_api, of_git, part, storage, writable
from fake_hub.accounts import Account
from fake_hub.answers import RefusedError, no_entry
from fake_hub.lfs import Pointer, is_large
from fake_hub.store import MovedError, Repository


async def preupload(request: Request) -> Response:
    """Which files are large, and what is there already under their names: the client leaves out what is the same."""
    found, _ = writable(request, proposal="create_pr" in request.query_params)
    present = {entry.path: entry.etag for entry in found.files(found.resolve(part(request, "revision")))}
    files = []
    for file in (await request.json())["files"]:
        large = is_large(file["path"], file["size"], base64.b64decode(file["sample"]))
        files.append(
            {
                "path": file["path"],
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": False,
                "oid": present.get(file["path"]),
            }
        )
    return JSONResponse({"files": files})


async def lfs_batch(request: Request) -> Response:
    """Where the content of large files goes; nowhere where it is here already."""
    found, _ = writable(request, proposal=True)
    asked = await request.json()
    objects = []
    for one in asked["objects"]:
        told: dict[str, Any] = {"oid": one["oid"], "size": one["size"], "authenticated": True}
        if not found.objects.has(Pointer(one["oid"], one["size"])):
            verify = f"{endpoint(request)}/{found.address}.git/info/lfs/objects/verify"
            told["actions"] = {"upload": {"href": storage(request, "PUT", one["oid"])}, "verify": {"href": verify}}
        objects.append(told)
    return JSONResponse({"transfer": "basic", "objects": objects})


async def lfs_verify(request: Request) -> Response:
    found, _ = writable(request, proposal=True)
    asked = await request.json()
    if not found.objects.has(Pointer(asked["oid"], asked["size"])):
        raise RefusedError(404, "Object does not exist")
    return JSONResponse({})


async def store_object(request: Request) -> Response:
    """Takes in the content of a large file, at a signed address."""
    oid = signed(request)
    store = hub(request).store
    with tempfile.TemporaryDirectory(dir=store.incoming) as folder:
        received = Path(folder) / oid
        with received.open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
        if not await run_in_threadpool(store.objects.put, oid, received):
            raise RefusedError(400, "The SHA256 of the content is not that of the address")
    return Response(headers={"ETag": f'"{oid}"'})


def signed(request: Request) -> str:
    """The object that a signed address names; a token has no business here, as at a storage service."""
    query, oid = request.query_params, part(request, "oid")
    if "authorization" in request.headers:
        raise RefusedError(400, "Only one auth mechanism allowed")
    method = "GET" if request.method == "HEAD" else request.method
    if not hub(request).signer.accepts(method, oid, query.get("expires", ""), query.get("signature", "")):
        raise RefusedError(403, "The address has expired, or was not signed for this")
    return oid


async def commit(request: Request) -> Response:
    """One commit of everything in the body, or none; 412 where the caller has seen another parent."""
    proposal = "create_pr" in request.query_params
    found, account = writable(request, proposal=proposal)
    lines = [json.loads(line) for line in (await request.body()).splitlines() if line.strip()]
    return await run_in_threadpool(apply, request, found, account, lines, proposal=proposal)


def apply(
    request: Request, found: Repository, account: Account, lines: list[dict[str, Any]], *, proposal: bool
) -> Response:
    header = next(line["value"] for line in lines if line["key"] == "header")
    stale = RefusedError(412, "A commit has happened since. Please refresh and try again.")
    branch = found.branch(part(request, "revision"))
    parent = found.refs()[branch]
    expected = header.get("parentCommit", "")
    if not parent.startswith(expected):
        if not proposal:
            raise stale
        parent = found.resolve(expected)
    message = "\n\n".join(text for text in (header["summary"], header.get("description")) if text)
    made = found.commit(parent, changes(found, parent, lines), message, account.user)
    told: dict[str, Any] = {"success": True, "commitOid": made, "hookOutput": ""}
    told["commitUrl"] = f"{endpoint(request)}/{found.address}/commit/{made}"
    try:
        if proposal:
            number = sum(ref.startswith("refs/pr/") for ref in found.refs()) + 1
            found.set_ref(f"refs/pr/{number}", made, expected="")
            told["pullRequestUrl"] = f"{endpoint(request)}/{found.address}/discussions/{number}"
        else:
            found.set_ref(branch, made, expected=parent)
    except MovedError:
        raise stale from None
    return JSONResponse(told)


def changes(found: Repository, parent: str, lines: list[dict[str, Any]]) -> dict[str, bytes | None]:
    """What the lines of a commit put under each path: content, a pointer, or None to delete it."""
    present = [entry.path for entry in found.files(parent)]
    wanted: dict[str, bytes | None] = {}
    for line in lines:
        value = line["value"]
        match line["key"]:
            case "header":
                pass
            case "file":
                try:
                    wanted[value["path"]] = base64.b64decode(value["content"], validate=True)
                except binascii.Error as error:
                    raise RefusedError(400, f"{value['path']}: {error}") from None
            case "lfsFile":
                path = found.objects.path(value["oid"])
                if not path.is_file() or value.get("size", path.stat().st_size) != path.stat().st_size:
                    raise RefusedError(400, f"{value['path']}: the LFS pointer points to a file that does not exist")
                wanted[value["path"]] = Pointer(value["oid"], path.stat().st_size).encode()
            case "deletedFile" | "deletedFolder":
                folder = value["path"].rstrip("/") + "/"
                gone = [path for path in present if path == value["path"] or path.startswith(folder)]
                if not gone:
                    raise no_entry(parent)
                wanted.update(dict.fromkeys(gone))
            case other:
                raise RefusedError(400, f"unknown key {other!r}")
    return wanted


ROUTES = [
    *of_api("/preupload/{revision}", preupload, "POST"),
    *of_api("/commit/{revision}", commit, "POST"),
    *of_git(".git/info/lfs/objects/batch", lfs_batch, "POST"),
    *of_git(".git/info/lfs/objects/verify", lfs_verify, "POST"),
    Route("/storage/{oid}", store_object, methods=["PUT"]),
]
