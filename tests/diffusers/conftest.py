"""Every test here is skipped where diffusers is missing."""

import importlib.util

import pytest
import torch

if importlib.util.find_spec("diffusers") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def autoencoder():
    from diffusers_small import make_autoencoder

    return make_autoencoder()


@pytest.fixture
def pictures():
    """Images (5, 3, 24, 32) in [-1, 1]."""
    return 2 * torch.rand(5, 3, 24, 32, generator=torch.Generator().manual_seed(1)) - 1
