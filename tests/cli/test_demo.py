"""`mrvae demo`: a page at the printed address, until Ctrl-C; and one line for wrong input."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from helpers import failed

pytestmark = pytest.mark.slow

pytest.importorskip("onnx")

NAME = "mrvae_linear.mnist"


@pytest.mark.parametrize("form", ["text", pytest.param("json", marks=pytest.mark.long)])
def test_a_page_is_served_until_it_is_interrupted(form, tmp_path):
    command = [sys.executable, "-m", "mrvae_zoo", "demo", NAME, "--no-browser"]
    command += ["--json"] if form == "json" else []
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:
        lines = [process.stdout.readline() for _ in range(3 if form == "json" else 1)]
        address = json.loads("".join(lines))["address"] if form == "json" else lines[0].strip()
        assert address.startswith("http://127.0.0.1:")
        connection = http.client.HTTPConnection(urlsplit(address).netloc)
        with contextlib.closing(connection):
            connection.request("GET", "/model.json")
            assert json.load(connection.getresponse())["name"] == NAME
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate()
    assert (process.returncode, rest, errors) == (0, "", "press Ctrl-C to stop\n")
    assert list(tmp_path.iterdir()) == []


def test_wrong_input_is_one_line(mrvae):
    failed(mrvae("demo", "mrvae_mlp.mnits", "--no-browser"), "did you mean mrvae_mlp.mnist")
    failed(mrvae("demo", NAME, "--port", 65536), "--port 65536: should be at most 65535")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed(mrvae("demo", NAME, "--no-browser", "--port", port), f"port {port} is in use; name another one")
