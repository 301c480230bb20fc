"""What a dial says where something is missing or is not what it should be."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import DEFAULT_MODEL
from page.browser.dial import Dial

import mrvae_zoo

pytestmark = pytest.mark.long


@pytest.fixture
def folder(page_of: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the embedded model's page, to be damaged."""
    return shutil.copytree(page_of(DEFAULT_MODEL), tmp_path / "page")


@pytest.mark.parametrize("path", ["encoder.onnx", "decoder.onnx", "runtime/ort-wasm-simd-threaded.wasm"])
def test_a_file_that_changed_is_named(visit: Callable[..., Dial], folder: Path, path: str) -> None:
    content = bytearray((folder / path).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / path).write_bytes(content)
    opened = visit(folder, faults=True).load("?runtime=wasm")
    assert f"{Path(path).name} is not the file that this page was made with" in opened.message()


@pytest.mark.parametrize("path", ["decoder.onnx", "model.json", "runtime/ort.wasm.min.mjs"])
def test_a_file_that_is_missing_is_named(visit: Callable[..., Dial], folder: Path, path: str) -> None:
    (folder / path).unlink()
    opened = visit(folder, faults=True).load("?runtime=wasm")
    assert Path(path).name in opened.message()


def test_a_browser_without_simd_is_told(visit: Callable[..., Dial], folder: Path) -> None:
    worker = folder / "js" / "worker.js"
    worker.write_text("WebAssembly.validate = () => false;\n" + worker.read_text(encoding="utf-8"), encoding="utf-8")
    assert "no WebAssembly with SIMD" in visit(folder, faults=True).load().message()


def test_a_runtime_that_cannot_be_reached_is_named(visit: Callable[..., Dial], tmp_path: Path) -> None:
    mrvae_zoo.write_page(DEFAULT_MODEL, tmp_path / "page")
    opened = visit(tmp_path / "page", faults=True).load("?runtime=wasm")
    message = opened.message()
    assert "could not be loaded" in message
    assert "cdn.jsdelivr.net" in message
    assert opened.watch.elsewhere
    assert all(url.startswith("https://cdn.jsdelivr.net/npm/onnxruntime-web@") for url in opened.watch.elsewhere)
