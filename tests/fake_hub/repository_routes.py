"""Accounts and repositories: create, describe, list, delete, refs."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fake_hub.access import address, caller, endpoint, hub, of_api, owns, part, repository, writable, writer
from fake_hub.accounts import ORGANIZATIONS
from fake_hub.answers import RefusedError
from fake_hub.store import Entry, MovedError, Repository

PAGE = 4  # small, so that any list has pages
SDKS = ("gradio", "docker", "static")
LONGEST_SHORT_DESCRIPTION = 60  # characters
FRONT_MATTER = re.compile(r"\s*---\s*\n(.*?)\n---\s*(?:\n|$)", re.DOTALL)


def whoami(request: Request) -> Response:
    account = caller(request)
    if account is None:
        raise RefusedError(401, "Invalid username or password.")
    role = "write" if account.writes else "read"
    return JSONResponse(
        {
            "type": "user",
            "id": account.user,
            "name": account.user,
            "fullname": account.user.title(),
            "email": f"{account.user}@example.org",
            "emailVerified": True,
            "isPro": False,
            "orgs": [
                {"type": "org", "id": name, "name": name, "fullname": name.title(), "roleInOrg": "admin"}
                for name, members in ORGANIZATIONS.items()
                if account.user in members
            ],
            "auth": {"type": "access_token", "accessToken": {"displayName": role, "role": role}},
        }
    )


async def validate_yaml(request: Request) -> Response:
    """Whether a card has metadata, and it is what the Hub can read."""
    asked = await request.json()
    match = FRONT_MATTER.match(asked["content"])
    if match is None:
        return JSONResponse({"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]})
    errors = metadata_errors(match[1], space=asked["repoType"] == "space")
    return JSONResponse({"errors": [{"message": error} for error in errors], "warnings": []}, 400 if errors else 200)


def metadata_errors(front_matter: str, *, space: bool = False) -> list[str]:
    """What is wrong with the metadata of a card."""
    try:
        metadata = yaml.safe_load(front_matter)
    except yaml.YAMLError as error:
        return [f"YAML: {error}"]
    if not isinstance(metadata, dict):
        return ["the metadata should be a mapping"]
    errors = [
        f'"{key}" must be a string'
        for key in ("library_name", "license", "pipeline_tag", "title", "app_file", "short_description")
        if not isinstance(metadata.get(key, ""), str)
    ]
    for key in ("tags", "datasets", "models"):
        values = metadata.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            errors.append(f'"{key}" must be an array of strings')
    if not isinstance(metadata.get("model-index", []), list):
        errors.append('"model-index" must be an array')
    if space and metadata.get("sdk") not in SDKS:
        errors.append(f'"sdk" must be one of {", ".join(SDKS)}')
    if len(str(metadata.get("short_description", ""))) > LONGEST_SHORT_DESCRIPTION:
        errors.append(f'"short_description" must have {LONGEST_SHORT_DESCRIPTION} characters at most')
    return errors


def card_data(found: Repository, files: Sequence[Entry]) -> dict[str, Any]:
    """The metadata of README.md, or nothing."""
    cards = [found.content(entry).decode() for entry in files if entry.path == "README.md"]
    match = FRONT_MATTER.match(cards[0]) if cards else None
    return yaml.safe_load(match[1]) if match and not metadata_errors(match[1]) else {}


def describe(found: Repository, revision: str = "main", *, blobs: bool = True) -> dict[str, Any]:
    """What the Hub tells of a model or of a Space, as its client reads it."""
    commit = found.resolve(revision)
    files = found.files(commit)
    card = card_data(found, files)
    tags = [card[key] for key in ("library_name", "pipeline_tag") if key in card] + card.get("tags", [])
    tags += [f"dataset:{name}" for name in card.get("datasets", [])]
    tags += [f"license:{card['license']}"] if "license" in card else []
    own = ("sdk", "models") if found.is_space else ("library_name", "pipeline_tag", "model-index")
    return {
        "_id": found.id,
        "id": found.id,
        **({} if found.is_space else {"modelId": found.id}),
        "author": found.namespace,
        "sha": commit,
        "private": found.settings["private"],
        "gated": found.settings["gated"],
        "disabled": False,
        "createdAt": found.settings["created"],
        "lastModified": found.log(commit)[0][1],
        "downloads": 0,
        "likes": 0,
        "tags": list(dict.fromkeys(tags)),
        "cardData": card,
        "siblings": [sibling(entry, blobs=blobs) for entry in files],
        **{key: card[key] for key in own if key in card},
    }


def sibling(entry: Entry, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": entry.path}
    lfs = (
        {"sha256": entry.pointer.oid, "size": entry.size, "pointerSize": len(entry.pointer.encode())}
        if entry.pointer
        else None
    )
    return {"rfilename": entry.path, "blobId": entry.oid, "size": entry.size, **({"lfs": lfs} if lfs else {})}


def info(request: Request) -> Response:
    found = repository(request)
    revision = part(request, "revision") if "revision" in request.path_params else "main"
    return JSONResponse(describe(found, revision, blobs="blobs" in request.query_params))


def list_models(request: Request) -> Response:
    return page(request, search(request, spaces=False))


def list_spaces(request: Request) -> Response:
    models = set(request.query_params.getlist("models"))
    return page(request, [one for one in search(request, spaces=True) if models <= set(one.get("models", []))])


def search(request: Request, *, spaces: bool) -> list[dict[str, Any]]:
    """What the caller may see, by author, name and tags."""
    asked, account = request.query_params, caller(request)
    listed = []
    for found in hub(request).store.all(spaces=spaces):
        if found.settings["private"] and not owns(account, found):
            continue
        if asked.get("author", found.namespace) != found.namespace or asked.get("search", "") not in found.id:
            continue
        one = describe(found, blobs=False)
        if set(asked.getlist("filter")) <= set(one["tags"]):
            listed.append(one)
    return listed


def page(request: Request, items: Sequence[Any]) -> Response:
    """A page of a list, and in its Link header where the next one is."""
    start = int(request.query_params.get("cursor", 0))
    size = min(PAGE, int(request.query_params.get("limit", PAGE)))
    after = request.url.include_query_params(cursor=start + size)
    headers = {"Link": f'<{after}>; rel="next"'} if start + size < len(items) else {}
    return JSONResponse(items[start : start + size], headers=headers)


async def create(request: Request) -> Response:
    asked = await request.json()
    account = caller(request)
    namespace = asked.get("organization") or (account.user if account else "")
    account = writer(request, namespace)
    kind, sdk = asked.get("type", "model"), asked.get("sdk")
    if kind not in ("model", "space") or (kind == "space") != (sdk in SDKS):
        raise RefusedError(400, f"this Hub holds models, and Spaces of {', '.join(SDKS)}")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}", asked["name"]):
        raise RefusedError(400, f"Invalid repo name: {asked['name']!r}")
    where = address(namespace, asked["name"], space=kind == "space")
    url = f"{endpoint(request)}/{where}"
    if hub(request).store.get(where):
        raise RefusedError(409, f"You already created this {kind} repo", body={"url": url})
    private = asked.get("visibility") == "private" or bool(asked.get("private"))
    made = hub(request).store.create(where, private=private, author=account.user, sdk=sdk)
    return JSONResponse({"url": url, "name": made.id, "id": made.id})


async def delete(request: Request) -> Response:
    asked = await request.json()
    account = caller(request)
    namespace = asked.get("organization") or (account.user if account else "")
    writer(request, namespace)
    found = hub(request).store.get(address(namespace, asked["name"], space=asked.get("type") == "space"))
    if found is None:
        raise RefusedError(404, "Repository not found", "RepoNotFound")
    hub(request).store.delete(found)
    return Response("OK")


async def settings(request: Request) -> Response:
    found, _ = writable(request)
    asked = await request.json()
    changes = {key: asked[key] for key in ("gated", "private") if key in asked}
    if "visibility" in asked:
        changes["private"] = asked["visibility"] == "private"
    found.change(**changes)
    return JSONResponse(changes)


def tree(request: Request) -> Response:
    found = repository(request)
    folder = f"{part(request, 'path')}/" if "path" in request.path_params else ""
    recursive = request.query_params.get("recursive", "false").lower() == "true"
    commit = found.resolve(part(request, "revision"))
    inside = [entry for entry in found.entries(commit) if entry.path.startswith(folder)]
    if not recursive:
        inside = [entry for entry in inside if "/" not in entry.path.removeprefix(folder)]
    if folder and not inside:
        raise RefusedError(404, f"{folder} does not exist on {part(request, 'revision')}", "EntryNotFound")
    return page(request, [tree_entry(entry) for entry in inside])


def tree_entry(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {"type": entry.kind, "path": entry.path, "oid": entry.oid, "size": entry.size}
    if entry.pointer:
        told["lfs"] = {"oid": entry.pointer.oid, "size": entry.size, "pointerSize": len(entry.pointer.encode())}
    return told


async def paths_info(request: Request) -> Response:
    found = repository(request)
    wanted = parse_qs((await request.body()).decode())["paths"]
    commit = found.resolve(part(request, "revision"))
    return JSONResponse([tree_entry(entry) for entry in found.entries(commit) if entry.path in wanted])


def refs(request: Request) -> Response:
    told: dict[str, list[dict[str, str]]] = {"branches": [], "tags": [], "pullRequests": [], "converts": []}
    kinds = {"refs/heads/": "branches", "refs/tags/": "tags", "refs/pr/": "pullRequests"}
    for ref, commit in repository(request).refs().items():
        start = next(start for start in kinds if ref.startswith(start))
        name = ref if start == "refs/pr/" else ref.removeprefix(start)
        told[kinds[start]].append({"name": name, "ref": ref, "targetCommit": commit})
    if "include_prs" not in request.query_params:
        del told["pullRequests"]
    return JSONResponse(told)


def commits(request: Request) -> Response:
    log = repository(request).log(part(request, "revision"))
    return page(
        request,
        [
            {
                "id": commit,
                "date": date,
                "title": message.split("\n")[0],
                "message": message.partition("\n\n")[2],
                "authors": [],
            }
            for commit, date, message in log
        ],
    )


async def create_tag(request: Request) -> Response:
    found, _ = writable(request)
    asked = await request.json()
    make_ref(found, f"refs/tags/{asked['tag']}", part(request, "revision"))
    return Response("OK", 201)


async def create_branch(request: Request) -> Response:
    found, _ = writable(request)
    start = (await request.json()).get("startingPoint", "main")
    make_ref(found, f"refs/heads/{part(request, 'ref')}", start)
    return Response("OK", 201)


def make_ref(found: Repository, ref: str, revision: str) -> None:
    try:
        found.set_ref(ref, found.resolve(revision), expected="")
    except MovedError:
        raise RefusedError(409, f"Reference already exists: {ref}") from None


def delete_tag(request: Request) -> Response:
    return remove_ref(request, f"refs/tags/{part(request, 'revision')}")


def delete_branch(request: Request) -> Response:
    return remove_ref(request, f"refs/heads/{part(request, 'ref')}")


def remove_ref(request: Request, ref: str) -> Response:
    found, _ = writable(request)
    if ref not in found.refs():
        raise RefusedError(404, f"Reference does not exist: {ref}", "RevisionNotFound")
    found.delete_ref(ref)
    return Response("OK")


ROUTES = [
    Route("/api/whoami-v2", whoami),
    Route("/api/validate-yaml", validate_yaml, methods=["POST"]),
    Route("/api/repos/create", create, methods=["POST"]),
    Route("/api/repos/delete", delete, methods=["DELETE"]),
    Route("/api/models", list_models),
    Route("/api/spaces", list_spaces),
    *of_api("", info),
    *of_api("/revision/{revision}", info),
    *of_api("/settings", settings, "PUT"),
    *of_api("/tree/{revision}", tree),
    *of_api("/tree/{revision}/{path}", tree),
    *of_api("/paths-info/{revision}", paths_info, "POST"),
    *of_api("/refs", refs),
    *of_api("/commits/{revision}", commits),
    *of_api("/tag/{revision}", create_tag, "POST"),
    *of_api("/tag/{revision}", delete_tag, "DELETE"),
    *of_api("/branch/{ref}", create_branch, "POST"),
    *of_api("/branch/{ref}", delete_branch, "DELETE"),
]
