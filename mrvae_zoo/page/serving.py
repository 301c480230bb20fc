"""A web server for pages: on loopback, from memory, and only what belongs to the page."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from mrvae_zoo.page.static import INDEX

HOST = "127.0.0.1"
TYPES = {  # browsers run no module and stream no WebAssembly of another type
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
OTHER = "application/octet-stream"


@contextmanager
def serving(page: Mapping[str, bytes] | Path, port: int = 0) -> Iterator[str]:
    """Serve a page on loopback while the context lasts; yields its address, which ends in a slash.

    Args:
        page: The files by their paths, or the folder that holds them, which is read once.
        port: The port. 0 takes one that is free.

    Raises:
        OSError: The port is in use, or may not be used; the message names it.
    """
    server = _listen(_read(page) if isinstance(page, Path) else page, port)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def check_port(port: int) -> None:
    """Raise an OSError if a port cannot be served on, before any work is done for it; see `serving`."""
    _listen({}, port).server_close()


def _listen(files: Mapping[str, bytes], port: int) -> ThreadingHTTPServer:
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Handler, files))
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise OSError(f"port {port} {reason}; name another one, or 0 for one that is free") from None


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD with the files, and everything else with an error."""

    def __init__(self, files: Mapping[str, bytes], *arguments: Any) -> None:
        self.files = files
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Send a file."""
        content = self._send_headers()
        if content is not None:
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        """Send what GET would send, without the content."""
        self._send_headers()

    def _send_headers(self) -> bytes | None:
        """Send the status and the headers; returns the content of the file, or None if there is none."""
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        path = f"{path}{INDEX}" if path == "" or path.endswith("/") else path
        content = self.files.get(path)
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", TYPES.get(PurePosixPath(path).suffix, OTHER))
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")  # the next page at this address is another one
        self.end_headers()
        return content

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 (the word of the base class)
        """Write no log."""


def _read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
