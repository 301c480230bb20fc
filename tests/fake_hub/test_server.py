"""What the Hub of the tests does, seen through the unmodified client."""

import pytest

from fake_hub.client_code import WEIGHTS, ask
from fake_hub.fixtures import HubClient, HubServer

pytestmark = pytest.mark.slow


def test_a_commit_comes_back(hub: HubServer, hub_client: HubClient):
    code = """
commit = first()
info = api.model_info("zoo/m", files_metadata=True)
folder = snapshot_download("zoo/m")
path = hf_hub_download("zoo/m", "model.safetensors")
tell({
    "commit": commit.oid, "sha": info.sha, "library": info.library_name, "tags": info.tags,
    "files": {one.rfilename: [one.size, one.lfs is not None] for one in info.siblings},
    "same": open(path, "rb").read() == WEIGHTS, "folder": sorted(os.listdir(folder)),
})
"""
    answer = ask(hub_client, code)
    head, _ = hub.commits("zoo/m")
    files = hub.files("zoo/m")
    assert answer == {
        "commit": head,
        "sha": head,
        "library": "mrvae-zoo",
        "tags": ["mrvae-zoo", "vae", "license:mit"],
        "files": {name: [len(content), name == "model.safetensors"] for name, content in files.items()},
        "same": True,
        "folder": sorted(files),
    }
    assert files["model.safetensors"] == WEIGHTS
    assert files["config.json"] == b"{}"
    assert b"*.safetensors filter=lfs" in files[".gitattributes"]


def test_what_is_not_there_or_not_allowed_is_told_apart(hub: HubServer, hub_client: HubClient):
    assert ask(hub_client, "first(private=True); tell(True)")
    calls = """
tell([error_of(call, *arguments, **options) for call, arguments, options in (
    (api.model_info, ("zoo/m",), {}),
    (api.model_info, ("zoo/none",), {}),
    (api.model_info, ("zoo/m",), {"revision": "v9"}),
    (hf_hub_download, ("zoo/m", "none.json"), {}),
    (hf_hub_download, ("zoo/m", "config.json"), {"revision": "v9"}),
    (push, (), {"new": b"new"}),
    (api.create_repo, ("zoo/new",), {}),
    (api.whoami, (), {}),
)])
"""
    missing, forbidden, unknown = "RepositoryNotFoundError", ["HfHubHTTPError", 403], ["HfHubHTTPError", 401]
    absent = [[missing, 401], [missing, 401], [missing, 401], [missing, 401], [missing, 401], [missing, 401]]
    hidden = [[missing, 404]] * 6
    found = [
        None,
        [missing, 404],
        ["RevisionNotFoundError", 404],
        ["RemoteEntryNotFoundError", 404],
        ["RevisionNotFoundError", 404],
    ]
    assert ask(hub_client, calls, token="read") == [*found, forbidden, forbidden, None]
    assert ask(hub_client, calls, token="other") == [*hidden, forbidden, None]
    assert ask(hub_client, calls, token=None) == [*absent, unknown, ["LocalTokenNotFoundError", None]]
    assert ask(hub_client, calls, token="wrong") == [unknown] * 8
    assert len(hub.commits("zoo/m")) == 2


@pytest.mark.long
def test_accounts_and_repositories(hub_client: HubClient):
    code = """
who = api.whoami()
tell({
    "who": [who["name"], [one["name"] for one in who["orgs"]], who["auth"]["accessToken"]["role"]],
    "made": str(api.create_repo("m")), "again": error_of(api.create_repo, "ada/m"),
    "may": str(api.create_repo("ada/m", exist_ok=True)),
    "private": [api.model_info(api.create_repo(name, private=private).repo_id).private
                for name, private in (("p", True), ("q", False))],
    "gone": [api.delete_repo("ada/m"), api.repo_exists("ada/m"), api.repo_exists("ada/p")],
})
"""
    answer = ask(hub_client, code)
    url = f"{hub_client.hub.url}/ada/m"
    assert answer == {
        "who": ["ada", ["zoo"], "write"],
        "made": url,
        "again": ["HfHubHTTPError", 409],
        "may": url,
        "private": [True, False],
        "gone": [None, False, True],
    }


@pytest.mark.long
def test_the_same_again_is_no_commit_and_an_empty_one_is_one(hub: HubServer, hub_client: HubClient):
    code = """
from huggingface_hub.utils import build_hf_headers, get_session
commits = [first().oid, first().oid]
line = json.dumps({"key": "header", "value": {"summary": "nothing", "description": ""}})
url = f"{api.endpoint}/api/models/zoo/m/commit/main"
answer = get_session().post(url, content=line, headers=build_hf_headers())
tell([*commits, answer.json()["commitOid"]])
"""
    once, again, empty = ask(hub_client, code)
    assert once == again
    assert hub.commits("zoo/m")[:2] == [empty, once]
    assert hub.files("zoo/m", empty) == hub.files("zoo/m", once)
    assert [request["method"] for request in hub.requests("/storage/")] == ["PUT"]


@pytest.mark.long
def test_a_folder_is_uploaded_in_one_commit_and_files_are_deleted(hub: HubServer, hub_client: HubClient):
    folder = hub_client.folder / "run"
    (folder / "images").mkdir(parents=True)
    for name in ("a.txt", "images/b.txt"):
        (folder / name).write_text(name)
    (folder / "images/c.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    code = """
api.create_repo("zoo/m")
api.upload_folder(repo_id="zoo/m", folder_path="run")
api.upload_file(repo_id="zoo/m", path_or_fileobj=b"more", path_in_repo="more")
os.remove("run/a.txt")
api.upload_folder(repo_id="zoo/m", folder_path="run", delete_patterns="*.txt")
api.delete_folder("images", "zoo/m")
tell(error_of(api.delete_file, "none", "zoo/m"))
"""
    assert ask(hub_client, code) == ["RemoteEntryNotFoundError", 404]
    deleted, second, more, first, made = hub.commits("zoo/m")
    names = {".gitattributes", "a.txt", "images/b.txt", "images/c.png", "model.safetensors"}
    assert set(hub.files("zoo/m", first)) == names
    assert set(hub.files("zoo/m", more)) == names | {"more"}
    assert set(hub.files("zoo/m", second)) == names - {"a.txt"} | {"more"}
    assert set(hub.files("zoo/m", deleted)) == {".gitattributes", "model.safetensors", "more"}
    assert set(hub.files("zoo/m", made)) == {".gitattributes"}
    assert sum(request["method"] == "PUT" for request in hub.requests("/storage/")) == 2  # the image is not text


@pytest.mark.long
def test_revisions(hub: HubServer, hub_client: HubClient):
    code = """
one = first().oid
api.create_tag("zoo/m", tag="v1", tag_message="the first")
api.create_branch("zoo/m", branch="next")
two = push(revision="next", next=b"next").oid
refs = api.list_repo_refs("zoo/m", include_pull_requests=True)
names = [[ref.name, ref.ref, ref.target_commit] for ref in (*refs.branches, *refs.tags, *refs.pull_requests)]
shas = [api.model_info("zoo/m", revision=revision).sha for revision in ("main", "v1", "next", one, one[:8])]
path = hf_hub_download("zoo/m", "config.json", revision="v1")
again = [error_of(api.create_tag, "zoo/m", tag="v1"), error_of(api.create_branch, "zoo/m", branch="next")]
api.delete_tag("zoo/m", tag="v1")
api.delete_branch("zoo/m", branch="next")
left = api.list_repo_refs("zoo/m")
tell({
    "commits": [one, two], "names": names, "shas": shas, "path": path, "again": again,
    "left": [ref.name for ref in (*left.branches, *left.tags)], "gone": error_of(api.delete_tag, "zoo/m", tag="v1"),
    "log": [[commit.commit_id, commit.title] for commit in api.list_repo_commits("zoo/m")],
})
"""
    answer = ask(hub_client, code)
    one, two = answer["commits"]
    assert answer["names"] == [
        ["main", "refs/heads/main", one],
        ["next", "refs/heads/next", two],
        ["v1", "refs/tags/v1", one],
    ]
    assert answer["shas"] == [one, one, two, one, one]
    assert f"/snapshots/{one}/" in answer["path"]
    assert answer["again"] == [["HfHubHTTPError", 409]] * 2
    assert answer["left"] == ["main"]
    assert answer["gone"] == ["RevisionNotFoundError", 404]
    assert [commit for commit, _ in answer["log"]] == hub.commits("zoo/m")
    assert [title for _, title in answer["log"]] == ["add", "initial commit"]


@pytest.mark.long
def test_a_stale_parent_is_refused_and_may_be_proposed_from(hub: HubServer, hub_client: HubClient):
    code = """
one = first().oid
two = push(parent_commit=one, two=b"two").oid
stale = error_of(push, parent_commit=one, stale=b"stale")
proposed = push(parent_commit=one, create_pr=True, proposed=b"proposed")
path = hf_hub_download("zoo/m", "proposed", revision=proposed.pr_revision)
tell([one, two, stale, proposed.oid, proposed.pr_revision, proposed.pr_num, open(path).read()])
"""
    one, two, stale, proposed, *rest = ask(hub_client, code)
    assert stale == ["HfHubHTTPError", 412]
    assert hub.commits("zoo/m")[:2] == [two, one]
    assert hub.commits("zoo/m", "refs/pr/1")[:2] == [proposed, one]
    assert rest == ["refs/pr/1", 1, "proposed"]
    other = 'made = push(create_pr=True, other=b"other"); tell([made.oid, made.pr_revision])'
    commit, revision = ask(hub_client, other, token="other")
    assert hub.commits("zoo/m", revision)[:2] == [commit, two]


@pytest.mark.long
def test_lists_have_pages(hub: HubServer, hub_client: HubClient):
    code = """
for number in range(6):
    api.create_repo(f"zoo/m{number}", private=number == 5)
    push(f"zoo/m{number}", README__md=CARD)
api.create_repo("ada/plain")
operations = [CommitOperationAdd(f"folder/sub/{number}", b"x") for number in range(6)]
api.create_commit("zoo/m0", operations, commit_message="many")
def names(found):
    return [one.id if hasattr(one, "id") else one.path for one in found]
tell({
    "tag": names(api.list_models(filter="mrvae-zoo")),
    "both": names(api.list_models(filter=["mrvae-zoo", "vae"], author="zoo")),
    "none": names(api.list_models(filter=["mrvae-zoo", "vqvae"])),
    "limit": names(api.list_models(author="zoo", limit=5)),
    "author": names(api.list_models(author="ada")),
    "top": names(api.list_repo_tree("zoo/m0")),
    "all": names(api.list_repo_tree("zoo/m0", recursive=True)),
    "folder": names(api.list_repo_tree("zoo/m0", "folder/sub")),
    "missing": error_of(lambda: list(api.list_repo_tree("zoo/m0", "none"))),
    "paths": names(api.get_paths_info("zoo/m0", ["README.md", "folder", "none"])),
})
"""
    zoo = [f"zoo/m{number}" for number in range(6)]
    files = [f"folder/sub/{number}" for number in range(6)]
    assert ask(hub_client, code) == {
        "tag": zoo,
        "both": zoo,
        "none": [],
        "limit": zoo[:5],
        "author": ["ada/plain"],
        "top": [".gitattributes", "README.md", "folder"],
        "all": [".gitattributes", "README.md", "folder", "folder/sub", *files],
        "folder": files,
        "missing": ["RemoteEntryNotFoundError", 404],
        "paths": ["README.md", "folder"],
    }
    asked = len(hub.requests("GET /api/models$"))
    for token in ("other", None):
        public = ask(hub_client, 'tell([one.id for one in api.list_models(filter="mrvae-zoo")])', token=token)
        assert public == zoo[:5]
    assert len(hub.requests("GET /api/models$")) == asked + 4


@pytest.mark.long
def test_spaces_are_repositories_of_their_own(hub: HubServer, hub_client: HubClient):
    code = """
space = {"repo_type": "space"}
card = b"---\\ntitle: m\\nsdk: static\\nmodels: [zoo/m]\\ntags: [vae]\\n---\\n"
first()
made = str(api.create_repo("zoo/m", space_sdk="static", **space))
begun = api.list_repo_files("zoo/m", **space)
operations = [CommitOperationAdd("README.md", card), CommitOperationAdd("x.onnx", WEIGHTS)]
commit = api.create_commit("zoo/m", operations, commit_message="add", **space)
api.create_branch("zoo/m", branch="next", **space)
api.create_tag("zoo/m", tag="v1", **space)
info = api.space_info("zoo/m")
refs = api.list_repo_refs("zoo/m", **space)
proposed = api.create_commit("zoo/m", [CommitOperationAdd("y", b"y")], commit_message="y", create_pr=True, **space)
path = hf_hub_download("zoo/m", "x.onnx", **space)
told = {
    "made": made, "begun": begun, "url": commit.commit_url, "sha": info.sha == commit.oid, "sdk": info.sdk,
    "models": info.models, "refs": [ref.name for ref in (*refs.branches, *refs.tags)],
    "proposed": proposed.pr_url, "same": open(path, "rb").read() == WEIGHTS,
    "listed": [[one.id for one in api.list_spaces(author="zoo", models=models)] for models in ("zoo/m", "zoo/n")],
    "model": [api.model_info("zoo/m").sha == commit.oid, [one.id for one in api.list_models(author="zoo")]],
    "again": error_of(api.create_repo, "zoo/m", space_sdk="static", **space),
    "kind": error_of(api.create_repo, "zoo/d", repo_type="dataset"),
}
api.delete_repo("zoo/m", **space)
tell(told | {"gone": [api.repo_exists("zoo/m", **space), api.repo_exists("zoo/m")]})
"""
    url = f"{hub.url}/spaces/zoo/m"
    answer = ask(hub_client, code)
    assert answer.pop("url").startswith(f"{url}/commit/")
    assert answer == {
        "made": url,
        "begun": [".gitattributes", "README.md", "index.html", "style.css"],
        "sha": True,
        "sdk": "static",
        "models": ["zoo/m"],
        "refs": ["main", "next", "v1"],
        "proposed": f"{url}/discussions/1",
        "same": True,
        "listed": [["zoo/m"], []],
        "model": [False, ["zoo/m"]],
        "again": ["HfHubHTTPError", 409],
        "kind": ["BadRequestError", 400],
        "gone": [False, True],
    }
    assert "x.onnx" not in hub.files("zoo/m")


@pytest.mark.long
@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ("sdk: flask", '"sdk" must be one of gradio, docker, static'),
        ("sdk: static\nmodels: zoo/m", '"models" must be an array of strings'),
        (f"sdk: static\nshort_description: {61 * 'x'}", '"short_description" must have 60 characters at most'),
    ],
)
def test_a_space_with_wrong_settings_is_refused(hub: HubServer, hub_client: HubClient, metadata: str, fault: str):
    card = f"---\n{metadata}\n---\n".encode()
    code = f"""
api.create_repo("zoo/m", repo_type="space", space_sdk="static")
try:
    api.create_commit("zoo/m", [CommitOperationAdd("README.md", {card!r})], commit_message="x", repo_type="space")
except ValueError as error:
    tell(str(error))
"""
    assert fault in ask(hub_client, code)
    assert len(hub.commits("spaces/zoo/m")) == 1


@pytest.mark.long
def test_a_gated_repository(hub_client: HubClient):
    code = 'first(); api.update_repo_settings("zoo/m", gated="manual"); tell(api.model_info("zoo/m").gated)'
    assert ask(hub_client, code) == "manual"
    calls = 'tell([error_of(api.model_info, "zoo/m"), error_of(hf_hub_download, "zoo/m", "config.json")])'
    assert ask(hub_client, calls, token="read") == [None, None]
    assert ask(hub_client, calls, token="other") == [None, ["GatedRepoError", 403]]
    assert ask(hub_client, calls, token=None) == [None, ["GatedRepoError", 401]]


@pytest.mark.long
@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ("tags: vae", '"tags" must be an array of strings'),
        ("license: [mit]", '"license" must be a string'),
        ("a: [", "YAML"),
        ("- a", "the metadata should be a mapping"),
    ],
)
def test_a_card_with_wrong_metadata_is_refused(hub: HubServer, hub_client: HubClient, metadata: str, fault: str):
    card = f"---\n{metadata}\n---\n".encode()
    code = f"""
api.create_repo("zoo/m")
try:
    push(README__md={card!r})
except ValueError as error:
    tell(str(error))
"""
    assert fault in ask(hub_client, code)
    assert len(hub.commits("zoo/m")) == 1


@pytest.mark.long
def test_storage_takes_signed_addresses_only_and_what_was_announced(hub: HubServer, hub_client: HubClient):
    code = """
import re
import httpx
from huggingface_hub import get_hf_file_metadata, hf_hub_url
first()
found = get_hf_file_metadata(hf_hub_url("zoo/m", "model.safetensors"))
def status(method, url, **options):
    return httpx.request(method, url, trust_env=False, **options).status_code
url = found.location
tell({
    "size": found.size, "host": url.split("/")[2].split(":")[0], "etag": found.etag,
    "read": status("GET", url), "with token": status("GET", url, headers={"Authorization": "Bearer x"}),
    "write": status("PUT", url, content=WEIGHTS), "later": status("GET", url.replace("expires=", "expires=9")),
    "past": status("GET", re.sub("expires=[0-9]+", "expires=1", url)), "bare": status("GET", url.split("?")[0]),
    "end": httpx.get(url, trust_env=False, headers={"Range": "bytes=3145720-"}).content == WEIGHTS[-8:],
    "middle": httpx.get(url, trust_env=False, headers={"Range": "bytes=10-12"}).content == WEIGHTS[10:13],
    "beyond": status("GET", url, headers={"Range": "bytes=3145728-"}),
})
"""
    answer = ask(hub_client, code)
    oid = answer.pop("etag")
    assert hub.repository("zoo/m").objects.path(oid).read_bytes() == WEIGHTS
    assert answer == {
        "size": len(WEIGHTS),
        "host": "localhost",
        "read": 200,
        "with token": 400,
        "write": 403,
        "later": 403,
        "past": 403,
        "bare": 403,
        "end": True,
        "middle": True,
        "beyond": 416,
    }
    put = """
import httpx
from huggingface_hub.lfs import UploadInfo, post_lfs_batch_info
[action], _, _ = post_lfs_batch_info([UploadInfo.from_bytes(b"large")], None, "model", "zoo/m")
url = action["actions"]["upload"]["href"]
line = {"key": "lfsFile", "value": {"path": "x", "algo": "sha256", "oid": action["oid"], "size": 5}}
lines = [{"key": "header", "value": {"summary": "x", "description": ""}}, line]
def commit():
    from huggingface_hub.utils import build_hf_headers
    url = f"{api.endpoint}/api/models/zoo/m/commit/main"
    body = "".join(json.dumps(one) + "\\n" for one in lines)
    return httpx.post(url, content=body, headers=build_hf_headers(), trust_env=False).status_code
answers = [httpx.put(url, content=b"other", trust_env=False).status_code, commit()]
tell([*answers, httpx.put(url, content=b"large", trust_env=False).status_code, commit()])
"""
    assert ask(hub_client, put) == [400, 400, 200, 200]
    assert hub.files("zoo/m")["x"] == b"large"
