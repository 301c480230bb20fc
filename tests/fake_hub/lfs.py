"""Large files: where they are kept, the pointer that stands for one in git, and addresses that are good for a while."""

import hashlib
import hmac
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

LARGE_EXTENSIONS = (".safetensors", ".bin", ".h5", ".onnx", ".zip")
LARGE_SIZE = 10 * 1024**2
GOOD_FOR = 3600  # seconds

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>\d+)\n"
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """What git holds in the place of a large file."""

    oid: str
    size: int

    def encode(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.oid}\nsize {self.size}\n".encode()

    @classmethod
    def decode(cls, blob: bytes) -> "Pointer | None":
        match = _POINTER.fullmatch(blob)
        return cls(match["oid"].decode(), int(match["size"])) if match else None


def is_large(path: str, size: int, sample: bytes) -> bool:
    """Whether the Hub wants a file as a large one: by its extension, its size, or because it is not text."""
    return path.endswith(LARGE_EXTENSIONS) or size > LARGE_SIZE or b"\0" in sample


class ObjectStore:
    """Files by their sha256. One is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, oid: str) -> Path:
        return self.folder / oid

    def has(self, pointer: Pointer) -> bool:
        path = self.path(pointer.oid)
        return path.is_file() and path.stat().st_size == pointer.size

    def put(self, oid: str, received: Path) -> bool:
        """Takes in a file that was received; False where it is not the one it was announced as."""
        with received.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != oid:
                return False
            os.fsync(file.fileno())
        received.replace(self.path(oid))
        return True


class Signer:
    """Addresses that need no token and expire, as those of a storage service. The key outlives the process."""

    def __init__(self, folder: Path) -> None:
        key = folder / "key"
        if not key.exists():
            key.write_text(secrets.token_hex())
        self._key = key.read_bytes()

    def query(self, method: str, oid: str) -> str:
        expires = int(time.time()) + GOOD_FOR
        return f"expires={expires}&signature={self._signature(method, oid, str(expires))}"

    def accepts(self, method: str, oid: str, expires: str, signature: str) -> bool:
        if not expires.isdigit() or int(expires) < time.time():
            return False
        return hmac.compare_digest(signature, self._signature(method, oid, expires))

    def _signature(self, method: str, oid: str, expires: str) -> str:
        return hmac.new(self._key, f"{method} {oid} {expires}".encode(), "sha256").hexdigest()
