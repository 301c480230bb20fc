"""bars: horizontal or vertical bars of random place and brightness, drawn when they are asked for.

Letters: N examples, H, W image.
"""

from pathlib import Path

import torch
from torch import Tensor

from mrvae_zoo.plugins import DataFacts, DataSet, Split

SIZE = 16
EXAMPLES: dict[Split, int] = {"train": 4096, "test": 512}
SEEDS: dict[Split, int] = {"train": 0, "test": 1}
SHARE = 0.15  # of the rows that hold a bar


def load(root: Path, split: Split) -> Tensor:
    """The images of a split, (N, 1, H, W) uint8, the same at every call; nothing is read from `root`."""
    del root
    n, generator = EXAMPLES[split], torch.Generator().manual_seed(SEEDS[split])
    brightness = torch.randint(96, 256, (n, SIZE), generator=generator)
    rows = brightness * (torch.rand(n, SIZE, generator=generator) < SHARE)  # (N, H)
    images = rows.unsqueeze(-1).expand(n, SIZE, SIZE)  # (N, H, W)
    vertical = torch.rand(n, 1, 1, generator=generator) < 0.5
    return torch.where(vertical, images.mT, images).byte().unsqueeze(1)


BARS = DataSet(name="bars", load=load, facts=DataFacts(title="the bars that mrvae_lstm draws", licence="Apache-2.0"))
