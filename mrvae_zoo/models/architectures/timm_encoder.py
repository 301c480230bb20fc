"""mrvae_timm: the encoder is any timm backbone that outputs features, with its code unchanged; the decoder is an MLP.

    x (B, C, H, W) ─backbone, gated─► (B, K) ─head, gated─► (B, 2Z) ─► mean, log σ² (B, Z)
    z (B, Z) ─► widths ... ─► (B, C·H·W) ─unflatten─► logits or mean (B, C, H, W)

Letters: B batch, C, H, W image, K features of the backbone, Z latents.
"""

import math
from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import Tensor, nn

from mrvae_zoo.errors import nearest
from mrvae_zoo.gating.base import Gating
from mrvae_zoo.gating.gated_module import GatedModule
from mrvae_zoo.gating.layers import call
from mrvae_zoo.gating.module import gate_with
from mrvae_zoo.models.architectures.blocks import Activation
from mrvae_zoo.models.architectures.mlp import MLPDecoder, perceptron


class TimmEncoder(nn.Module):
    """An encoder: x (B, C, H, W) and the features of β -> mean, log σ², each (B, Z)."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mean and log-variance of the posterior."""
        if isinstance(self.backbone, GatedModule):
            assert features is not None
            y = self.backbone.with_features(features, x)
        else:
            y = self.backbone(x)
        mean, log_var = call(self.head, y, features).chunk(2, dim=-1)
        return mean, log_var


def build(
    input_shape: tuple[int, int, int],
    latent_dim: int,
    gating: Gating,
    *,
    backbone: str = "resnet18",
    pretrained_backbone: bool = False,
    ungated: tuple[str, ...] = (),
    widths: tuple[int, ...] = (512, 512),
    activation: Activation = "silu",
) -> tuple[TimmEncoder, MLPDecoder]:
    """Build the encoder and the decoder.

    Args:
        input_shape: The shape (C, H, W) of an image, of a size that the backbone takes.
        latent_dim: The number of latents, Z.
        gating: The gating of the backbone's layers (as `mrvae_zoo.gate` chooses them), the head and the decoder.
        backbone: The name of a timm model, with or without a tag: "resnet18", "convnext_tiny", "vit_tiny_patch16_224"
            ... Any that outputs features will do.
        pretrained_backbone: Whether to start from timm's weights, which are downloaded if missing. A checkpoint of the
            zoo brings its own, so loading one downloads nothing.
        ungated: The names of the backbone's layers to leave plain (fnmatch), for those that cannot be gated.
        widths: The hidden widths of the decoder, from the latents to the image.
        activation: The activation of the decoder.

    Raises:
        ValueError: There is no such backbone, it does not output features (B, K) at this size, or one of its layers
            cannot be gated with one β per example; the message names it.
    """
    if not widths or min(widths) < 1:
        raise ValueError(f"widths={widths} should hold at least one width, each at least 1")
    network, size = make_backbone(backbone, input_shape, pretrained=pretrained_backbone)
    if gating.gates:
        network = gate_backbone(network, backbone, gating, input_shape, ungated)
    encoder = TimmEncoder(network, gating.latent_writer(size, latent_dim))
    decoder = perceptron((latent_dim, *widths, math.prod(input_shape)), gating, "decoder", activation)
    return encoder, MLPDecoder(decoder, input_shape)


def make_backbone(name: str, input_shape: tuple[int, int, int], *, pretrained: bool) -> tuple[nn.Module, int]:
    """Return the timm model without its classifier, for images of this shape, and K, the number of its features.

    Under `torch.device("meta")` it takes no memory for weights, and none are downloaded, because a checkpoint brings
    them. Buffers that are not persistent are in no checkpoint. They are then computed on the CPU, with a model that is
    discarded.
    """
    if not timm.is_model(name):  # which also keeps out the addresses that create_model takes beside names
        raise ValueError(f"backbone={name!r} is not a model of timm; {nearest(name, timm.list_models())}")
    channels, *image = input_shape
    options: dict[str, Any] = {"num_classes": 0, "in_chans": channels}
    config = _ask_timm(name, lambda: timm.get_pretrained_cfg(name))
    if config is not None and config.fixed_input_size:
        options["img_size"] = tuple(image)
    network: nn.Module = _ask_timm(
        name, lambda: timm.create_model(name, pretrained=pretrained and not on_meta(), **options)
    )
    unsaved = unsaved_buffers(network)
    if not on_meta() or not unsaved:
        return network, feature_size(network, name, input_shape)
    with torch.random.fork_rng(devices=()), torch.device("cpu"):
        computed: nn.Module = _ask_timm(name, lambda: timm.create_model(name, **options))
        size = feature_size(computed, name, input_shape)
    values = unsaved_buffers(computed)
    for buffer in unsaved:
        parent, _, leaf = buffer.rpartition(".")
        setattr(network.get_submodule(parent), leaf, values[buffer])
    return network, size


def _ask_timm(name: str, function: Callable[[], Any]) -> Any:
    """Return the result of a timm function; any error becomes a ValueError that names the backbone."""
    try:
        return function()
    except Exception as error:  # each family of timm has errors of its own, and so has a download
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"backbone={name!r} cannot be made by timm: {reason}") from error


def unsaved_buffers(network: nn.Module) -> dict[str, Tensor]:
    """Return the buffers that are not part of the state dict, by name."""
    saved = network.state_dict()
    return {name: buffer for name, buffer in network.named_buffers() if name not in saved}


def on_meta() -> bool:
    """Whether modules are being created without memory."""
    return torch.empty(0).is_meta


def feature_size(network: nn.Module, name: str, input_shape: tuple[int, int, int]) -> int:
    """Return K, the number of features that the backbone outputs for an image.

    Raises:
        ValueError: The backbone fails at this size, or does not output features (B, K).
    """
    training = network.training
    with torch.no_grad():
        try:
            output = network.eval()(torch.zeros(2, *input_shape))
        except (RuntimeError, ValueError, AssertionError) as error:
            reason = (str(error).splitlines() or ["it fails"])[0]
            raise ValueError(f"backbone={name!r} does not take images {input_shape}: {reason}") from error
    network.train(training)
    if not isinstance(output, Tensor) or output.ndim != 2:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"backbone={name!r} gives {shape}; it should give features (B, K)")
    return output.shape[1]


def gate_backbone(
    network: nn.Module, name: str, gating: Gating, input_shape: tuple[int, int, int], ungated: tuple[str, ...]
) -> GatedModule:
    """Return the backbone with gated layers, after checking that it takes one β per example, as training does.

    Raises:
        ValueError: A layer cannot be gated; the message names it.
    """
    try:
        gated = gate_with(gating, network, exclude=ungated)
        if on_meta():
            gated.verified = True  # when the model was made that the checkpoint is of
            return gated
        beta = torch.full((2,), math.sqrt(math.prod(gating.beta_range)))
        with torch.no_grad():
            gated.eval().with_features(gating.features(beta), torch.zeros(2, *input_shape))
        gated.train(network.training)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"backbone={name!r}: {str(error).replace('exclude=', 'ungated=')}") from error
    return gated
