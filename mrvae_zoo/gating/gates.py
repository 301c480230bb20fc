"""The kinds of gate: from features of log β to the scale and shift of a layer's channels.

Gates are computed in float32 whatever the dtype of the model or of autocast (float64 in a float64 model).

Letters: B batch, C channels, K features of log β.

Source: Bae et al., "Multi-Rate VAE: Train Once, Get the Full Rate-Distortion Curve", ICLR 2023.
"""

import functools
import math

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.packed import Packed

Gates = tuple[Tensor, Tensor | None]


def legendre_basis(position: Tensor, degree: int) -> Tensor:
    """Compute the Legendre polynomials 1 to `degree`, orthonormal under the uniform distribution on [-1, 1].

    The first is the standardised position itself. The constant is left out, since a layer's own bias is one.

    Args:
        position: The positions, (...), within [-1, 1].
        degree: The highest degree, at least 1.

    Returns:
        The values of the polynomials, (..., degree).
    """
    polynomials = [torch.ones_like(position), position]
    for n in range(1, degree):
        polynomials.append(((2 * n + 1) * position * polynomials[n] - n * polynomials[n - 1]) / (n + 1))
    return torch.stack([math.sqrt(2 * n + 1) * polynomials[n] for n in range(1, degree + 1)], dim=-1)


def shrinkages(beta: Tensor, beta_range: tuple[float, float], count: int) -> Tensor:
    """Compute how much β shrinks signals of several strengths c, (β − β_min) / (β + c): 0 at β_min, near 1 far above c.

    The optimal linear VAE scales a latent of strength c by functions of β/c. The c are log-spaced, from one step above
    β_min up to β_max.

    Args:
        beta: The values of β, (...).
        beta_range: The range of β, (β_min, β_max).
        count: The number of strengths, at least 1.

    Returns:
        The shrinkages, (..., count).
    """
    low, high = beta_range
    strengths = [low * (high / low) ** (k / count) for k in range(1, count + 1)]
    above = beta - low
    return torch.stack([above / (beta + strength) for strength in strengths], dim=-1)


def open_root(exponent: Tensor) -> Tensor:
    """Compute sqrt(relu(1 − exp(·))), with gradient 0 where it is 0.

    The gradient of relu masks the infinite one of the root at 0. The clamp keeps exp from overflowing, which would make
    the gradient NaN.
    """
    return (1 - exponent.clamp(max=0).exp()).relu().sqrt()


class Gate(nn.Module):
    """A gate: features (K,) or (B, K) -> scale and shift, each (C,) or (B, C). The shift is None if there is none."""

    def forward(self, features: Tensor) -> Gates:
        """Return the scale and shift, at least in float32."""
        raise NotImplementedError


class AffineGate(Gate):
    """A gate with scale = 1 + Σ a_k φ_k and shift = Σ b_k φ_k over the first features φ; the identity at first.

    Without a shift, for a layer that has no bias to fold it into, `coefficients` holds only the a_k.
    """

    def __init__(self, channels: int, degree: int, *, shift: bool = True) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros(2 if shift else 1, degree, channels))
        self.number = 0  # its place in `Packed.values`

    def forward(self, features: Tensor | Packed) -> Gates:
        """Return the scale and shift; see `Gate`."""
        if isinstance(features, Packed):
            scale, *shift = features.values[self.number]
            return 1 + scale, shift[0] if shift else None
        coefficients = at_least_float32(self.coefficients)
        features = features[..., : coefficients.shape[1]].to(coefficients.dtype)
        if features.ndim == 1 and not torch.compiler.is_dynamo_compiling():
            scale, *shift = (features.unsqueeze(-1) * coefficients).sum(1).unbind()
            return 1 + scale, shift[0] if shift else None
        scale, *shift = coefficients.unbind()
        return weighted_sum(features, scale, 1.0), weighted_sum(features, shift[0]) if shift else None

    def takes(self, rows: Tensor, features: Tensor) -> bool:
        """Whether `overwrite` can be called: with rows (B, C) that have the dtype of everything else."""
        return rows.ndim == 2 and rows.dtype == features.dtype == self.coefficients.dtype

    def overwrite(self, rows: Tensor, features: Tensor) -> Tensor:
        """Return scale ⊙ rows + shift, written over `rows` (B, C); no tensor of that size holds the shift."""
        features = features[:, : self.coefficients.shape[1]]
        scale, *shift = self.coefficients.unbind()
        rows.mul_(weighted_sum(features, scale, 1.0))
        return rows.addmm_(features, shift[0]) if shift else rows


class SigmoidGate(Gate):
    """The published encoder gate, sigmoid(w·t + b), where t is the standardised log β.

    Args:
        channels: The number of channels C.
        opened: Whether the gate is 0.88 at every β at initialisation. Otherwise w and b are drawn as those of
            `nn.Linear(1, C)`, uniformly in ±1.
        factor: A constant that multiplies the gate.
    """

    def __init__(self, channels: int, *, opened: bool = False, factor: float = 1.0) -> None:
        super().__init__()
        self.weight, self.bias = initial_exponent(channels, 2.0 if opened else None)
        self.factor = factor

    def forward(self, features: Tensor) -> Gates:
        """Return the scale; see `Gate`."""
        scale = torch.sigmoid(affine_exponent(self, features))
        return scale if self.factor == 1.0 else self.factor * scale, None


class RootGate(Gate):
    """The published decoder gate, sqrt(relu(1 − exp(w·t + b))), where t is the standardised log β.

    Args:
        channels: The number of channels C.
        opened: Whether the gate is 0.93 at every β at initialisation. Otherwise w and b are drawn as those of
            `nn.Linear(1, C)`. At a given β, half of the gates are then exactly 0 and have no gradient.
    """

    def __init__(self, channels: int, *, opened: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = initial_exponent(channels, -2.0 if opened else None)

    def forward(self, features: Tensor) -> Gates:
        """Return the scale; see `Gate`."""
        return open_root(affine_exponent(self, features)), None


def initial_exponent(channels: int, constant: float | None) -> tuple[nn.Parameter, nn.Parameter]:
    """Return initial w and b, each (C,): 0 and a constant, or both uniform in ±1, as in `nn.Linear(1, C)`."""
    if constant is None:
        return nn.Parameter(torch.empty(channels).uniform_(-1, 1)), nn.Parameter(torch.empty(channels).uniform_(-1, 1))
    return nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.full((channels,), constant))


def affine_exponent(gate: SigmoidGate | RootGate, features: Tensor) -> Tensor:
    """Return w·t + b of the published gates: (C,) or (B, C)."""
    return features * at_least_float32(gate.weight) + at_least_float32(gate.bias)


class ChannelGate(Gate):
    """The effect of one more input channel that holds t, the standardised log β, on a layer: scale 1, shift t·Σw.

    In a convolution that channel is padded with its own value, where others are padded with zeros. It therefore adds
    the same at every place and folds exactly into the bias. The sum is over the kernel.
    """

    def __init__(self, channels: int, seen: tuple[int, ...]) -> None:
        """Make the gate of a layer whose output channels each see `seen` inputs: (inputs, *kernel).

        The weights are initialised as torch initialises those of an (inputs + 1)-th channel: uniform in
        ±1/sqrt(fan-in).
        """
        super().__init__()
        inputs, *kernel = seen
        bound = 1 / math.sqrt((inputs + 1) * math.prod(kernel))
        self.weight = nn.Parameter(torch.empty(channels, *kernel).uniform_(-bound, bound))

    def forward(self, features: Tensor) -> Gates:
        """Return the scale and shift; see `Gate`."""
        weight = at_least_float32(self.weight).reshape(len(self.weight), -1).sum(1)
        return torch.ones_like(weight), features * weight


class ThresholdGate(Gate):
    """The gate sqrt(relu(1 − exp(a + log β))) of the optimal linear VAE's latents: closed from β = exp(−a) upwards.

    The last feature is log β.

    Args:
        channels: The number of channels C.
        beta_max: The highest β.
        spread: Whether the j-th channel, j = 1 ... C, is closed from 4 β_max / j upwards at initialisation. Few
            channels are then open at β_max, and more at lower β. Otherwise all are open at every β.
    """

    def __init__(self, channels: int, *, beta_max: float, spread: bool = False) -> None:
        super().__init__()
        closing = 4 * beta_max / torch.arange(1, channels + 1) if spread else torch.full((channels,), 2 * beta_max)
        self.offset = nn.Parameter(-closing.log())

    def forward(self, features: Tensor) -> Gates:
        """Return the scale; see `Gate`."""
        return open_root(features[..., -1:] + at_least_float32(self.offset)), None


def weighted_sum(weights: Tensor, parts: Tensor, start: float | Tensor = 0.0) -> Tensor:
    """Compute start + Σ_k weights_k · parts_k: (K,) or (B, K), and (K, C) -> (C,) or (B, C), `start` broadcast to it.

    The dtype is that of the arguments, even under autocast.

    A compiler gets a sum of products, since it fuses pointwise operations into what follows the layer and computes them
    again for the backward pass. It would store the result of a matrix product instead, which is as large as the
    activations of a Linear.
    """
    start = start if isinstance(start, Tensor) else weights.new_full((1,), start)
    if torch.compiler.is_dynamo_compiling():
        terms = zip(weights.unbind(-1), parts.unbind(), strict=True)
        return functools.reduce(torch.add, [weight.unsqueeze(-1) * part for weight, part in terms], start)
    if torch.is_autocast_enabled(parts.device.type):
        with torch.autocast(parts.device.type, enabled=False):  # only if needed: an exported graph would keep it
            return weighted_sum(weights, parts, start)
    if weights.ndim == 1:
        return torch.addmm(start, weights.unsqueeze(0), parts).squeeze(0)
    return torch.addmm(start, weights, parts)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Compute the matrix product a @ b in the dtype of the arguments, even under autocast."""
    if torch.is_autocast_enabled(a.device.type):
        with torch.autocast(a.device.type, enabled=False):  # only if needed: an exported graph would keep it
            return a @ b
    return a @ b


def at_least_float32(parameter: Tensor) -> Tensor:
    """Return `parameter` itself, or a float32 copy if it is stored in half precision."""
    return parameter if parameter.dtype in (torch.float32, torch.float64) else parameter.float()


class LatentGate(Gate):
    """The gate of a layer that encodes Z latents, (mean, log σ²). Scale and shift are both 0 where a latent is closed.

    Args:
        inner: The gate of the 2Z channels.
        threshold: The gate of the Z latents, without a shift.
    """

    def __init__(self, inner: Gate, threshold: Gate) -> None:
        super().__init__()
        self.inner, self.threshold = inner, threshold

    def forward(self, features: Tensor) -> Gates:
        """Return the scale and shift; see `Gate`."""
        scale, shift = self.inner(features)
        opening, _ = self.threshold(features)
        opening = torch.cat([opening, opening], dim=-1)
        return scale * opening, None if shift is None else shift * opening
