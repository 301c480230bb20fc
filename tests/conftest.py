"""Fixtures that tests share: where the real data is, how the real command is run, the embedded model."""

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command import run_command
from helpers import CHECKOUT, DEFAULT_MODEL, Run

import mrvae_zoo
from mrvae_zoo import MultiRateVAE

pytest_plugins = ["fake_hub.fixtures"]

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell leaves it for what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # children of ours should have it, some are interrupted


os.environ["MRVAE_CACHE"] = ""  # no test reads or writes the cache of whoever runs it


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
        return run_command([*map(str, arguments)], cwd)

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
