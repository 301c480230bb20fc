"""registry/index.json: what is known of every trained model of the registry, in one file. Needs no torch.

`benchmarks/registry_index.py` makes it from the folders of the models, and `mrvae list` reads it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from mrvae_zoo.checkpoints.registry import root
from mrvae_zoo.common.layout import INDEX, REGISTRY
from mrvae_zoo.common.schema import from_mapping
from mrvae_zoo.models.curve import RDCurve


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPoint:
    """A measured point of the curve of a model.

    Attributes:
        beta: The β of the point.
        loss: The loss L = D + β·R in nats per image.
        distortion: The distortion D in nats per image.
        rate: The rate R in nats per image.
        psnr: The peak signal-to-noise ratio in dB; None where it was not measured.
    """

    beta: float
    loss: float
    distortion: float
    rate: float
    psnr: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What the training of a model took.

    Attributes:
        seconds: The duration in seconds.
        hardware: The hardware it ran on.
        version: The version of mrvae_zoo.
        commit: The commit that mrvae_zoo ran from; None if it is not known.
        date: The day it ended, as an ISO date in UTC; None if it is not known.
    """

    seconds: float
    hardware: str
    version: str
    commit: str | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The gap of a model to β-VAEs that were each trained for one β; negative is better.

    Attributes:
        mean: The mean over β of (L of the model − L of the β-VAE) / L of the β-VAE.
        worst: The largest of these gaps.
        budget: The compute of the model's training, in trainings of one β-VAE; None if the comparison does not say.
        regime: The regime of the comparison, for example "short"; None if the comparison does not say.
        seeds: The number of trainings of either kind.
    """

    mean: float
    worst: float
    budget: float | None = None
    regime: str | None = None
    seeds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """The images per second of the whole model at one β, on one device and with one batch size.

    Attributes:
        device: The name of the device.
        batch_size: The number of images in a call.
        folded: The images per second with β folded into the weights.
        gated: The images per second with gates; None for a model that was folded before it was saved.
    """

    device: str
    batch_size: int
    folded: float
    gated: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """What is known of a trained model.

    Attributes:
        data: The name of the data set it was trained on; None if its files do not say.
        licence: The licence that the authors of the data state; None if they state none.
        architecture: The name of the architecture.
        gating: The name of the gating.
        parameters: The number of parameters.
        flops: The FLOPs per image of one forward pass at one β, folded: two per multiplication and addition, matrix
            products and convolutions only.
        image: The shape (C, H, W) of the image whose FLOPs were counted.
        bytes: The size of the weights in bytes.
        sha256: The SHA-256 of the weights.
        beta_range: The lowest and the highest β.
        rates: The lowest and the highest rate of the curve, in nats per image.
        loss_at_beta_1: The loss L at β = 1 in nats per image; None if the curve does not reach it.
        points: Four measured points of the curve, the nearest to four β with equal distances in log β.
        training: What the training took; None if the recipe does not say.
        gap: The gap of this very recipe to β-VAEs for one β each; None if it was not compared.
        speeds: The measured speeds, as `mrvae benchmark` measures them.
    """

    data: str | None
    licence: str | None
    architecture: str
    gating: str
    parameters: int
    flops: int
    image: tuple[int, int, int]
    bytes: int
    sha256: str
    beta_range: tuple[float, float]
    rates: tuple[float, float]
    loss_at_beta_1: float | None
    points: tuple[IndexPoint, ...]
    training: Training | None
    gap: Gap | None
    speeds: tuple[Speed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The whole file.

    Attributes:
        models: The trained models, by name.
    """

    models: dict[str, IndexEntry]


def index_path() -> Path:
    """Return the path of the file, in a checkout or in the wheel."""
    return root() / REGISTRY / INDEX


def read_index(path: Path | None = None) -> dict[str, IndexEntry]:
    """Read the index, by default that of the registry, by model name; empty if there is no file.

    Raises:
        ValueError: The file is damaged, or not an index; the message names the key.
    """
    path = index_path() if path is None else path
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is not JSON") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} should hold an object, with models")
    return from_mapping(Index, data, where=str(path)).models


def rates_of(curve: RDCurve) -> tuple[float, float]:
    """Return the rates at both ends of a curve, the lower one first, in nats per image."""
    low, high = sorted((curve.points[0].rate, curve.points[-1].rate))
    return low, high


def loss_at_one(curve: RDCurve) -> float | None:
    """Return the loss at β = 1 in nats per image, or None if the curve does not reach it."""
    return curve.at(1.0).loss if curve.betas[0] <= 1 <= curve.betas[-1] else None
