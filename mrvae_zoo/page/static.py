"""The static part of a page, as it comes with the package: HTML, style sheets and ES modules."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

ASSETS = Path(__file__).parent / "assets"
COMMON = "common.css"
INDEX = "index.html"
POLICY = "<!--csp-->"  # in index.html, where the content security policy goes


def static_files(kind: Literal["dial", "gallery"]) -> dict[str, bytes]:
    """Return the static files of a page, by their paths."""
    folder = ASSETS / kind
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {**files, COMMON: (ASSETS / COMMON).read_bytes()}


def dial_files(runtime_url: str) -> dict[str, bytes]:
    """Return the static files of a dial that loads its runtime from there, and nothing from anywhere else."""
    files = static_files("dial")
    index = files[INDEX].decode()
    return {**files, INDEX: index.replace(POLICY, policy(runtime_url)).encode()}


def policy(runtime_url: str) -> str:
    """Return the element that forbids a page to load anything from a host other than its own and the runtime's."""
    parts = urlsplit(runtime_url)
    own = "'self' blob:" if not parts.netloc else f"'self' blob: {parts.scheme}://{parts.netloc}"
    rules = {
        "default-src": "'none'",
        "script-src": f"{own} 'wasm-unsafe-eval'",
        "worker-src": "'self' blob:",
        "connect-src": f"{own} data:",
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "media-src": "'self' blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    content = "; ".join(f"{key} {value}" for key, value in rules.items())
    return f'<meta http-equiv="Content-Security-Policy" content="{content}">'
