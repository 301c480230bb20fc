"""What the Hub of the tests does, seen through the unmodified client."""

import json
import subprocess

from hub.fixtures import HubClient, HubServer

SETUP = """
import json, os
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download, snapshot_download
from huggingface_hub import errors
api = HfApi()
WEIGHTS = bytes(range(256)) * 12 * 1024  # 3 MiB
CARD = b"---\\nlibrary_name: mrvae-zoo\\nlicense: mit\\ntags:\\n- vae\\n---\\n# Model\\n"
def push(repository="zoo/m", **files):
    options = {key: files.pop(key) for key in list(files) if key in ("parent_commit", "create_pr", "revision")}
    operations = [CommitOperationAdd(name.replace("__", "."), content) for name, content in files.items()]
    return api.create_commit(repository, operations, commit_message="add", **options)
def first(repository="zoo/m", **options):
    api.create_repo(repository, exist_ok=True, **options)
    return push(repository, README__md=CARD, config__json=b"{}", model__safetensors=WEIGHTS)
def tell(value):
    print(json.dumps(value, default=str))
def error_of(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except Exception as error:
        return [type(error).__name__, str(error)]
"""


def told(done: subprocess.CompletedProcess[str]) -> object:
    """What the client told in its last line."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_commit_comes_back(hub: HubServer, hub_client: HubClient):
    code = """
commit = first()
info = api.model_info("zoo/m", files_metadata=True)
folder = snapshot_download("zoo/m")
path = hf_hub_download("zoo/m", "model.safetensors")
tell({
    "commit": commit.oid, "sha": info.sha, "library": info.library_name, "tags": info.tags,
    "files": {one.rfilename: [one.size, one.lfs is not None] for one in info.siblings},
    "same": open(path, "rb").read() == WEIGHTS, "folder": sorted(os.listdir(folder)),
})
"""
    answer = told(hub_client(SETUP + code))
    assert answer == {
        "commit": hub.commits("zoo/m")[0],
        "sha": hub.commits("zoo/m")[0],
        "library": "mrvae-zoo",
        "tags": ["mrvae-zoo", "vae", "license:mit"],
        "files": {
            ".gitattributes": [len(hub.files("zoo/m")[".gitattributes"]), False],
            "README.md": [len(hub.files("zoo/m")["README.md"]), False],
            "config.json": [2, False],
            "model.safetensors": [3 * 1024**2, True],
        },
        "same": True,
        "folder": [".gitattributes", "README.md", "config.json", "model.safetensors"],
    }
    assert hub.files("zoo/m")["model.safetensors"] == bytes(range(256)) * 12 * 1024
    assert len(hub.commits("zoo/m")) == 2
