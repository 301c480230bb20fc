"""The runtime of a page: onnxruntime-web at one pinned version, from a public CDN or out of the npm package."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACKAGE = "onnxruntime-web"
CDN = "https://cdn.jsdelivr.net/npm/{package}@{version}/dist/"
LOCAL = "runtime/"  # where a page keeps its own copy
PIN = Path(__file__).parent / "runtime.json"  # benchmarks/page_runtime.py makes it
VARIANTS = {  # what a page loads, on the CPU and on a GPU
    "wasm": {
        "module": "ort.wasm.min.mjs",
        "glue": "ort-wasm-simd-threaded.mjs",
        "wasm": "ort-wasm-simd-threaded.wasm",
    },
    "webgpu": {
        "module": "ort.webgpu.min.mjs",
        "glue": "ort-wasm-simd-threaded.asyncify.mjs",
        "wasm": "ort-wasm-simd-threaded.asyncify.wasm",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The runtime as a page refers to it.

    Attributes:
        url: The address of its files, relative to the page unless it is a CDN; it ends in a slash.
        files: The content of its files by name, for the page to carry. Empty if they are elsewhere.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Return the entry `runtime` of model.json."""
        pin = read_pin()
        return {
            "version": pin["version"],
            "url": self.url,
            **{key: pin[key] for key in ("files", "bytes", "integrity")},
        }


def read_pin() -> dict[str, Any]:
    """Return the version, the files, and the size and SHA-384 of each."""
    pin: dict[str, Any] = json.loads(PIN.read_text(encoding="utf-8"))
    return pin


def from_cdn() -> Runtime:
    """Return the runtime that a page loads from the CDN."""
    return Runtime(url=CDN.format(package=PACKAGE, version=read_pin()["version"]))


def from_package(folder: Path) -> Runtime:
    """Return the runtime out of the npm package, at the pinned version.

    Args:
        folder: The folder of the package, node_modules/onnxruntime-web, or its sub-folder dist.

    Raises:
        FileNotFoundError: The folder does not hold the package.
        ValueError: It is another version, or a file differs from the pinned one.
    """
    pin, version = read_pin(), _version(folder)
    how = f"pinned is {pin['version']}: run npm ci where web/package.json is"
    if version != pin["version"]:
        raise ValueError(f"{folder} holds {PACKAGE} {version}; {how}")
    files = {name: (_dist(folder) / name).read_bytes() for name in pin["integrity"]}
    for name, content in files.items():
        if _integrity(content) != pin["integrity"][name]:
            raise ValueError(f"{_dist(folder) / name} differs from the file of {PACKAGE} {version}; {how}")
    return Runtime(url=LOCAL, files=files)


def describe_package(folder: Path) -> dict[str, Any]:
    """Return the pin of the npm package in a folder, whatever its version."""
    version = _version(folder)
    names = [name for variant in VARIANTS.values() for name in variant.values()]
    content = {name: (_dist(folder) / name).read_bytes() for name in names}
    return {
        "package": PACKAGE,
        "version": version,
        "files": VARIANTS,
        "bytes": {name: len(each) for name, each in content.items()},
        "integrity": {name: _integrity(each) for name, each in content.items()},
    }


def _version(folder: Path) -> str:
    """Return the version of the npm package in a folder; a FileNotFoundError if it is not there."""
    path = _dist(folder).parent / "package.json"
    about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if about.get("name") != PACKAGE:
        raise FileNotFoundError(f"{folder} does not hold {PACKAGE}; name its folder node_modules/{PACKAGE}")
    return str(about["version"])


def _dist(folder: Path) -> Path:
    return folder if folder.name == "dist" else folder / "dist"


def _integrity(content: bytes) -> str:
    """Return the hash of a file as browsers check it."""
    return f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"
