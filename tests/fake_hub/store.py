"""Repositories, of models and of Spaces: bare ones of git, and beside each what git does not hold."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from fake_hub.answers import no_entry, no_revision
from fake_hub.lfs import LARGE_EXTENSIONS, ObjectStore, Pointer

ATTRIBUTES = "".join(f"*{extension} filter=lfs diff=lfs merge=lfs -text\n" for extension in LARGE_EXTENSIONS)
POINTER_SIZE = 200  # a blob above that is no pointer
SPACES = "spaces"
SPACE = """---
title: {name}
sdk: {sdk}
---
"""
STATIC = {"index.html": b"<h1>Welcome to your static Space!</h1>\n", "style.css": b"body {}\n"}


class MovedError(Exception):
    """A ref does not point any more to where it was expected to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file or a folder of a commit. `oid` is git's own, `size` that of the file and not of a pointer."""

    path: str
    kind: str
    oid: str
    size: int
    pointer: Pointer | None = None

    @property
    def etag(self) -> str:
        return self.pointer.oid if self.pointer else self.oid


class Repository:
    """One repository. It is stateless, so that whoever opens the folder sees the same."""

    def __init__(self, folder: Path, objects: ObjectStore) -> None:
        self.folder, self.objects = folder, objects
        self.namespace, self.name = folder.parent.name, folder.name.removesuffix(".git")
        self.id = f"{self.namespace}/{self.name}"
        self.is_space = folder.parents[1].name == SPACES
        self.address = f"{SPACES}/{self.id}" if self.is_space else self.id

    @cached_property
    def settings(self) -> dict[str, Any]:
        """private, gated, created (ISO 8601)."""
        return json.loads((self.folder / "hub.json").read_text())

    def change(self, **settings: object) -> None:
        self.settings.update(settings)
        written = self.folder / "hub.json.new"
        written.write_text(json.dumps(self.settings))
        written.replace(self.folder / "hub.json")

    def resolve(self, revision: str) -> str:
        """The commit of a branch, a tag, a full ref or a (short) commit."""
        for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if ref.startswith("refs/") or re.fullmatch(r"[0-9a-f]{7,40}", ref):
                found = self._git("rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}", check=False).decode().strip()
                if found:
                    return found
        raise no_revision(revision)

    def branch(self, revision: str) -> str:
        """The ref that a commit to that revision moves."""
        ref = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
        if ref not in self.refs():
            raise no_revision(revision)
        return ref

    def refs(self) -> dict[str, str]:
        """Every ref and its commit."""
        lines = self._git("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)").decode().splitlines()
        return {ref: commit for ref, *_, commit in (line.split() for line in lines)}

    def set_ref(self, ref: str, commit: str, *, expected: str) -> None:
        """Moves a ref from the expected commit ("" for none) to another."""
        try:
            self._git("update-ref", ref, commit, expected or "0" * 40)
        except subprocess.CalledProcessError as error:
            raise MovedError(ref) from error

    def delete_ref(self, ref: str) -> None:
        self._git("update-ref", "-d", ref)

    def log(self, revision: str = "main") -> list[tuple[str, str, str]]:
        """Commits of a revision, newest first: id, date, message."""
        form = ("--format=%H%n%cd%n%B", "--date=format-local:%Y-%m-%dT%H:%M:%S.000Z")
        log = self._git("log", "-z", *form, self.resolve(revision)).decode().split("\0")[:-1]
        return [(commit, date, message.strip()) for commit, date, message in (one.split("\n", 2) for one in log)]

    def entries(self, commit: str) -> Iterator[Entry]:
        """All files and folders of a commit."""
        for line in self._git("ls-tree", "-r", "-t", "-l", "-z", commit).decode().split("\0")[:-1]:
            facts, path = line.split("\t", 1)
            _, kind, oid, size = facts.split()
            if kind == "tree":
                yield Entry(path=path, kind="directory", oid=oid, size=0)
                continue
            pointer = Pointer.decode(self.blob(oid)) if int(size) < POINTER_SIZE else None
            yield Entry(path=path, kind="file", oid=oid, size=pointer.size if pointer else int(size), pointer=pointer)

    def files(self, commit: str) -> list[Entry]:
        return [entry for entry in self.entries(commit) if entry.kind == "file"]

    def entry(self, commit: str, path: str) -> Entry:
        for entry in self.files(commit):
            if entry.path == path:
                return entry
        raise no_entry(commit)

    def blob(self, oid: str) -> bytes:
        return self._git("cat-file", "blob", oid)

    def content(self, entry: Entry) -> bytes:
        return self.objects.path(entry.pointer.oid).read_bytes() if entry.pointer else self.blob(entry.oid)

    def commit(self, parent: str | None, changes: Mapping[str, bytes | None], message: str, author: str) -> str:
        """A new commit (no ref moves yet): the parent's files, and those of `changes`, None to delete one."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            if parent:
                self._git("read-tree", parent, env=index)
            lines = []
            for path, content in changes.items():
                oid = (
                    self._git("hash-object", "-w", "--stdin", given=content).decode().strip()
                    if content is not None
                    else ""
                )
                lines.append(f"100644 {oid}\t{path}\0" if oid else f"0 {'0' * 40}\t{path}\0")
            self._git("update-index", "-z", "--index-info", given="".join(lines).encode(), env=index)
            tree = self._git("write-tree", env=index).decode().strip()
        who = {f"GIT_{role}_{key}": author for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
        parents = ("-p", parent) if parent else ()
        return self._git("commit-tree", tree, *parents, given=message.encode(), env=who).decode().strip()

    def _git(
        self, *arguments: str, given: bytes | None = None, env: Mapping[str, str] | None = None, check: bool = True
    ) -> bytes:
        clean = {"PATH": os.environ["PATH"], "TZ": "UTC", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        command = ["git", "--git-dir", str(self.folder), *arguments]
        done = subprocess.run(command, input=given, env={**clean, **(env or {})}, capture_output=True, check=check)
        return done.stdout


class Store:
    """All that a Hub holds, in a folder; what is in there after a crash is whole."""

    def __init__(self, root: Path) -> None:
        self.repositories = root / "repositories"
        self.repositories.mkdir(parents=True, exist_ok=True)
        self.collections = root / "collections"
        self.collections.mkdir(exist_ok=True)
        self.objects = ObjectStore(root / "objects")
        self.incoming = root / "incoming"
        self.incoming.mkdir(exist_ok=True)

    def get(self, address: str) -> Repository | None:
        """The model "org/name", or the Space "spaces/org/name"."""
        folder = self.repositories / f"{address}.git"
        return Repository(folder, self.objects) if folder.is_dir() else None

    def all(self, *, spaces: bool = False) -> list[Repository]:
        folders = (self.repositories / SPACES if spaces else self.repositories).glob("*/*.git")
        return [Repository(folder, self.objects) for folder in sorted(folders)]

    def create(self, address: str, *, private: bool, author: str, sdk: str | None = None) -> Repository:
        """A new repository with a first commit, as the Hub's are. A Space has an SDK and a page to edit."""
        name = address.rpartition("/")[2]
        files = {".gitattributes": ATTRIBUTES.encode()}
        if sdk is not None:
            files["README.md"] = SPACE.format(name=name, sdk=sdk).encode()
        if sdk == "static":
            files |= STATIC
        with tempfile.TemporaryDirectory(dir=self.incoming) as folder:
            made = Repository(Path(folder) / f"{address}.git", self.objects)
            made.folder.mkdir(parents=True)
            made._git("init", "--quiet", "--bare", "--initial-branch=main")
            created = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            (made.folder / "hub.json").write_text(json.dumps({"private": private, "gated": False, "created": created}))
            first = made.commit(None, files, "initial commit", author)
            made.set_ref("refs/heads/main", first, expected="")
            there = self.repositories / f"{address}.git"
            there.parent.mkdir(parents=True, exist_ok=True)
            made.folder.rename(there)
        found = self.get(address)
        assert found is not None
        return found

    def delete(self, repository: Repository) -> None:
        shutil.rmtree(repository.folder)
