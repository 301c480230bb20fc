"""Fixtures for tests that talk to a Hub: the server, a process of its own, and clients, each one too."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from fake_hub.accounts import TOKENS
from fake_hub.lfs import Pointer, is_large
from fake_hub.server import REQUESTS
from fake_hub.store import Repository, Store

TESTS = Path(__file__).parents[1]
WRITE = "write"  # the kind of token that clients have unless they are given another


class HubServer:
    """A Hub in a folder, on a port that stays the same over restarts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts the server, and returns once it listens."""
        path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "fake_hub", "--root", str(self.root), "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        """SIGKILL: the server has no time to tidy up."""
        self.process.kill()
        self.wait()

    def wait(self, client: subprocess.Popen[str] | None = None) -> None:
        """Returns once the server has ended; an error where the client ends and the server goes on."""
        while client is not None and self.process.poll() is None:
            assert client.poll() is None or self.process.poll() is not None, "the client ended before the server"
            time.sleep(0.02)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def restart(self) -> None:
        """The same folder on the same port; faults are forgotten."""
        self.kill()
        self.start()

    @staticmethod
    def token(kind: str) -> str:
        """A token: "write" and "read" are of ada, a member of zoo; "other" is of bob; "wrong" is of nobody."""
        return TOKENS[kind]

    def fault(self, match: str, do: str, **options: object) -> None:
        """Sets a fault for the next request that matches: see `fake_hub.faults.Fault`."""
        self._control("POST", {"match": match, "do": do, **options})

    def clear_faults(self) -> None:
        """Forgets the faults that did not strike, and lets go of what is held."""
        self._control("DELETE")

    def struck(self) -> int:
        """How many faults have struck."""
        return int(self._control("GET")["struck"])

    def wait_for_fault(self, client: subprocess.Popen[str], *, number: int = 1) -> None:
        """Returns once so many faults have struck; an error where the client ends before."""
        while self.struck() < number:
            assert client.poll() is None, "the client ended before it met the fault"
            time.sleep(0.02)

    def requests(self, match: str = "") -> list[dict[str, Any]]:
        """What was asked for, in order, where "METHOD /path" matches the pattern."""
        path = self.root / REQUESTS
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if re.search(match, f"{line['method']} {line['path']}")]

    def repository(self, name: str) -> Repository:
        """The repository as it is on the server's disk: of a model, "org/name", or of a Space, "spaces/org/name"."""
        found = Store(self.root).get(name)
        assert found is not None, f"no repository {name}"
        return found

    def commits(self, name: str, revision: str = "main") -> list[str]:
        """The commits of a revision, newest first; the last one made the repository."""
        return [commit for commit, _, _ in self.repository(name).log(revision)]

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        """The content of every file at a revision, those of large files included."""
        repository = self.repository(name)
        return {entry.path: repository.content(entry) for entry in repository.files(repository.resolve(revision))}

    def collections(self) -> dict[str, list[str]]:
        """The models in each collection, by "owner: title"."""
        found = [json.loads(path.read_text()) for path in sorted(Store(self.root).collections.glob("*/*.json"))]
        return {f"{one['owner']}: {one['title']}": [item["id"] for item in one["items"]] for one in found}

    def put(self, name: str, files: dict[str, bytes]) -> str:
        """Commits files to a branch main behind the server's back; the repository is made where it is missing."""
        store = Store(self.root)
        repository = store.get(name) or store.create(name, private=False, author="ada")
        blobs = {}
        for path, content in files.items():
            blobs[path] = content
            if is_large(path, len(content), content[:512]):
                pointer = Pointer(hashlib.sha256(content).hexdigest(), len(content))
                store.objects.path(pointer.oid).write_bytes(content)
                blobs[path] = pointer.encode()
        parent = repository.resolve("main")
        commit = repository.commit(parent, blobs, "put", "ada")
        repository.set_ref("refs/heads/main", commit, expected=parent)
        return commit

    def _control(self, method: str, body: object = None) -> dict[str, Any]:
        connection = HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request(method, "/-/faults", json.dumps(body))
            return dict(json.loads(connection.getresponse().read()))
        finally:
            connection.close()


class HubClient:
    """Runs code or the real command in processes whose huggingface_hub knows one Hub and an empty home."""

    def __init__(self, hub: HubServer, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        self.started: list[subprocess.Popen[str]] = []

    def __call__(
        self,
        what: str | Sequence[object],
        *,
        token: str | None = WRITE,
        home: Path | None = None,
        offline: bool = False,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs it to its end.

        Args:
            what: Python code; or a list, the arguments of the `mrvae` command.
            token: a kind of `HubServer.token`, or None to have none.
            home: HF_HOME, its cache included; by default a new one.
            offline: sets HF_HUB_OFFLINE.
            cwd: The folder to run it in; by default one of the test.
        """
        process = self.start(what, token=token, home=home, offline=offline, cwd=cwd)
        output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(
        self,
        what: str | Sequence[object],
        *,
        token: str | None = WRITE,
        home: Path | None = None,
        offline: bool = False,
        cwd: Path | None = None,
    ) -> subprocess.Popen[str]:
        """As calling, and returns at once."""
        home = home or self.new_home()
        arguments = ["-c", what] if isinstance(what, str) else ["-m", "mrvae_zoo", *map(str, what)]
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("HF_", "HUGGING_FACE_")) and not key.lower().endswith("_proxy")
        }
        environment |= {
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "*",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
            **({"HF_TOKEN": self.hub.token(token)} if token else {}),
            **({"HF_HUB_OFFLINE": "1"} if offline else {}),
        }
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd or self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def new_home(self) -> Path:
        """An empty HF_HOME."""
        home = self.folder / f"home{len(self.started)}"
        home.mkdir(exist_ok=True)
        return home

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    """A Hub without repositories."""
    if shutil.which("git") is None:
        pytest.skip("no git, which the Hub of the tests keeps its repositories in")
    server = HubServer(tmp_path / "hub")
    yield server
    server.kill()


@pytest.fixture
def hub_client(hub: HubServer, tmp_path: Path) -> Iterator[HubClient]:
    """Clients of that Hub; those still running at the end of the test are killed."""
    client = HubClient(hub, tmp_path)
    yield client
    client.close()
