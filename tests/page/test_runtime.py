"""The pinned runtime: it is the one of web/package.json, and another one is refused."""

import json

import pytest
from helpers import CHECKOUT

from mrvae_zoo.page.runtime import describe_package, from_package, read_pin

WEB = CHECKOUT / "web"


def test_the_pin_is_the_version_that_npm_installs():
    about = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    assert about["dependencies"] == {"onnxruntime-web": read_pin()["version"]}
    assert lock["packages"]["node_modules/onnxruntime-web"]["version"] == read_pin()["version"]


def test_the_lock_names_no_registry_of_its_own():
    lock = (WEB / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock or "https://registry.npmjs.org/" in lock


def test_the_pin_is_what_its_package_holds():
    package = WEB / "node_modules" / "onnxruntime-web"
    if not package.is_dir():
        pytest.skip("no npm packages here; run: make browser")
    assert describe_package(package) == read_pin(), "run: python benchmarks/page_runtime.py"
    assert set(from_package(package).files) == set(read_pin()["integrity"])


def test_the_folder_of_the_package_or_its_dist(npm):
    for folder in (npm, npm / "dist"):
        files = from_package(folder).files
        assert files["ort.wasm.min.mjs"] == b"// ort.wasm.min.mjs"
        assert len(files) == 6


def test_another_package_is_refused(npm, tmp_path):
    (npm / "dist" / "ort.wasm.min.mjs").write_text("// changed", encoding="utf-8")
    with pytest.raises(ValueError, match=r"ort.wasm.min.mjs differs from the file of onnxruntime-web [\d.]+; .*npm ci"):
        from_package(npm)
    (npm / "dist" / "ort.wasm.min.mjs").unlink()
    with pytest.raises(FileNotFoundError, match="ort.wasm.min.mjs"):
        from_package(npm)
    (npm / "package.json").write_text('{"name": "onnxruntime-web", "version": "0.1"}', encoding="utf-8")
    with pytest.raises(ValueError, match=rf"onnxruntime-web 0.1; pinned is {read_pin()['version']}: run npm ci"):
        from_package(npm)
    (npm / "package.json").write_text('{"name": "something"}', encoding="utf-8")
    for folder in (npm, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=r"does not hold onnxruntime-web; name its folder node_modules/onn"):
            from_package(folder)
