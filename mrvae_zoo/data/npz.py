"""Images in an .npz file.

Letters: N examples, C, H, W image.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

CHANNELS = (1, 3)


def read_labels(path: Path, key: str = "labels") -> list[Any] | None:
    """Read the array `labels` of a file, integers or strings (N,); None if there is none."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            labels = arrays[key]
    except Exception:  # noqa: BLE001 (as below; images are chosen without them)
        return None
    return list(labels.tolist()) if labels.ndim == 1 and labels.dtype.kind in "biuU" else None


def read_npz(path: Path) -> Tensor:
    """Read the array `images` of a file, uint8 (N, H, W), (N, C, H, W) or (N, H, W, C) -> (N, C, H, W).

    The last axis holds the channels if its length is 1 or 3 and that of the second axis is not.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not an .npz, is damaged, or its images have another type or shape.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: an .npz with the key images, uint8 (N, H, W)")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            images = arrays["images"]
    except KeyError:
        raise ValueError(f"{path} has no array named images") from None
    except Exception as error:  # noqa: BLE001 (zipfile, zlib and numpy each have errors of their own for damage)
        raise ValueError(f"{path} cannot be read: {error}") from None
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape:
        raise ValueError(
            f"{path}: images is {images.dtype} {images.shape}; "
            "expected uint8 (N, H, W), (N, C, H, W) or (N, H, W, C), with at least one image"
        )
    tensor = torch.from_numpy(images)
    if tensor.ndim == 3:
        return tensor.unsqueeze(1)
    last = tensor.shape[3] in CHANNELS and tensor.shape[1] not in CHANNELS
    return tensor.permute(0, 3, 1, 2).contiguous() if last else tensor
