"""ModelConfig: everything that is needed to build a model, as stored in config.json."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor


LikelihoodName = Literal["bernoulli", "gaussian"]

MAX_GATING_DEGREE = 16
NARROWEST = 1.0001  # β_max / β_min
UNIT = (0.0, 1.0)
LARGEST_VALUE = 10.0  # the largest magnitude of a value of an image
SPATIAL_STRIDE = 8  # pixels of an image, each way, for one place of the latents, where an encoder says nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The description of a model, checked when it is created.

    In a recipe these are the keys of the table [model], except beta and arguments: the architecture's own arguments are
    keys of the table themselves.

    Attributes:
        architecture: The name of a registered architecture, for example "mrvae_mlp".
        input_shape: The shape (C, H, W) of an image. A spatial model takes images of any size: (C, None, None), or [C,
            "any", "any"] in a recipe.
        latent_dim: The number of latents, Z. A spatial model has that many at each of its places, H/8 × W/8 of them as
            a rule (`model.stride` says how many pixels a place has).
        beta_range: The smallest and the largest β of the model, both inclusive.
        likelihood: The likelihood p(x|z): "bernoulli" or "gaussian".
        sigma: The standard deviation of the Gaussian likelihood; None for Bernoulli. A Gaussian recipe without it gets
            √½, so that D is the sum of squared errors.
        data_range: The smallest and the largest value that x may hold; black and white are mapped to them. None allows
            any value, and images stay in [0, 1] (Gaussian only).
        gating: The name of the gating: how β reaches the network (see `mrvae_zoo.gating.kinds`).
        gating_degree: The degree of the polynomial of log β for the gating "affine", or the number of shrinkages for
            "shrinkage".
        gating_moves: What moves with β at the latents under the gating "shrinkage": "latents", a matrix as large as the
            latents are many, which mixes them; or "weights", the whole weight of the layers that write and read the
            latents, which takes more parameters and operations.
        arguments: The architecture's own arguments, by name.
        beta: The β whose gates were folded into the weights (`model.at(beta)`); None for a Multi-Rate VAE.
    """

    architecture: str
    input_shape: tuple[int, int | None, int | None]
    latent_dim: int = 32
    beta_range: tuple[float, float] = (0.01, 10.0)
    likelihood: LikelihoodName = "bernoulli"
    sigma: float | None = None
    data_range: tuple[float, float] | None = (0.0, 1.0)
    gating: str = "affine"
    gating_degree: int = 3
    gating_moves: Literal["latents", "weights"] = "latents"
    arguments: dict[str, Any] = field(default_factory=dict)
    beta: float | None = None

    def __post_init__(self) -> None:
        if (self.input_shape[1] is None) != (self.input_shape[2] is None):
            raise ValueError(f"input_shape={self.input_shape} should be (C, H, W), or (C, None, None) for any size")
        if any(size is not None and size < 1 for size in self.input_shape):
            raise ValueError(f"input_shape={self.input_shape} should be (C, H, W), each at least 1")
        if self.latent_dim < 1:
            raise ValueError(f"latent_dim={self.latent_dim} should be at least 1")
        low, high = self.beta_range
        if not (0 < low < high < math.inf):
            raise ValueError(f"beta_range={self.beta_range} should be two numbers with 0 < low < high")
        if high < low * NARROWEST:
            raise ValueError(f"beta_range={self.beta_range} is too narrow: a ratio of at least {NARROWEST} is needed")
        self._check_likelihood()
        if not 1 <= self.gating_degree <= MAX_GATING_DEGREE:
            raise ValueError(f"gating_degree={self.gating_degree} should be between 1 and {MAX_GATING_DEGREE}")
        if self.beta is not None:
            if not low <= self.beta <= high:
                raise ValueError(f"beta={self.beta} is outside beta_range={self.beta_range}")
            if self.gating != "none":
                raise ValueError(f"beta={self.beta} says that the gates are folded, but gating={self.gating!r}")

    @property
    def spatial(self) -> bool:
        """Whether the model takes images of any size and has latents at many places."""
        return self.input_shape[1] is None

    def to_data_range(self, x: "Tensor") -> "Tensor":
        """Map images from [0, 1] to `data_range`, or leave them as they are if that is None."""
        low, high = self.data_range or UNIT
        return x if (low, high) == UNIT else low + (high - low) * x

    def to_unit_range(self, x: "Tensor") -> "Tensor":
        """Map images from `data_range` back to [0, 1]; the inverse of `to_data_range`."""
        low, high = self.data_range or UNIT
        return x if (low, high) == UNIT else (x - low) / (high - low)

    def _check_likelihood(self) -> None:
        if self.likelihood == "bernoulli":
            if self.sigma is not None:
                raise ValueError(f"sigma={self.sigma} is for likelihood='gaussian'; leave it out for 'bernoulli'")
            if self.data_range != (0.0, 1.0):
                raise ValueError(f"data_range={self.data_range} should be (0, 1) for likelihood='bernoulli'")
        elif self.sigma is None or not 0 < self.sigma < math.inf:
            raise ValueError(f"sigma={self.sigma} should be a positive number for likelihood='gaussian'")
        if self.data_range is None:
            return
        low, high = self.data_range
        if not low < high:
            raise ValueError(f"data_range={self.data_range} should be (low, high) with low < high, or None")
        if max(abs(low), abs(high)) > LARGEST_VALUE:
            raise ValueError(f"data_range={self.data_range} is beyond what networks work at; use (0, 1) or (-1, 1)")
