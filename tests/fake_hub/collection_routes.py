"""Collections: create, describe, list, and add to."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fake_hub.access import hub, part, writer
from fake_hub.answers import RefusedError

LONGEST_DESCRIPTION = 150  # characters


async def create(request: Request) -> Response:
    asked = await request.json()
    writer(request, asked["namespace"])
    if len(asked.get("description", "")) > LONGEST_DESCRIPTION:
        raise RefusedError(400, "the description is too long")
    slug = f"{asked['namespace']}/{re.sub(r'[^a-z0-9]+', '-', asked['title'].lower())}-{24 * '0'}"
    if read(request, slug) is not None:
        raise RefusedError(409, "This collection already exists", body={"slug": slug})
    made = {
        "slug": slug,
        "title": asked["title"],
        "description": asked.get("description"),
        "owner": asked["namespace"],
        "items": [],
        "position": 0,
        "private": asked["private"],
        "theme": "green",
        "upvotes": 0,
    }
    return write(request, made)


def describe(request: Request) -> Response:
    return JSONResponse(collection(request))


async def add(request: Request) -> Response:
    found = collection(request)
    writer(request, found["owner"])
    item = (await request.json())["item"]
    if item["type"] != "model" or hub(request).store.get(item["id"]) is None:
        raise RefusedError(404, "Item not found")
    if any(one["id"] == item["id"] for one in found["items"]):
        raise RefusedError(409, "Item already in collection")
    found["items"].append({"_id": item["id"], "position": len(found["items"]), **item})
    return write(request, found)


def collection(request: Request) -> dict[str, Any]:
    """The collection of the address."""
    found = read(request, f"{part(request, 'namespace')}/{part(request, 'slug')}")
    if found is None:
        raise RefusedError(404, "Collection not found")
    return found


def read(request: Request, slug: str) -> dict[str, Any] | None:
    path = hub(request).store.collections / f"{slug}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def write(request: Request, changed: dict[str, Any]) -> Response:
    changed["lastUpdated"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    path = hub(request).store.collections / f"{changed['slug']}.json"
    path.parent.mkdir(exist_ok=True)
    written = path.with_suffix(".new")
    written.write_text(json.dumps(changed))
    written.replace(path)
    return JSONResponse(changed)


COLLECTION = "/api/collections/{namespace}/{slug}"
ROUTES = [
    Route("/api/collections", create, methods=["POST"]),
    Route(COLLECTION, describe),
    Route(f"{COLLECTION}/items", add, methods=["POST"]),
]
