"""The gatings of the zoo, one class each.

    none       plain layers: a β-VAE that is trained for one β.
    paper      the published gates on hidden pre-activations, initialised as in the authors' code.
    paper_2022 the same in the form of the experiments of the paper.
    paper_open the published gates, but open at every β at initialisation.
    affine     scale and shift, each a polynomial of log β, on hidden pre-activations, on μ, log σ² and the output.
    shrinkage  scale and shift of the same layers, each a sum of `shrinkages` of β; what mixes the latents moves too.
    concat     a network without gates that receives log β as one more input channel, for comparison.
    linear     the response of the optimal linear VAE, for `mrvae_linear`.

To add a gating, write a class here and enter it in `mrvae_zoo.models.gating_table`. A plug-in names its class in an
entry point `gating.NAME`.

Letters: B batch, C channels of the layer's output, K features of log β, Z latents.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.base import Gating, Place
from mrvae_zoo.gating.blended import BlendedConv2d, BlendedLinear
from mrvae_zoo.gating.gates import (
    AffineGate,
    ChannelGate,
    Gate,
    LatentGate,
    RootGate,
    SigmoidGate,
    ThresholdGate,
    legendre_basis,
    shrinkages,
)
from mrvae_zoo.gating.log_variance import LogVariance, ThresholdLogVariance
from mrvae_zoo.gating.mixing import MixedReader, MixedReader2d, MixedWriter, MixedWriter2d


def polynomials(beta: Tensor, beta_range: tuple[float, float], degree: int) -> Tensor:
    """Compute the orthonormal Legendre polynomials of log β up to `degree`: β (...) -> (..., degree).

    The first is log β, standardised to mean 0 and variance 1 under the log-uniform distribution on the range.
    """
    low, high = (math.log(end) for end in beta_range)
    position = (beta.log() - (low + high) / 2) / ((high - low) / 2)
    return legendre_basis(position, degree)


@dataclass(frozen=True, kw_only=True)
class NoGating(Gating):
    """Plain layers, which β does not reach."""

    name: ClassVar[str] = "none"
    gates: ClassVar[bool] = False

    def features(self, beta: Tensor) -> Tensor:
        """Return no features; see `Gating`."""
        return beta.new_zeros(*beta.shape, 0)

    def gate(self, place: Place) -> Gate | None:
        """Return None; see `Gating`."""
        del place
        return None


@dataclass(frozen=True, kw_only=True)
class PaperGating(Gating):
    """The published gates: scales in [0, 1] on hidden pre-activations, from the standardised log β.

    Which layers have gates, and how they are initialised, is as in the code that the authors released: every layer with
    an activation behind it, and both convolutions of a residual block. Mean, log σ² and the output have none, nor has a
    first layer of the decoder without an activation.

    Source: Bae et al. (2023), equation 7; github.com/pomonam/mr-vae.
    """

    name: ClassVar[str] = "paper"

    def features(self, beta: Tensor) -> Tensor:
        """Return the standardised log β; see `Gating`."""
        return polynomials(beta, self.beta_range, 1)

    def gate(self, place: Place) -> Gate | None:
        """Return the gate at a place; see `Gating`."""
        if place.head:
            return None
        return SigmoidGate(place.channels) if place.side == "encoder" else RootGate(place.channels)

    def latent_projection(self, latents: int, outputs: int) -> nn.Linear:
        """Make a layer without a gate; see `Gating`."""
        return nn.Linear(latents, outputs)


@dataclass(frozen=True, kw_only=True)
class OpenPaperGating(PaperGating):
    """The published gates, but open at every β at initialisation, so that every one of them has a gradient.

    In short trainings this is better than the initialisation of the authors.
    """

    name: ClassVar[str] = "paper_open"

    def gate(self, place: Place) -> Gate | None:
        """Return the gate at a place; see `Gating`."""
        if place.head:
            return None
        gate = SigmoidGate if place.side == "encoder" else RootGate
        return gate(place.channels, opened=True)


@dataclass(frozen=True, kw_only=True)
class Paper2022Gating(PaperGating):
    """The published gates as in the experiments of the paper (2022): behind the ReLU, and twice a sigmoid.

    The gates of the encoder are 2·sigmoid(w·t + b), and the layers at the latents have none at all. Gates are not
    negative, so a gate behind a ReLU equals one on the pre-activation, which is where it is here. With another
    activation the two differ. In a residual block the authors gated the activated sum; here the branch that is added
    is gated, because that folds into a plain network.

    Source: the history of github.com/pomonam/mr-vae, 2022.
    """

    name: ClassVar[str] = "paper_2022"

    def gate(self, place: Place) -> Gate | None:
        """Return the gate at a place; see `Gating`."""
        if place.head:
            return None
        return SigmoidGate(place.channels, factor=2.0) if place.side == "encoder" else RootGate(place.channels)

    def latent_reader(self, latents: int, outputs: int) -> nn.Linear:
        """Make a layer without a gate; see `Gating`."""
        return nn.Linear(latents, outputs)

    def latent_reader2d(self, latents: int, outputs: int, kernel_size: int) -> nn.Conv2d:
        """Make a layer without a gate; see `Gating`."""
        return nn.Conv2d(latents, outputs, kernel_size, padding=kernel_size // 2)


@dataclass(frozen=True, kw_only=True)
class AffineGating(Gating):
    """Scale and shift of every layer, each a polynomial of log β of degree `degree`."""

    name: ClassVar[str] = "affine"

    def features(self, beta: Tensor) -> Tensor:
        """Return the orthonormal polynomials of log β; see `Gating`."""
        return polynomials(beta, self.beta_range, self.degree)

    def gate(self, place: Place) -> AffineGate:
        """Return the gate at a place; see `Gating`."""
        return AffineGate(place.channels, self.degree, shift=place.shift)

    def describe(self) -> str:
        """Return a description in Markdown; see `Gating`."""
        return f"`{self.name}` of degree {self.degree}"


@dataclass(frozen=True, kw_only=True)
class ShrinkageGating(AffineGating):
    """Scale and shift of every layer, each a sum of `degree` shrinkages of β, with more at the latents.

    The shrinkages are 0 at β_min, where the weights act alone. A matrix that moves with β mixes the latents where they
    are written and where they are read (see `mrvae_zoo.gating.mixing`); if `moves` is "weights", the whole weights of
    these layers move (see `mrvae_zoo.gating.blended`). Each latent has a β above which it is closed: its mean and
    log-variance are 0, so it costs no rate, and the decoder does not see its noise. The optimal linear VAE does the
    same (see `mrvae_zoo.models.architectures.linear`).
    """

    name: ClassVar[str] = "shrinkage"

    def features(self, beta: Tensor) -> Tensor:
        """Return the shrinkages, then log β; see `Gating`."""
        return torch.cat([shrinkages(beta, self.beta_range, self.degree), beta.log().unsqueeze(-1)], dim=-1)

    def describe(self) -> str:
        """Return a description in Markdown; see `Gating`."""
        return f"`{self.name}` of {self.degree} strengths"

    def latent_writer(self, inputs: int, latents: int) -> nn.Linear:
        """Make the last layer of an encoder; see `Gating`."""
        gate = self._writing_gate(latents)
        if self.moves == "latents":
            return MixedWriter(inputs, 2 * latents, parts=self.degree, gate=gate)
        return BlendedLinear(inputs, 2 * latents, blends=self.degree, gate=gate)

    def latent_reader(self, latents: int, outputs: int) -> nn.Linear:
        """Make the first layer of a decoder; see `Gating`."""
        gate, threshold = self.gate(Place(outputs, "decoder")), self._threshold(latents)
        if self.moves == "latents":
            return MixedReader(latents, outputs, parts=self.degree, gate=gate, input_gate=threshold)
        return BlendedLinear(latents, outputs, blends=self.degree, gate=gate, input_gate=threshold)

    def latent_writer2d(self, inputs: int, latents: int) -> nn.Conv2d:
        """Make the last layer of a spatial encoder; see `Gating`."""
        gate = self._writing_gate(latents)
        if self.moves == "latents":
            return MixedWriter2d(inputs, 2 * latents, 1, parts=self.degree, gate=gate)
        return BlendedConv2d(inputs, 2 * latents, 1, blends=self.degree, gate=gate)

    def latent_reader2d(self, latents: int, outputs: int, kernel_size: int) -> nn.Conv2d:
        """Make the first layer of a spatial decoder; see `Gating`."""
        gate, threshold, padding = self.gate(Place(outputs, "decoder")), self._threshold(latents), kernel_size // 2
        if self.moves == "latents":
            return MixedReader2d(
                latents, outputs, kernel_size, parts=self.degree, gate=gate, input_gate=threshold, padding=padding
            )
        return BlendedConv2d(
            latents, outputs, kernel_size, blends=self.degree, gate=gate, input_gate=threshold, padding=padding
        )

    def _writing_gate(self, latents: int) -> LatentGate:
        """Make the gate of 2Z channels, mean and log σ²."""
        return LatentGate(self.gate(Place(2 * latents, "encoder", head=True)), self._threshold(latents))

    def _threshold(self, latents: int) -> ThresholdGate:
        return ThresholdGate(latents, beta_max=self.beta_range[1], spread=True)


@dataclass(frozen=True, kw_only=True)
class ConcatGating(Gating):
    """One more input channel that holds the standardised log β, in the first layer of the encoder and of the decoder.

    If a norm follows that layer, the channel is added to the norm, which would remove anything added before it.
    """

    name: ClassVar[str] = "concat"

    def features(self, beta: Tensor) -> Tensor:
        """Return the standardised log β; see `Gating`."""
        return polynomials(beta, self.beta_range, 1)

    def gate(self, place: Place) -> Gate | None:
        """Return the gate at a place; see `Gating`."""
        return None if place.seen is None else ChannelGate(place.channels, place.seen)


@dataclass(frozen=True, kw_only=True)
class LinearGating(Gating):
    """The exact response of the optimal linear VAE; see `mrvae_zoo.models.architectures.linear`."""

    name: ClassVar[str] = "linear"

    def features(self, beta: Tensor) -> Tensor:
        """Return log β; see `Gating`."""
        return beta.log().unsqueeze(-1)

    def gate(self, place: Place) -> Gate | None:
        """Return the gate at a place; see `Gating`."""
        return ThresholdGate(place.channels, beta_max=self.beta_range[1])

    def log_variance(self, latents: int) -> LogVariance:
        """Make the log σ² of an encoder; see `Gating`."""
        return ThresholdLogVariance(latents, beta_max=self.beta_range[1])
