"""Two versions of a model, to push and to pull, and what has to hold after anything went wrong."""

import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fake_hub.fixtures import HubServer

NAME = "zoo/m"
PARTS = ("config.json", "model.safetensors", "rd_curve.json", "recipe.toml")

# Prints which weights were loaded.
LOAD = """
import hashlib
import mrvae_zoo
model = mrvae_zoo.load_pretrained("hf-hub:zoo/m")
assert model.curve is not None
print(hashlib.sha256(b"".join(value.numpy().tobytes() for value in model.state_dict().values())).hexdigest())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A model in a folder, and the checksum of its weights as LOAD prints it."""

    folder: Path
    weights: str

    @property
    def files(self) -> dict[str, bytes]:
        return {name: (self.folder / name).read_bytes() for name in PARTS}


def assert_holds(hub: HubServer, version: Version, *, revision: str = "main") -> None:
    """The repository has one version, and nothing of another."""
    files = hub.files(NAME, revision)
    assert {name: files.get(name) for name in PARTS} == version.files


def assert_loaded(done: subprocess.CompletedProcess[str], version: Version) -> None:
    """LOAD ended well, with that version."""
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [version.weights]


def assert_cache_is_sound(home: Path) -> None:
    """Every file in the cache that passes for whole is: its content is what its name says."""
    folder = home / "hub" / "models--zoo--m"
    for link in folder.glob("snapshots/*/*"):
        assert link.resolve().is_file(), f"{link} leads nowhere"
    for blob in folder.glob("blobs/*"):
        if not blob.name.endswith(".incomplete"):
            content = blob.read_bytes()
            of_git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            assert blob.name in (of_git, hashlib.sha256(content).hexdigest()), f"{blob} is not whole"


def assert_one_line(done: subprocess.CompletedProcess[str], pattern: str) -> None:
    """The command failed and ended with one line that matches, without a traceback."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert re.search(f"^mrvae: .*{pattern}", done.stderr.splitlines()[-1]), done.stderr
