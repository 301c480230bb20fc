"""Decoded images on disk, so that files are decoded once and not at every start.

A set is one .npy of uint8 (N, C, H, W) and a .json beside it that names the images that could not be read. The name of
both is a checksum of all that the pixels depend on: the files' paths, sizes and times of change, the wanted shape, and
the code that decodes them. Nothing is ever changed in place, and removing anything costs only time.

    $MRVAE_CACHE/decoded  or  $XDG_CACHE_HOME/mrvae_zoo/decoded  or  ~/.cache/mrvae_zoo/decoded

An empty MRVAE_CACHE turns the cache off. Where it cannot be written, images are decoded each time, as without it.

Letters: N examples, C, H, W image.
"""

import hashlib
import importlib.metadata
import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mrvae_zoo._version import __version__
from mrvae_zoo.common import decoding, images
from mrvae_zoo.common.files import atomic_path, write_atomically

VARIABLE = "MRVAE_CACHE"
CACHE_LIMIT = 8 << 30  # bytes of a set; a larger one is not kept
WORTH_SECONDS = 1.0  # a set that is decoded faster than this is not kept
CHUNK = 1024  # images that are written at once

logger = logging.getLogger(__name__)


class Decoded(NamedTuple):
    """A set that was found in the cache.

    Attributes:
        pixels: The images, (N, C, H, W) uint8, mapped into memory. Those that could not be read are black.
        left_out: The places of the images that could not be read, rising.
    """

    pixels: np.ndarray
    left_out: list[int]


def cache_folder() -> Path | None:
    """Return the folder of the cache, which need not exist; None if there should be none."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named) / "decoded" if named else None
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        base = shared if shared.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # there is no home
        return None
    return base / "mrvae_zoo" / "decoded"


def key_of(source: Sequence[Any], decode: Callable[..., Any]) -> str | None:
    """Return the name of a set in the cache: a checksum of the source and of the code that decodes it.

    Args:
        source: What the pixels depend on, as JSON: paths with their `stamps`, the wanted shape.
        decode: The function that opens one item. A function that is made at run time has no name, and its sets are not
            kept.

    Returns:
        The name, or None.
    """
    name, module = getattr(decode, "__qualname__", "<"), sys.modules.get(getattr(decode, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if "<" in name or file is None:
        return None
    versions = [__version__, torch.__version__, importlib.metadata.version("pillow")]
    code = stamps(Path(one) for one in (file, images.__file__, decoding.__file__) if one is not None)
    text = json.dumps([versions, code, name, *source])  # ASCII
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def stamps(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Return the path, the size and the time of change of each file; both are 0 where there is no file."""
    found = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            found.append((str(path.absolute()), 0, 0))
        else:
            found.append((str(path.absolute()), stat.st_size, stat.st_mtime_ns))
    return found


def find(key: str | None, shape: Sequence[int | None]) -> Decoded | None:
    """Return a set of the cache, or None if it is not there, or not whole, or not of `shape` (None is any length)."""
    path = _path(key)
    if path is None:
        return None
    try:
        left_out = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["left_out"]
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, EOFError):  # not there, or damaged
        return None
    sizes = zip(pixels.shape, shape, strict=False)
    if pixels.dtype != np.uint8 or pixels.ndim != len(shape) or any(want not in (None, have) for have, want in sizes):
        return None
    return Decoded(pixels, left_out)


def keep(
    key: str | None, shape: Sequence[int], parts: Iterable[Tensor], left_out: Mapping[int, str], *, since: float
) -> None:
    """Write a set into the cache, if it can be; `parts` are read to their end in any case.

    Args:
        key: The name of the set; None does not keep it.
        shape: The shape (N, C, H, W) of the whole.
        parts: The images, uint8 (n, C, H, W) each, in order. They may be decoded while they are read.
        left_out: The places and faults of the images that could not be read, complete once `parts` are read.
        since: The time when decoding began, by the monotonic clock.
    """
    path, size, parts = _path(key), math.prod(shape), iter(parts)
    if path is not None and size <= CACHE_LIMIT:
        try:
            _write(path, shape, size, parts, left_out, since)
        except (OSError, _NotWorthItError) as error:
            logger.debug("decoded images are not kept: %s", error)
    for _ in parts:
        pass


def decode_once(
    paths: Sequence[Path], shape: Sequence[int | None], decode: Callable[[Sequence[Path]], Tensor]
) -> Tensor:
    """Return what `decode` makes of these files, uint8 of `shape` (N, C, H, W), from the cache if it is there."""
    key = key_of([stamps(paths)], decode)
    found = find(key, shape)
    if found is not None:
        return torch.from_numpy(np.array(found.pixels))
    start = time.monotonic()
    decoded = decode(paths)
    if took_long(start):
        keep(key, decoded.shape, decoded.split(CHUNK), {}, since=start)
    return decoded


def took_long(since: float) -> bool:
    """Whether a set is worth keeping that has been decoded since then, by the monotonic clock."""
    return time.monotonic() - since >= WORTH_SECONDS


class _NotWorthItError(Exception):
    """A set was decoded so fast that it is not kept."""


def _write(
    path: Path,
    shape: Sequence[int],
    size: int,
    parts: Iterable[Tensor],
    left_out: Mapping[int, str],
    since: float,
) -> None:
    """Write both files of a set, the pixels last, so that these are never there without the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < 2 * size:
        raise OSError(f"{path.parent} has too little room for {size} bytes")
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(part.contiguous().numpy().data)
            if not took_long(since):
                raise _NotWorthItError(f"decoded in less than {WORTH_SECONDS} s")
        write_atomically(path.with_suffix(".json"), json.dumps({"left_out": sorted(left_out)}))


def _path(key: str | None) -> Path | None:
    folder = cache_folder()
    return None if key is None or folder is None else folder / f"{key}.npy"
