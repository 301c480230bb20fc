"""What is read from the cache of the Hub is compared with its checksum: without a server, and so quickly."""

import hashlib
import json

import pytest

from mrvae_zoo.errors import HubError
from mrvae_zoo.hub import download
from mrvae_zoo.hub.client import HubOptions

COMMIT = "0" * 40


def put(cache, name, content, *, checksum=None):
    """A file as huggingface_hub keeps it: a link to a blob that is named by its checksum."""
    checksum = checksum or hashlib.sha256(content).hexdigest()
    blob = cache / "models--org--name" / "blobs" / checksum
    link = cache / "models--org--name" / "snapshots" / COMMIT / name
    for path in (blob, link):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    link.symlink_to(f"../../blobs/{checksum}")
    return link


@pytest.fixture
def options(tmp_path):
    return HubOptions(cache_dir=tmp_path, local_files_only=True)


def config(weights):
    checksum = hashlib.sha256(weights).hexdigest()
    return json.dumps({"library_name": "mrvae_zoo", "format_version": 1, "weights": {"sha256": checksum}}).encode()


def test_a_whole_model_is_taken_from_the_cache(tmp_path, options):
    link = put(tmp_path, "config.json", config(b"weights"))
    put(tmp_path, "model.safetensors", b"weights")
    assert download.fetch("org/name", COMMIT, options) == (link.parent, hashlib.sha256(b"weights").hexdigest())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_is_not_what_its_name_says_is_removed(tmp_path, options, name):
    files = {"config.json": config(b"weights"), "model.safetensors": b"weights"}
    links = {each: put(tmp_path, each, content) for each, content in files.items()}
    links[name].resolve().write_bytes(files[name][:-1])
    with pytest.raises(HubError, match=f"{name} was damaged and is removed from the cache"):
        download.fetch("org/name", COMMIT, options)
    assert not links[name].is_symlink()


def test_weights_that_the_config_does_not_name_are_removed_with_it(tmp_path, options):
    links = [put(tmp_path, "config.json", config(b"other")), put(tmp_path, "model.safetensors", b"weights")]
    with pytest.raises(HubError, match=r"model.safetensors: the checksum differs from the one in config.json"):
        download.fetch("org/name", COMMIT, options)
    assert not any(link.is_symlink() for link in links)


def test_nobody_is_asked_where_only_local_files_will_do(tmp_path, options, monkeypatch):
    from huggingface_hub import HfApi

    def ask(*_, **__):
        raise AssertionError("the Hub was asked")

    for name in ("model_info", "hf_hub_download"):
        monkeypatch.setattr(HfApi, name, ask)
    for call in (
        lambda: download.find_commit("org/name", None, options),
        lambda: download.fetch("org/name", COMMIT, options),
    ):
        with pytest.raises(HubError, match=r"org/name.* is not in the cache, and local_files_only is set"):
            call()
    ref = tmp_path / "models--org--name" / "refs" / "main"
    ref.parent.mkdir(parents=True)
    ref.write_text(COMMIT, encoding="utf-8")
    assert download.find_commit("org/name", None, options) == COMMIT
