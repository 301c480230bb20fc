"""The server of a page: the types that browsers ask for, its own files alone, loopback alone."""

import contextlib
import http.client
import socket
from urllib.parse import urlsplit

import pytest

from mrvae_zoo.page.serving import serving

FILES = {
    "index.html": b"<!doctype html>",
    "js/main.js": b"export {}",
    "runtime/ort.mjs": b"export {}",
    "runtime/ort.wasm": b"\0asm",
    "encoder.onnx": b"onnx",
    "model.json": b"{}",
    "images/00.png": b"png",
    "style.css": b"",
}
TYPES = {
    "": "text/html; charset=utf-8",
    "js/main.js": "text/javascript; charset=utf-8",
    "runtime/ort.mjs": "text/javascript; charset=utf-8",
    "runtime/ort.wasm": "application/wasm",
    "encoder.onnx": "application/octet-stream",
    "model.json": "application/json",
    "images/00.png": "image/png",
    "style.css?v=1": "text/css; charset=utf-8",
}


def ask(url, path, method="GET"):
    """The status, headers and content of an answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    with contextlib.closing(connection):
        connection.request(method, f"/{path}")
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_files_are_served_with_the_types_that_browsers_ask_for():
    with serving(FILES) as url:
        for path, kind in TYPES.items():
            content = FILES[path.partition("?")[0] or "index.html"]
            status, headers, received = ask(url, path)
            assert (status, headers["Content-Type"], received) == (200, kind, content)
        status, headers, received = ask(url, "runtime/ort.wasm", "HEAD")
        assert (status, headers["Content-Length"], received) == (200, "4", b"")


def test_there_is_nothing_else(tmp_path):
    (tmp_path / "page" / "images").mkdir(parents=True)
    (tmp_path / "page" / "index.html").write_text("page", encoding="utf-8")
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    with serving(tmp_path / "page") as url:
        assert ask(url, "")[2] == b"page"
        for path in ("images", "images/", "nothing", "../secret", "%2e%2e/secret", f"/{tmp_path}/secret"):
            assert ask(url, path)[0] == 404
        assert ask(url, "", "POST")[0] == 501


def test_it_listens_on_loopback_until_the_end():
    with serving(FILES) as url:
        address = urlsplit(url)
        assert address.hostname == "127.0.0.1"
        with socket.socket() as other, pytest.raises(OSError, match=r"refused"):
            other.connect(("127.0.0.2", address.port))
    with pytest.raises(OSError, match="refused"):
        ask(url, "")


def test_a_port_that_is_in_use():
    with serving(FILES) as url:
        port = urlsplit(url).port
        with pytest.raises(OSError, match=rf"^port {port} is in use; name another one"), serving(FILES, port):
            pass
