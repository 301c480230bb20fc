"""A stand-in for the npm package onnxruntime-web, as small as can be."""

import json

import pytest

from mrvae_zoo.page import runtime


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """The folder of a package with the files that a page loads, and a pin of these."""
    folder = tmp_path / "node_modules" / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    about = {"name": "onnxruntime-web", "version": runtime.read_pin()["version"]}
    (folder / "package.json").write_text(json.dumps(about), encoding="utf-8")
    for name in runtime.read_pin()["bytes"]:
        (folder / "dist" / name).write_text(f"// {name}", encoding="utf-8")
    pin = tmp_path / "runtime.json"
    pin.write_text(json.dumps(runtime.describe_package(folder)), encoding="utf-8")
    monkeypatch.setattr(runtime, "PIN", pin)
    return folder
