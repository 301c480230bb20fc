"""What tests share: where the real data is, how the real command is run, small models."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import mrvae_zoo
from mrvae_zoo import FixedRateVAE, MultiRateVAE

pytest_plugins = ["hub.fixtures"]

CHECKOUT = Path(__file__).parents[1]
DEFAULT_MODEL = "mrvae_mlp.mnist"
PLUGIN = "mrvae_lstm"  # of examples/plugin; test_plugins.py runs the tests of every architecture where it is installed
SHAPES = {
    "mrvae_linear": (1, 5, 4),
    "mrvae_mlp": (2, 5, 4),
    "mrvae_conv": (3, 13, 10),
    "mrvae_resnet": (1, 12, 9),
    "mrvae_resnet_spatial": (3, None, None),
    "mrvae_timm": (2, 32, 32),
    PLUGIN: (2, 5, 4),
}
ANY_SIZE = (19, 13)  # what stands for H and W where any will do
OPTIONS = {
    "mrvae_linear": {},
    "mrvae_mlp": {"widths": (24, 16)},
    "mrvae_conv": {"widths": (6, 8), "depth": 1, "norm": "batch"},
    "mrvae_resnet": {"widths": (8, 12), "depth": 2, "bottleneck": 4},
    "mrvae_resnet_spatial": {"widths": (6, 8, 8), "depth": 1, "bottleneck": 4},
    "mrvae_timm": {"backbone": "test_convnext", "widths": (16,)},
    PLUGIN: {"state_size": 16},
}
KINDS = [
    (name, gating)
    for name in mrvae_zoo.list_architectures()
    for gating in mrvae_zoo.models.registry.architectures[name].gatings
]
DEFAULT_KINDS = [kind for kind in KINDS if kind[1] == mrvae_zoo.models.registry.architectures[kind[0]].gatings[0]]
GATED_KINDS = [kind for kind in KINDS if kind[1] != "none"]

BARS_RECIPE = {
    "model": {"architecture": "mrvae_mlp", "input_shape": [1, 8, 8], "latent_dim": 4, "widths": [32]},
    "data": {"name": "binarized_mnist"},
    "training": {"epochs": 12, "batch_size": 32, "learning_rate": 5e-3, "seed": 1},
}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets, or a skip."""
    folder = Path(os.environ.get("MRVAE_DATA_ROOT", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data here; set MRVAE_DATA_ROOT to a folder with MNIST and BinarizedMNIST")
    return folder


@pytest.fixture(scope="session")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets with something to learn quickly: bars, whose place is one of eight."""
    root = tmp_path_factory.mktemp("data")
    (root / "BinarizedMNIST").mkdir()
    rng = np.random.default_rng(0)
    for split, n in (("train", 640), ("test", 128)):
        images = np.zeros((n, 8, 8), np.uint8)
        images[np.arange(n), rng.integers(0, 8, n)] = 1
        np.savez(root / "BinarizedMNIST" / f"{split}.npz", images=images)
    return root


@pytest.fixture(scope="session")
def own_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets with the same bars as a set of one's own, "mine": 400 to train on, 100 to test on."""
    root = tmp_path_factory.mktemp("own")
    (root / "mine").mkdir()
    rng = np.random.default_rng(1)
    for split, n in (("train", 400), ("test", 100)):
        images = np.zeros((n, 8, 8), np.uint8)
        images[np.arange(n), rng.integers(0, 8, n)] = 255
        np.savez(root / "mine" / f"{split}.npz", images=images)
    return root


@pytest.fixture
def mrvae(tmp_path: Path) -> Run:
    """Runs the real command in a folder of its own."""

    def run(*arguments: object, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mrvae_zoo", *map(str, arguments)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def digits() -> list[Path]:
    """Ten real digits."""
    return sorted((CHECKOUT / "examples" / "digits").glob("*.png"))


@pytest.fixture(scope="session")
def default_model() -> MultiRateVAE:
    """The embedded model."""
    model = mrvae_zoo.load_pretrained(DEFAULT_MODEL)
    assert isinstance(model, MultiRateVAE)
    return model


def long_but(kinds: list[tuple[str, str]], *short: str) -> list[object]:
    """Parameters for all kinds, marked long but for the default gating of the architectures `short` (none: of all)."""
    quick = [kind for kind in DEFAULT_KINDS if not short or kind[0] in short]
    return [pytest.param(kind, id="-".join(kind), marks=() if kind in quick else pytest.mark.long) for kind in kinds]


def make_model(architecture: str, gating: str, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> MultiRateVAE:
    """A small model whose every parameter, those of the gates included, is away from its initial value."""
    torch.manual_seed(seed)
    model = mrvae_zoo.create_model(
        architecture, input_shape=SHAPES[architecture], latent_dim=6, gating=gating, **OPTIONS[architecture]
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.to(dtype).eval()


def make_images(model: MultiRateVAE | FixedRateVAE, n: int, *, seed: int = 1) -> torch.Tensor:
    """n random images as the model takes them."""
    generator = torch.Generator().manual_seed(seed)
    channels, *size = model.input_shape
    size = [any_size if side is None else side for side, any_size in zip(size, ANY_SIZE, strict=True)]
    return torch.rand(n, channels, *size, generator=generator).to(model.dtype)


def off_by(value: torch.Tensor, reference: torch.Tensor) -> float:
    """max |difference| / max |reference|."""
    value, reference = value.detach(), reference.detach()
    return float((value - reference).abs().max() / reference.abs().max())
