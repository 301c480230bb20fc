"""Pushes and pulls on a bad network: in the end the whole new version is there or the whole old one, and no other."""

import hashlib
import signal
from pathlib import Path

import pytest
import torch
from fake_hub.fixtures import HubClient, HubServer
from fake_hub.versions import (
    LOAD,
    NAME,
    PARTS,
    Version,
    assert_cache_is_sound,
    assert_holds,
    assert_loaded,
    assert_one_line,
)
from helpers import CHECKOUT, DEFAULT_MODEL

import mrvae_zoo

pytestmark = pytest.mark.slow

PUSH = ("push", DEFAULT_MODEL, NAME)
SHOW = ("sample", f"hf-hub:{NAME}", "-n", "1", "-o", "s.png", "--force")  # which needs the weights
MIDDLE = 1_000_000  # of 2.8 MB of weights


@pytest.fixture(scope="module")
def new() -> Version:
    """The version that is pushed."""
    return version(CHECKOUT / "registry" / DEFAULT_MODEL)


@pytest.fixture(scope="module")
def old(new: Version, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The version that was there before: other weights, and so another config.json."""
    folder = tmp_path_factory.mktemp("old")
    model = mrvae_zoo.load_pretrained(f"local-dir:{new.folder}")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.01)
    mrvae_zoo.save_pretrained(model, folder)
    (folder / "recipe.toml").write_bytes(new.files["recipe.toml"])
    return version(folder)


def version(folder: Path) -> Version:
    state = mrvae_zoo.load_pretrained(f"local-dir:{folder}").state_dict()
    content = b"".join(value.numpy().tobytes() for value in state.values())
    return Version(folder=folder, weights=hashlib.sha256(content).hexdigest())


@pytest.fixture
def commit(hub: HubServer, old: Version) -> str:
    """The commit of the old version in the repository."""
    return hub.put(NAME, old.files)


def test_the_answer_to_a_commit_is_lost(hub: HubServer, hub_client: HubClient, commit: str, new: Version):
    hub.fault("POST .*/commit/", "drop", at="answer")
    done = hub_client(PUSH)
    assert done.returncode == 0, done.stderr
    made, *before = hub.commits(NAME)
    assert before[0] == commit
    assert done.stdout == f"hf-hub:{NAME}@{made}\n"
    assert_holds(hub, new)
    assert len(hub.requests("POST .*/commit/")) == 1


@pytest.mark.long
def test_the_server_dies_with_the_answer(hub: HubServer, hub_client: HubClient, commit: str, new: Version):
    hub.fault("POST .*/commit/", "exit", at="answer")
    client = hub_client.start(PUSH)
    hub.wait(client)
    hub.start()
    _, errors = client.communicate()
    assert client.returncode == 0, errors
    assert hub.commits(NAME)[1] == commit
    assert_holds(hub, new)


@pytest.mark.long
def test_the_answer_to_a_proposal_is_lost(hub: HubServer, hub_client: HubClient, commit: str, old: Version):
    hub.fault("POST .*/commit/", "drop", at="answer")
    done = hub_client([*PUSH, "--create-pr"])
    assert_one_line(done, "connection")
    assert hub.commits(NAME)[0] == commit
    assert_holds(hub, old)
    assert [ref for ref in hub.repository(NAME).refs() if "pr" in ref] == ["refs/pr/1"]


@pytest.mark.long
@pytest.mark.parametrize("request_", ["POST .*/repos/create", "POST .*/branch/", "POST .*/tag/"])
def test_the_answer_to_what_comes_before_or_after_a_commit_is_lost(
    hub: HubServer, hub_client: HubClient, new: Version, request_: str
):
    hub.fault(request_, "drop", at="answer")
    done = hub_client([*PUSH, "--revision", "next", "--tag", "v1"])
    assert done.returncode == 0, done.stderr
    assert hub.struck() == 1
    assert_holds(hub, new, revision="next")
    assert hub.commits(NAME, "v1") == hub.commits(NAME, "next")
    assert len(hub.commits(NAME, "v1")) == 2


@pytest.mark.long
def test_the_server_is_killed_in_the_middle_of_an_upload_and_comes_back(
    hub: HubServer, hub_client: HubClient, commit: str, old: Version, new: Version
):
    hub.fault("PUT /storage/", "exit", at="request", after=MIDDLE)
    client = hub_client.start(PUSH)
    hub.wait(client)
    assert_holds(hub, old)
    hub.start()
    _, errors = client.communicate()
    assert client.returncode == 0, errors
    assert hub.commits(NAME)[1] == commit
    assert_holds(hub, new)


@pytest.mark.long
@pytest.mark.parametrize(
    ("request_", "at"),
    [("PUT /storage/", "request"), ("POST .*/commit/", "request"), ("POST .*/preupload/", "answer")],
)
def test_the_server_is_killed_in_a_push_and_comes_back_later(
    hub: HubServer, hub_client: HubClient, commit: str, old: Version, new: Version, request_: str, at: str
):
    hub.fault(request_, "exit", at=at, after=1000)
    done = hub_client(PUSH)
    assert_one_line(done, "check the network and run again")
    assert hub.commits(NAME)[0] == commit
    assert_holds(hub, old)
    hub.restart()
    done = hub_client(PUSH)
    assert done.returncode == 0, done.stderr
    assert hub.commits(NAME)[1] == commit
    assert_holds(hub, new)


@pytest.mark.long
def test_the_server_is_killed_in_the_middle_of_a_download_and_comes_back(
    hub: HubServer, hub_client: HubClient, commit: str, old: Version
):
    home = hub_client.new_home()
    hub.fault("GET /storage/", "exit", at="response", after=MIDDLE)
    client = hub_client.start(LOAD, home=home)
    hub.wait(client)
    assert_cache_is_sound(home)
    hub.start()
    output, errors = client.communicate()
    assert client.returncode == 0, errors
    assert output.split() == [old.weights]
    assert_cache_is_sound(home)


@pytest.mark.long
@pytest.mark.parametrize("request_", ["GET /storage/", "GET .*/config.json", "GET .*/rd_curve.json", "HEAD /"])
def test_the_server_is_killed_in_a_download_and_comes_back_later(
    hub: HubServer, hub_client: HubClient, commit: str, old: Version, request_: str
):
    home = hub_client.new_home()
    hub.fault(request_, "exit", at="answer" if request_ == "HEAD /" else "response", after=100)
    assert_one_line(hub_client(SHOW, home=home), "check the network and run again")
    assert_cache_is_sound(home)
    assert_one_line(hub_client(SHOW, home=home, offline=True), "HF_HUB_OFFLINE is set")
    hub.restart()
    assert_loaded(hub_client(LOAD, home=home), old)
    assert_cache_is_sound(home)
    assert_loaded(hub_client(LOAD, home=home, offline=True), old)


@pytest.mark.long
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("request_", ["PUT /storage/", "POST .*/commit/"])
def test_a_client_is_killed_in_a_push_and_runs_again(
    hub: HubServer,
    hub_client: HubClient,
    commit: str,
    old: Version,
    new: Version,
    sent: signal.Signals,
    request_: str,
):
    hub.fault(request_, "hold", at="request", after=1000)
    client = hub_client.start(PUSH)
    hub.wait_for_fault(client)
    client.send_signal(sent)
    hub.clear_faults()  # after Ctrl-C the client waits for the threads that upload
    _, errors = client.communicate()
    assert client.returncode == (130 if sent == signal.SIGINT else -sent)
    assert "Traceback" not in errors
    done = hub_client(PUSH)
    assert done.returncode == 0, done.stderr
    assert_holds(hub, new)
    # What was on its way may have become a commit; the same a second time does not.
    assert hub.commits(NAME)[1] == commit


@pytest.mark.long
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_client_is_killed_in_a_download_and_runs_again(
    hub: HubServer, hub_client: HubClient, commit: str, old: Version, sent: signal.Signals
):
    home = hub_client.new_home()
    hub.fault("GET /storage/", "hold", at="response", after=MIDDLE)
    client = hub_client.start(LOAD, home=home)
    hub.wait_for_fault(client)
    client.send_signal(sent)
    client.communicate()
    assert client.returncode != 0
    assert_cache_is_sound(home)
    assert_one_line(hub_client(SHOW, home=home, offline=True), "HF_HUB_OFFLINE is set")
    assert_loaded(hub_client(LOAD, home=home), old)
    assert_cache_is_sound(home)


@pytest.mark.long
def test_two_push_at_once_and_the_first_to_commit_wins(
    hub: HubServer, hub_client: HubClient, commit: str, old: Version, new: Version
):
    third = {name: content for name, content in new.files.items() if name != "recipe.toml"}
    hub.fault("POST .*/commit/", "hold", at="request")
    slow = hub_client.start(PUSH)
    hub.wait_for_fault(slow)
    between = hub.put(NAME, {**third, "rd_curve.json": old.files["rd_curve.json"] + b"\n"})
    hub.clear_faults()
    _, errors = slow.communicate()
    assert slow.returncode == 1
    assert "Traceback" not in errors
    assert "was changed by someone else" in errors.splitlines()[-1]
    assert hub.commits(NAME)[:2] == [between, commit]


@pytest.mark.long
def test_two_push_the_same_at_once_and_both_are_content(
    hub: HubServer, hub_client: HubClient, commit: str, new: Version
):
    hub.fault("POST .*/commit/", "hold", at="request")
    slow = hub_client.start(PUSH)
    hub.wait_for_fault(slow)
    fast = hub_client(PUSH)
    hub.clear_faults()
    output, errors = slow.communicate()
    assert (fast.returncode, slow.returncode) == (0, 0), (fast.stderr, errors)
    assert output == fast.stdout == f"hf-hub:{NAME}@{hub.commits(NAME)[0]}\n"
    assert hub.commits(NAME)[1] == commit
    assert_holds(hub, new)


@pytest.mark.long
def test_two_push_different_models_to_a_new_repository_at_once(
    hub: HubServer, hub_client: HubClient, old: Version, new: Version
):
    clients = [hub_client.start(("push", source, NAME)) for source in (DEFAULT_MODEL, f"local-dir:{old.folder}")]
    for client in clients:
        client.communicate()
    codes = [client.returncode for client in clients]
    assert 0 in codes
    assert set(codes) <= {0, 1}
    # Both are there where one had ended before the other looked; one alone where they met.
    assert len(hub.commits(NAME)) == 1 + codes.count(0)
    files = hub.files(NAME)
    assert {name: files[name] for name in PARTS} in (new.files, old.files)


@pytest.mark.long
@pytest.mark.parametrize("do", ["alter", "truncate"])
@pytest.mark.parametrize("file", ["/storage/", "config.json", "rd_curve.json"])
def test_a_file_is_served_spoiled_once(
    hub: HubServer, hub_client: HubClient, commit: str, old: Version, file: str, do: str
):
    home = hub_client.new_home()
    hub.fault(f"GET .*{file}", do, after=200)
    assert_loaded(hub_client(LOAD, home=home), old)
    assert hub.struck() == 1
    assert_cache_is_sound(home)
    assert_loaded(hub_client(LOAD, home=home, offline=True), old)


@pytest.mark.long
@pytest.mark.parametrize("do", ["alter", "truncate"])
@pytest.mark.parametrize("file", ["/storage/", "config.json", "rd_curve.json"])
def test_a_file_is_served_spoiled_always(
    hub: HubServer, hub_client: HubClient, commit: str, old: Version, file: str, do: str
):
    home = hub_client.new_home()
    hub.fault(f"GET .*{file}", do, after=200, times=1000)
    assert_one_line(hub_client(SHOW, home=home), NAME)
    assert_cache_is_sound(home)
    hub.clear_faults()
    assert_loaded(hub_client(LOAD, home=home), old)
    assert_cache_is_sound(home)


@pytest.mark.long
def test_a_push_does_not_believe_what_it_reads_back_spoiled(hub: HubServer, hub_client: HubClient, new: Version):
    hub.fault("GET /storage/", "alter", after=MIDDLE, times=1000)
    assert_one_line(hub_client(PUSH), "model.safetensors")
    hub.clear_faults()
    done = hub_client(PUSH)
    assert done.returncode == 0, done.stderr
    assert_holds(hub, new)
    assert len(hub.commits(NAME)) == 2


@pytest.mark.long
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /api/models", 429),
        ("POST .*/preupload/", 503),
        ("POST .*/batch", 429),
        ("PUT /storage/", 503),
        ("POST .*/commit/", 429),
        ("POST .*/commit/", 503),
        ("HEAD /", 503),
    ],
)
def test_a_push_waits_where_it_is_told_to(
    hub: HubServer, hub_client: HubClient, commit: str, new: Version, request_: str, status: int
):
    hub.fault(request_, "refuse", status=status, retry_after=1, times=2)
    done = hub_client(PUSH)
    assert done.returncode == 0, done.stderr
    assert hub.struck() == 2
    assert hub.commits(NAME)[1] == commit
    assert_holds(hub, new)


@pytest.mark.long
@pytest.mark.parametrize(
    ("request_", "status"),
    [("GET /api/models", 503), ("HEAD /", 429), ("GET /zoo/", 429), ("GET /storage/", 429), ("GET /storage/", 503)],
)
def test_a_pull_waits_where_it_is_told_to(
    hub: HubServer, hub_client: HubClient, commit: str, old: Version, request_: str, status: int
):
    home = hub_client.new_home()
    hub.fault(request_, "refuse", status=status, retry_after=1, times=2)
    assert_loaded(hub_client(LOAD, home=home), old)
    assert hub.struck() == 2
    assert_cache_is_sound(home)


@pytest.mark.long
@pytest.mark.parametrize("request_", ["GET /api/models", "HEAD /", "GET /storage/"])
def test_a_pull_says_so_where_the_hub_stays_busy(
    hub: HubServer, hub_client: HubClient, commit: str, old: Version, request_: str
):
    home = hub_client.new_home()
    hub.fault(request_, "refuse", times=1000)
    assert_one_line(hub_client(SHOW, home=home), "503.*try again later")
    assert_cache_is_sound(home)
    hub.clear_faults()
    assert_loaded(hub_client(LOAD, home=home), old)


@pytest.mark.long
def test_a_pull_says_so_where_the_wait_is_too_long(hub: HubServer, hub_client: HubClient, commit: str):
    hub.fault("GET /api/models", "refuse", status=503, retry_after=3600)
    assert_one_line(hub_client(SHOW), "503.*try again later")


@pytest.mark.long
@pytest.mark.parametrize("request_", ["GET /api/models", "HEAD /", "GET /zoo/", "GET /storage/"])
def test_a_connection_is_reset(hub: HubServer, hub_client: HubClient, commit: str, old: Version, request_: str):
    home = hub_client.new_home()
    at = "answer" if request_ == "HEAD /" else "response"
    hub.fault(request_, "drop", at=at, after=100)
    assert_loaded(hub_client(LOAD, home=home), old)
    hub.fault(request_, "drop", at=at, after=100, times=1000)
    home = hub_client.new_home()
    assert_one_line(hub_client(SHOW, home=home), "check the network and run again")
    assert_cache_is_sound(home)
    hub.clear_faults()
    assert_loaded(hub_client(LOAD, home=home), old)


@pytest.mark.long
def test_a_known_version_stays_where_the_hub_is_gone(
    hub: HubServer, hub_client: HubClient, commit: str, old: Version, new: Version
):
    home = hub_client.new_home()
    assert_loaded(hub_client(LOAD, home=home), old)
    hub.put(NAME, new.files)
    hub.fault("GET /storage/", "drop", at="response", after=MIDDLE, times=1000)
    assert_one_line(hub_client(SHOW, home=home), "check the network and run again")
    assert_cache_is_sound(home)
    hub.kill()
    pinned = LOAD.replace('"hf-hub:zoo/m"', f'"hf-hub:zoo/m@{commit}"')
    assert_loaded(hub_client(pinned, home=home), old)
    hub.start()
    assert_loaded(hub_client(LOAD, home=home), new)
    hub.kill()
    assert_loaded(hub_client(LOAD, home=home), new)
    assert_loaded(hub_client(pinned, home=home, offline=True), old)
