"""Code that clients run before that of a test, and how they answer."""

import json
import subprocess
from typing import Any

from fake_hub.fixtures import HubClient

WEIGHTS = bytes(range(256)) * 12 * 1024  # 3 MiB

SETUP = r"""
import json, os
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download, snapshot_download
api = HfApi()
WEIGHTS = bytes(range(256)) * 12 * 1024
CARD = b"---\nlibrary_name: mrvae-zoo\nlicense: mit\ntags:\n- vae\n---\n# Model\n"
def push(repository="zoo/m", parent_commit=None, create_pr=None, revision=None, **files):
    operations = [CommitOperationAdd(name.replace("__", "."), content) for name, content in files.items()]
    options = {"parent_commit": parent_commit, "create_pr": create_pr, "revision": revision}
    return api.create_commit(repository, operations, commit_message="add", **options)
def first(repository="zoo/m", **options):
    api.create_repo(repository, exist_ok=True, **options)
    return push(repository, README__md=CARD, config__json=b"{}", model__safetensors=WEIGHTS)
def tell(value):
    print(json.dumps(value))
def error_of(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except Exception as error:
        response = getattr(error, "response", None)
        return [type(error).__name__, None if response is None else response.status_code]
"""


def ask(hub_client: HubClient, code: str, **options: Any) -> Any:
    """What code tells that runs after SETUP, in a client of its own."""
    return told(hub_client(SETUP + code, **options))


def told(done: subprocess.CompletedProcess[str]) -> Any:
    """What a client printed as JSON."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that failed said: its last line."""
    assert done.returncode == 1, done.stdout + done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("mrvae: ")
    return line
