"""The faults that the Hub of the tests can be told to have, and what the unmodified client makes of them."""

import json
import time

import pytest

from fake_hub.client_code import SETUP, WEIGHTS, ask
from fake_hub.fixtures import HubClient, HubServer

pytestmark = pytest.mark.slow


def test_a_download_goes_on_where_the_connection_was_reset(hub: HubServer, hub_client: HubClient):
    ask(hub_client, 'api.create_repo("zoo/m"); push(model__safetensors=WEIGHTS * 5); tell(True)')
    hub.fault("GET /storage/", "drop", at="response", after=12_000_000)
    code = 'tell(open(hf_hub_download("zoo/m", "model.safetensors"), "rb").read() == WEIGHTS * 5)'
    assert ask(hub_client, code) is True
    kept = 10 * 1024**2  # the client writes that many bytes at a time
    assert [request["range"] for request in hub.requests("GET /storage/")] == [None, f"bytes={kept}-"]


@pytest.mark.long
@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_is_met_again_after_the_time_it_names(hub: HubServer, hub_client: HubClient, status: int):
    hub.fault("PUT /storage/", "refuse", status=status, retry_after=1, times=2)
    before = time.monotonic()
    ask(hub_client, "first(); tell(True)")
    assert time.monotonic() - before > 2
    assert hub.struck() == 2
    assert hub.files("zoo/m")["model.safetensors"] == WEIGHTS


@pytest.mark.long
def test_the_answer_to_a_commit_is_lost_and_the_commit_is_there(hub: HubServer, hub_client: HubClient):
    hub.fault("POST .*/commit/", "drop", at="answer")
    name, _ = ask(hub_client, "tell(error_of(first))")
    assert name in ("ReadError", "RemoteProtocolError")
    assert hub.files("zoo/m")["model.safetensors"] == WEIGHTS


@pytest.mark.long
def test_the_server_dies_in_the_middle_of_an_upload(hub: HubServer, hub_client: HubClient):
    ask(hub_client, 'api.create_repo("zoo/m"); push(config__json=b"old"); tell(True)')
    before, address = hub.commits("zoo/m"), hub.url
    hub.fault("PUT /storage/", "exit", at="request", after=1_000_000)
    client = hub_client.start(SETUP + "tell(first().oid)")
    hub.wait(client)
    assert hub.commits("zoo/m") == before
    hub.start()
    assert hub.url == address
    output, errors = client.communicate()
    assert client.returncode == 0, errors
    assert hub.commits("zoo/m") == [json.loads(output), *before]
    assert hub.files("zoo/m")["model.safetensors"] == WEIGHTS


@pytest.mark.long
def test_the_server_dies_in_the_middle_of_a_download(hub: HubServer, hub_client: HubClient):
    ask(hub_client, "first(); tell(True)")
    hub.fault("GET /storage/", "exit", at="response", after=1_000_000)
    client = hub_client.start(
        SETUP + 'tell(open(hf_hub_download("zoo/m", "model.safetensors"), "rb").read() == WEIGHTS)'
    )
    hub.wait(client)
    hub.start()
    output, errors = client.communicate()
    assert client.returncode == 0, errors
    assert json.loads(output) is True
    assert len(hub.requests("GET /storage/")) > 1


@pytest.mark.long
def test_a_spoiled_file_is_told_by_its_size_and_by_nothing_else(hub: HubServer, hub_client: HubClient):
    ask(hub_client, "first(); tell(True)")
    code = 'path = hf_hub_download("zoo/m", "model.safetensors"); tell(open(path, "rb").read() == WEIGHTS)'
    hub.fault("GET /storage/", "truncate", after=1_000_000)
    done = hub_client(SETUP + code)
    assert done.returncode == 1
    assert "Consistency check failed" in done.stderr
    hub.fault("GET /storage/", "alter", after=1_000_000)
    assert ask(hub_client, code) is False
    hub.fault("GET .*/config.json", "alter", at="response")
    assert ask(hub_client, 'tell(open(hf_hub_download("zoo/m", "config.json"), "rb").read() == b"{}")') is False


@pytest.mark.long
def test_what_is_in_the_cache_needs_no_server(hub: HubServer, hub_client: HubClient):
    home = hub_client.new_home()
    code = 'tell(open(hf_hub_download("zoo/m", "model.safetensors"), "rb").read() == WEIGHTS)'
    ask(hub_client, "first(); tell(True)")
    assert ask(hub_client, code, home=home) is True
    hub.kill()
    assert ask(hub_client, code, home=home, offline=True) is True
    done = hub_client(SETUP + code, offline=True)
    assert done.returncode == 1
    assert "LocalEntryNotFoundError" in done.stderr


@pytest.mark.long
def test_a_request_is_held_while_others_are_answered(hub: HubServer, hub_client: HubClient):
    ask(hub_client, "first(); tell(True)")
    hub.fault("GET /storage/", "hold", at="response", after=1_000_000)
    code = 'tell(open(hf_hub_download("zoo/m", "model.safetensors"), "rb").read() == WEIGHTS)'
    client = hub_client.start(SETUP + code)
    hub.wait_for_fault(client)
    assert ask(hub_client, code) is True
    assert client.poll() is None
    hub.clear_faults()
    output, errors = client.communicate()
    assert client.returncode == 0, errors
    assert json.loads(output) is True
