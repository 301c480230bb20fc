"""The network of a model: what it computes, how its inputs are checked, and how it is compiled.

Letters: B batch, C, H, W image, Z latents. Rates and distortions are in nats per example.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from mrvae_zoo.gating.beta import TOLERANCE, values_can_be_read
from mrvae_zoo.gating.packed import Packed
from mrvae_zoo.gating.packing import find_gates, is_worth_packing, pack
from mrvae_zoo.models.config import SPATIAL_STRIDE, ModelConfig
from mrvae_zoo.models.gating_table import make_gating
from mrvae_zoo.models.likelihoods import make_likelihood
from mrvae_zoo.models.posterior import Posterior, readable_mean, standard_normal

logger = logging.getLogger(__name__)

COMPILED = ("_call", "_encode", "_decode")
CUDA_GRAPH_MODES = ("reduce-overhead", "max-autotune")
# Beyond these one odd example overflows: in training the loss of the whole batch, in half precision its own output. An
# image like those of the training stays far within them.
LOG_VAR_RANGE = (-30.0, 10.0)
LATENT_RANGE = (-100.0, 100.0)  # standard deviations of the prior
UNLIKE = 50.0  # standard deviations of the prior: no training image lies beyond

P = ParamSpec("P")
R = TypeVar("R")


class VAEOutput(NamedTuple):
    """The result of a forward pass.

    Attributes:
        reconstruction: The mean of p(x|z), (B, C, H, W), clamped to the data range.
        posterior: The posterior q(z|x).
        z: The latents, (B, Z): a draw from the posterior, or its mean.
        rate: The rate KL(q(z|x) ‖ p(z)) of each example, (B,) nats, at least float32.
        distortion: The distortion −log p(x|z) of each example, (B,) nats, at least float32. It uses the unclamped mean.
    """

    reconstruction: Tensor
    posterior: Posterior
    z: Tensor
    rate: Tensor
    distortion: Tensor

    def __repr__(self) -> str:
        """Return the shape of the images, and the mean rate and distortion."""
        means = _mean_of("rate", self.rate) + _mean_of("distortion", self.distortion)
        return f"VAEOutput(images {tuple(self.reconstruction.shape)}, z {tuple(self.z.shape)}{means})"


class Network(nn.Module):
    """An encoder and a decoder, what they compute, and the checks of their inputs. Holds no state between calls.

    Args:
        config: The description of the model: its architecture, sizes and range of β.
        encoder: The encoder network, called as `encoder(x, features) -> (mean, log_var)`, each (B, Z). An attribute
            `stride` says how many pixels a place of a spatial model has, if not 8.
        decoder: The decoder network, called as `decoder(z, features)`. It returns logits or the mean, (B, C, H, W).
    """

    def __init__(self, config: ModelConfig, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.decoder = decoder
        self.gating = make_gating(config)
        self._likelihood = make_likelihood(config)
        self._gates = find_gates(encoder, decoder)
        self._told = False  # whether the warning about images unlike the training images was given

    @property
    def beta_range(self) -> tuple[float, float]:
        """The range (β_min, β_max) that the model was trained for."""
        return self.config.beta_range

    @property
    def input_shape(self) -> tuple[int, int | None, int | None]:
        """The shape (C, H, W) of an input image, or (C, None, None) if the model takes any size."""
        return self.config.input_shape

    @property
    def latent_dim(self) -> int:
        """The number of latents, Z."""
        return self.config.latent_dim

    @property
    def likelihood(self) -> str:
        """The name of the likelihood p(x|z): "bernoulli" or "gaussian"."""
        return self.config.likelihood

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    @property
    def stride(self) -> int:
        """The pixels of an image, each way, for one place of the latents of a spatial model."""
        return int(getattr(self.encoder, "stride", SPATIAL_STRIDE))

    def latent_shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        """Return the shape of z for an image of `size` (H, W): (Z,), or (Z, h, w) for a spatial model."""
        places = (-(-side // self.stride) for side in size) if self.config.spatial else ()
        return (self.latent_dim, *places)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the call, `encode` and `decode` in place.

        The arguments are those of `torch.compile`; fullgraph is True unless it is given. Checks of the input and draws
        from a `generator` stay outside the graphs. Copies of the model are not compiled. With CUDA graphs
        (mode="reduce-overhead" or "max-autotune"), outputs are copied out of the memory that the next call overwrites.
        """
        options = {"fullgraph": True, **options}
        reused = options.get("mode") in CUDA_GRAPH_MODES
        for name in COMPILED:
            compiled = torch.compile(getattr(type(self), name).__get__(self), *args, **options)
            setattr(self, name, _with_outputs_of_its_own(compiled) if reused else compiled)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out compiled functions: they are bound to this model, and a copy would keep calling it."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        return {key: value for key, value in state.items() if key not in COMPILED}

    # What is compiled: functions of checked tensors. β is () or (B,), and None in a model without gates.

    def _call(self, x: Tensor, beta: Tensor | None, noise: Tensor | None) -> VAEOutput:
        features = self._response(beta)
        posterior = self._posterior(x, features)
        z = posterior.mode() if noise is None else posterior.displaced(noise)
        output = self.decoder(z.clamp(*LATENT_RANGE), features)
        if self.config.spatial:
            output = crop(output, (x.shape[-2], x.shape[-1]))  # cut off the padding
        distortion = self._likelihood.distortion(output, x)
        return VAEOutput(self._likelihood.mean(output), posterior, z, posterior.kl(), distortion)

    def _encode(self, x: Tensor, beta: Tensor | None) -> Posterior:
        return self._posterior(x, self._response(beta))

    def _decode(self, z: Tensor, beta: Tensor | None) -> Tensor:
        return self._likelihood.mean(self.decoder(z.to(self.dtype).clamp(*LATENT_RANGE), self._response(beta)))

    def _response(self, beta: Tensor | None) -> Tensor | Packed | None:
        if beta is None:
            return None
        features = self.gating.features(beta)
        packed = self.training and features.ndim > 1 and self._gates and is_worth_packing(features)
        return pack(features, self._gates) if packed else features

    def _posterior(self, x: Tensor, features: Tensor | Packed | None) -> Posterior:
        x = pad_to_stride(x, self.stride) if self.config.spatial else x
        mean, log_var = self.encoder(x.to(self.dtype), features)
        return Posterior(mean, log_var.clamp(*LOG_VAR_RANGE))

    def _forward(
        self,
        x: Tensor,
        beta: Tensor | None,
        *,
        sample: bool,
        generator: torch.Generator | None,
        noise: Tensor | None,
    ) -> VAEOutput:
        """Draw the noise of z outside of the compiled graphs, since no compiler takes a generator into them."""
        shape = (x.shape[0], *self.latent_shape((x.shape[2], x.shape[3])))
        if noise is None:
            noise = standard_normal(shape, like=next(self.parameters()), generator=generator) if sample else None
        elif not sample or generator is not None:
            raise ValueError("noise= is what z is drawn with; leave out sample= and generator=")
        elif noise.shape != shape:
            raise ValueError(f"noise has shape {tuple(noise.shape)}; for this x it is {shape}")
        output = self._call(x, beta, noise)
        self._tell_if_unlike(output.posterior)
        return output

    def _tell_if_unlike(self, posterior: Posterior) -> None:
        """Warn once if an image is unlike any training image; skipped where reading values would make a GPU wait."""
        mean = posterior.mean.detach()
        if self.training or self._told or not values_can_be_read(mean) or mean.numel() == 0:
            return
        farthest = mean.abs().max().item()
        if farthest > UNLIKE:
            self._told = True
            logger.warning(
                "x holds an image unlike those that this model was trained on (a latent %.3g standard deviations from "
                "the prior): its rate and distortion say little; are its values inverted, or scaled in another way?",
                farthest,
            )

    def _check_x(self, x: Tensor) -> None:
        """Check shape and dtype always, and values only where reading them does not make a GPU or a compiler wait."""
        if not isinstance(x, Tensor):
            raise ValueError(f"x is a {type(x).__name__}; pass a tensor, for example model.preprocess(images)")
        wanted = zip(x.shape[1:], self.input_shape, strict=False)
        if x.ndim != 4 or 0 in x.shape[1:] or any(want not in (None, size) for size, want in wanted):
            expected = ", ".join("any" if size is None else str(size) for size in self.input_shape)
            raise ValueError(f"x has shape {tuple(x.shape)}; this model takes (B, {expected})")
        if not x.is_floating_point():
            raise ValueError(f"x is {x.dtype}; pass floats, for example model.preprocess(images) or x / 255")
        if self.config.data_range is None or not values_can_be_read(x) or x.numel() == 0:
            return
        low, high = self.config.data_range
        smallest, largest = (end.item() for end in x.detach().aminmax())
        if not (smallest >= low - TOLERANCE and largest <= high + TOLERANCE):
            raise ValueError(
                f"x lies in [{smallest:g}, {largest:g}]; this model takes values in [{low:g}, {high:g}], "
                "for example model.preprocess(images)"
            )

    def _check_z(self, z: Tensor) -> None:
        if isinstance(z, Posterior):
            raise ValueError("z is a Posterior; pass a draw from it, posterior.sample(), or its mean, posterior.mode()")
        ndim = 4 if self.config.spatial else 2
        if not isinstance(z, Tensor) or z.ndim != ndim or z.shape[1] != self.latent_dim:
            shape = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
            expected = f"(B, {self.latent_dim}, h, w)" if self.config.spatial else f"(B, {self.latent_dim})"
            raise ValueError(f"z is {shape}; this model takes a tensor {expected}")

    def _check_draws(self, n: int, size: tuple[int, int] | None) -> None:
        """Raise a ValueError if the model cannot draw `n` images of this size."""
        if n < 1:
            raise ValueError(f"n={n} should be at least 1")
        if (size is not None) != self.config.spatial:
            expected = "say how large, size=(H, W) (--size HEIGHT WIDTH)" if self.config.spatial else "leave it out"
            kind = "takes images of any size" if self.config.spatial else "has a size of its own"
            raise ValueError(f"size={size}: this model {kind}; {expected}")
        if size is not None and min(size) < 1:
            raise ValueError(f"size={size} should be (H, W), each at least 1")

    def _prior(self, n: int, size: tuple[int, int] | None, generator: torch.Generator | None) -> Tensor:
        """Draw from the prior for `n` images of this size: (n, Z), or (n, Z, h, w)."""
        shape = (self.latent_dim,) if size is None else self.latent_shape(size)
        return standard_normal((n, *shape), like=next(self.parameters()), generator=generator)


def _mean_of(name: str, nats: Tensor) -> str:
    mean = readable_mean(nats)
    return "" if mean is None else f", mean {name} {mean:.4g} nats"


def pad_to_stride(x: Tensor, stride: int) -> Tensor:
    """Pad images (B, C, H, W) to the next multiple of the stride by repeating their last row and column."""
    down, right = (-side % stride for side in x.shape[-2:])
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x


def crop(x: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Return the upper left part of `x` of this size, or all of `x` if the size is None."""
    return x if size is None else x[..., : size[0], : size[1]]


def _with_outputs_of_its_own(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function compiled with CUDA graphs return copies, since the next call overwrites its outputs."""

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        torch.compiler.cudagraph_mark_step_begin()
        output: R = pytree.tree_map_only(Tensor, torch.clone, function(*args, **kwargs))
        return output

    return call
