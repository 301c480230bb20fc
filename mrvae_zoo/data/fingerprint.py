"""A checksum of the data that a training reads, to tell whether the images are the same as before."""

import hashlib
import json
from pathlib import Path

from torch import Tensor

from mrvae_zoo.data.sets import ImageData


def fingerprint(data: ImageData) -> str:
    """Return 16 hexadecimal digits from the pixels or, for streamed images, from the names and sizes of their files."""
    digest = hashlib.blake2b(json.dumps([*data.describe().items(), *data.shape]).encode(), digest_size=8)
    if isinstance(data.images, Tensor):
        for images in data.images.split(4096):
            digest.update(images.cpu().contiguous().numpy())
    else:
        encoded = data.images.encoded
        for index in data.images.kept:
            item = encoded.items[index]
            size = item.stat().st_size if isinstance(item, Path) else None
            digest.update(json.dumps([encoded.label(index), size]).encode())
    return digest.hexdigest()
