"""How often the weights are hashed while a model is loaded: once, wherever it comes from."""

import json

import pytest
from helpers import CHECKOUT, DEFAULT_MODEL

from mrvae_zoo.checkpoints.pins import Pin, write_pins
from mrvae_zoo.common.layout import CONFIG, WEIGHTS

FOLDER = CHECKOUT / "registry" / DEFAULT_MODEL
REPO = "zoo/hashed"
COUNT = f"""
import hashlib, json, os
from pathlib import Path

sizes = []
of_bytes, of_file = hashlib.sha256, hashlib.file_digest

def sha256(content=b"", **options):
    sizes.append(len(content))
    return of_bytes(content, **options)

def file_digest(file, name):
    sizes.append(os.fstat(file.fileno()).st_size)
    return of_file(file, name)

hashlib.sha256, hashlib.file_digest = sha256, file_digest
import mrvae_zoo
from mrvae_zoo.checkpoints import pins, registry
registry.root = pins.root = lambda: Path("checkout")
counts = {{}}
for name, source in json.loads(%r).items():
    sizes.clear()
    mrvae_zoo.load_pretrained(source)
    counts[name] = sizes.count({(FOLDER / WEIGHTS).stat().st_size})
print(json.dumps(counts))
"""


@pytest.mark.slow
def test_the_weights_are_hashed_once(hub, hub_client, tmp_path):
    commit = hub.put(REPO, {path.name: path.read_bytes() for path in FOLDER.iterdir()})
    recipe = tmp_path / "checkout" / "registry" / "mrvae_mlp.far" / "recipe.toml"
    recipe.parent.mkdir(parents=True)
    recipe.touch()  # without weights, so that they come from the pin
    checksum = json.loads((FOLDER / CONFIG).read_text(encoding="utf-8"))["weights"]["sha256"]
    write_pins({"mrvae_mlp.far": Pin(repo=REPO, revision=commit, sha256=checksum)}, recipe.parents[1] / "pins.toml")
    sources = {
        "download": f"hf-hub:{REPO}",
        "cache": f"hf-hub:{REPO}@{commit}",
        "pin": "mrvae_mlp.far",
        "folder": f"local-dir:{FOLDER}",
    }
    done = hub_client(COUNT % json.dumps(sources), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(sources, 1)
