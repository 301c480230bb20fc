"""Tests of what only a GPU can show. MRVAE_GPU_TESTS=cpu runs them on a CPU, which tries the tests themselves."""

import os

import pytest
import torch


@pytest.fixture(scope="session")
def device() -> str:
    """The device to test: "cuda", or a skip."""
    name = os.environ.get("MRVAE_GPU_TESTS", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    return name


@pytest.fixture(autouse=True)
def exact(device):
    """No TF32 where a test compares numbers."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]
