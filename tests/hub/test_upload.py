"""Pushing any files to a repository of either kind, a Space here: test_push.py and test_faults.py push models."""

import json

import pytest
from fake_hub.client_code import WEIGHTS, told
from fake_hub.fixtures import HubClient, HubServer

import mrvae_zoo
from mrvae_zoo.hub.client import make_api
from mrvae_zoo.hub.upload import address

pytestmark = pytest.mark.slow

ID = "zoo/m-dial"
SPACE = f"spaces/{ID}"
CARD = b"---\ntitle: m\nsdk: static\nmodels: [zoo/m]\n---\n"
PAGE = {
    "README.md": CARD,
    "index.html": b"<h1>m</h1>\n",
    "js/main.js": b"export {};\n",
    "images/00.png": b"\x89PNG\r\n\x1a\n\0\0",
    "encoder.onnx": WEIGHTS,
}
TEMPLATE = {".gitattributes", "style.css"}  # what a new Space has beside the files of the page

SETUP = f"""
import json
from mrvae_zoo.errors import HubError
from mrvae_zoo.hub.client import make_api
from mrvae_zoo.hub.upload import Package, Upload
WEIGHTS = bytes(range(256)) * 12 * 1024
PAGE = {{**{ ({name: content for name, content in PAGE.items() if name != "encoder.onnx"})!r}, "encoder.onnx": WEIGHTS}}
def push(files, *, private=False):
    package = Package(
        repo_id="{ID}", repo_type="space", name="the page of m", files=files, removable=("js/*", "sampler.safetensors")
    )
    upload = Upload(make_api(), package)
    try:
        upload.open(private=private)
        pushed = upload.commit()
        upload.read_back(pushed.commit)
    except HubError as error:
        return str(error)
    return [pushed.commit, list(pushed.changed), pushed.url, upload.private]
def tell(value):
    print(json.dumps(value))
"""
PUSH = SETUP + "tell(push(PAGE))"


def test_a_space_is_made_in_one_commit_and_the_same_again_is_none(hub: HubServer, hub_client: HubClient):
    first, again = told(hub_client(SETUP + "tell([push(PAGE), push(PAGE)])"))
    made, begun = hub.commits(SPACE)
    assert first == [made, sorted(PAGE), f"{hub.url}/{SPACE}", False]
    assert again == [made, [], f"{hub.url}/{SPACE}", False]
    files = hub.files(SPACE)
    assert {name: files[name] for name in PAGE} == PAGE
    assert set(files) == {*PAGE, *TEMPLATE}
    assert set(hub.files(SPACE, begun)) == {"README.md", "index.html", *TEMPLATE}
    assert hub.repository(SPACE).log()[0][2] == f"Upload the page of m with mrvae_zoo {mrvae_zoo.__version__}"
    large = [entry.path for entry in hub.repository(SPACE).files(made) if entry.pointer]
    assert large == ["encoder.onnx", "images/00.png"]
    assert not hub.requests("/api/models")


def test_what_an_older_page_left_goes_and_what_is_theirs_stays(hub: HubServer, hub_client: HubClient):
    told(hub_client(PUSH))
    hub.put(
        SPACE, {"js/old.js": b"old", "sampler.safetensors": b"old", "NOTES.md": b"theirs", "more/js/x.js": b"theirs"}
    )
    code = SETUP + 'tell(push(PAGE | {"js/main.js": b"new"}))'
    commit, changed, _, _ = told(hub_client(code))
    assert changed == ["js/main.js", "js/old.js", "sampler.safetensors"]
    files = hub.files(SPACE)
    assert set(files) == {*PAGE, *TEMPLATE, "NOTES.md", "more/js/x.js"}
    assert files["js/main.js"] == b"new"
    assert hub.commits(SPACE)[0] == commit


@pytest.mark.long
def test_a_space_that_someone_else_changed_in_between_is_not_overwritten(hub: HubServer, hub_client: HubClient):
    told(hub_client(PUSH))
    hub.fault("POST /api/spaces/.*/commit/", "hold")
    pushing = hub_client.start(SETUP + 'tell(push(PAGE | {"index.html": b"ours"}))')
    hub.wait_for_fault(pushing)
    theirs = hub.put(SPACE, {"index.html": b"theirs"})
    hub.clear_faults()
    output, errors = pushing.communicate()
    assert pushing.returncode == 0, errors
    assert json.loads(output) == (
        f"{SPACE} was changed by someone else in the meantime (it is at {theirs}); look at it, then push again"
    )
    assert hub.commits(SPACE)[0] == theirs
    assert told(hub_client(PUSH))[1] == ["index.html"]  # now that it was looked at


@pytest.mark.long
@pytest.mark.parametrize("request_", ["POST .*/repos/create", "POST .*/commit/"])
def test_a_lost_answer_makes_no_second_commit(hub: HubServer, hub_client: HubClient, request_: str):
    hub.fault(request_, "drop", at="answer")
    assert told(hub_client(PUSH))[1] == sorted(PAGE)
    assert (hub.struck(), len(hub.commits(SPACE))) == (1, 2)


@pytest.mark.long
@pytest.mark.parametrize(
    ("request_", "status"),
    [("GET /api/spaces", 429), ("POST .*/preupload/", 503), ("POST .*/commit/", 429), ("HEAD /spaces/", 503)],
)
def test_a_push_waits_where_it_is_told_to(hub: HubServer, hub_client: HubClient, request_: str, status: int):
    hub.fault(request_, "refuse", status=status, retry_after=1, times=2)
    assert told(hub_client(PUSH))[1] == sorted(PAGE)
    assert (hub.struck(), len(hub.commits(SPACE))) == (2, 2)


@pytest.mark.parametrize(
    ("request_", "after", "file"),
    [("GET /spaces/.*/js/main.js", 3, "js/main.js"), ("GET /storage/", 1000, "encoder.onnx")],
)
def test_what_is_read_back_spoiled_is_not_believed(
    hub: HubServer, hub_client: HubClient, request_: str, after: int, file: str
):
    hub.fault(request_, "alter", after=after, times=1000)
    pushed = told(hub_client(PUSH))
    made = hub.commits(SPACE)[0]
    assert pushed == f"{SPACE}@{made} gives another {file} back than was pushed; push again"
    hub.clear_faults()
    assert told(hub_client(PUSH))[:2] == [made, []]


@pytest.mark.long
def test_a_commit_that_holds_something_else_is_told(hub: HubServer, hub_client: HubClient):
    other = hub.put(SPACE, {"index.html": b"theirs"})
    code = (
        SETUP
        + f"""
package = Package(repo_id="{ID}", repo_type="space", name="m", files=PAGE, removable=())
try:
    Upload(make_api(), package).read_back("{other}")
except HubError as error:
    tell(str(error))
"""
    )
    assert told(hub_client(code)) == f"{SPACE}@{other} does not hold what was pushed; push again"


def test_a_space_of_another_kind_is_not_touched(hub: HubServer, hub_client: HubClient):
    create = f'make_api().create_repo("{ID}", repo_type="space", space_sdk="gradio")\n'
    message = told(hub_client(f"{SETUP}{create}tell(push(PAGE))"))
    assert message == (
        f"{SPACE} is there already, as a Space of the kind 'gradio', and a page needs a static one; give another name: "
        "--space ORG/NAME"
    )
    assert len(hub.commits(SPACE)) == 1
    assert not hub.requests("/preupload/|/storage|/commit/")


@pytest.mark.long
def test_a_model_of_the_same_name_is_another_repository(hub: HubServer, hub_client: HubClient):
    model = hub.put(ID, {"config.json": b"{}"})
    assert told(hub_client(PUSH))[1] == sorted(PAGE)
    assert hub.commits(ID)[0] == model
    assert "index.html" not in hub.files(ID)


@pytest.mark.long
def test_what_is_private_stays_so(hub: HubServer, hub_client: HubClient):
    code = SETUP + "tell([push(PAGE, private=True), push(PAGE)])"
    first, again = told(hub_client(code))
    assert (first[3], again[3]) == (True, True)
    assert hub.repository(SPACE).settings["private"]
    hub.put("spaces/zoo/open", {"README.md": CARD})
    message = told(hub_client(f"{SETUP.replace(ID, 'zoo/open')}tell(push(PAGE, private=True))"))
    assert message.startswith("spaces/zoo/open is public already, and this push is private")


@pytest.mark.long
@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("wrong", f"{SPACE}: the Hub refuses this token"),
        ("read", f"your token may not write {SPACE}"),
        ("other", f"your token may not write {SPACE}"),
    ],
)
def test_a_token_that_may_not(hub: HubServer, hub_client: HubClient, token: str, message: str):
    assert told(hub_client(PUSH, token=token)).startswith(message)
    assert not hub.requests("/preupload/|/storage|/commit/")
    begun = hub.put(SPACE, {"README.md": CARD})
    assert told(hub_client(PUSH, token=token)).startswith(message)
    assert hub.commits(SPACE)[0] == begun


def test_the_address_of_a_repository():
    api = make_api()
    assert address(api, "org/m", "model") == f"{api.endpoint}/org/m"
    assert address(api, "org/m-dial", "space") == f"{api.endpoint}/spaces/org/m-dial"
