"""Small autoencoders of diffusers with random weights, for the tests of `mrvae_zoo.diffusers`."""

import diffusers
import torch
from torch import nn


def make_autoencoder(**config) -> nn.Module:
    """An AutoencoderKL with 3 levels, away from its initial weights, and with something unusual in its config."""
    levels = len(config.get("block_out_channels", (8, 8, 16)))
    options = {
        "block_out_channels": (8, 8, 16),
        "norm_num_groups": 4,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "sample_size": 64,
        "scaling_factor": 0.7,
    }
    torch.manual_seed(0)
    autoencoder = diffusers.AutoencoderKL(**options | config)
    with torch.no_grad():
        for parameter in autoencoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return autoencoder.eval()


def opened(model: nn.Module) -> nn.Module:
    """The model with every gate away from the identity."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "gate" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model
