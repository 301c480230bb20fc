"""What a metric of a sweep is, and what it is given: the latents and losses of some examples at one β.

    a part to fit on ──prepare──► score;   a part to measure on ──score──► figures (M, ...) ──statistic──► the value

Letters: N examples of a part, Z latents, F factors, M figures, R resamples.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.models.vae import FixedRateVAE

Need = Literal["labels", "outliers", "factors"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Some examples at one β: what a metric is computed from. Everything is on the CPU.

    Attributes:
        beta: The β that the examples were encoded at.
        mean: The means of the posteriors, (N, Z) float32. For a spatial model they are averaged over places.
        log_var: The log-variances of the posteriors, (N, Z) float32, averaged like the means.
        rate: The rate of each example, (N,) nats, float64.
        distortion: The distortion of each example at one draw of z, (N,) nats, float64; None if no metric needs it.
        compared: What the `compare` of each metric gave for each example, (N,), by the name of the metric.
        labels: The class of each example, (N,) int64, or None.
        factors: The factors of each example, (N, F) int64, or None.
        outliers: The examples that should be told apart from these, or None.
        network: The model at this β.
        seed: The seed for what a metric draws. It differs between the parts.
    """

    beta: float
    mean: Tensor
    log_var: Tensor
    rate: Tensor
    network: FixedRateVAE
    distortion: Tensor | None = None
    compared: Mapping[str, Tensor] = field(default_factory=dict)
    labels: Tensor | None = None
    factors: Tensor | None = None
    outliers: "Part | None" = None
    seed: int = 0

    def __len__(self) -> int:
        return len(self.mean)

    def take(self, index: Tensor) -> "Part":
        """Return the examples of these indices (n,), with the same outliers."""

        def some(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[index]

        return replace(
            self,
            mean=self.mean[index],
            log_var=self.log_var[index],
            rate=self.rate[index],
            distortion=some(self.distortion),
            compared={name: values[index] for name, values in self.compared.items()},
            labels=some(self.labels),
            factors=some(self.factors),
        )


Score = Callable[[Part], Tensor | float]


def mean_of(figures: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of the figures of examples (M,) under each row of weights (R, M): (R,)."""
    return weights @ figures.double() / weights.sum(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure that is wanted at each β, with what it needs.

    Attributes:
        name: The name of the metric on the command line.
        title: The name of the metric in a table or a plot, with its unit if it has one.
        prepare: The function that fits what has to be fitted, on one part of the examples. It returns the function that
            measures another part. That one returns figures, (M,) or (M, ...), whose rows are examples or repetitions
            and are resampled for an interval. Or it returns a number, and the interval comes from leaving out a tenth
            of the examples at a time. None takes the figures of `compare`.
        compare: The function that compares images with their reconstructions, both (B, C, H, W) in [0, 1]. It returns
            the figure of each image, (B,). None if the metric does not look at images.
        statistic: The function that makes the metric of the figures (M, ...), under each row of weights (R, M): (R,).
        higher_is_better: Whether a higher value is better.
        fits: Whether `prepare` fits something, so that a part of the examples is set aside for it.
        needs: The information that the examples must come with: "labels", "outliers" or "factors".
        losses: Whether the metric reads the distortion, so that the images have to be decoded.
        extra: The package that the metric is computed with, as it is imported, if it is one of the extra "sweep".
    """

    name: str
    title: str
    prepare: Callable[[Part], Score] | None = None
    compare: Callable[[Tensor, Tensor], Tensor] | None = None
    statistic: Callable[[Tensor, Tensor], Tensor] = mean_of
    higher_is_better: bool = True
    fits: bool = False
    needs: tuple[Need, ...] = ()
    losses: bool = False
    extra: str | None = None

    def __post_init__(self) -> None:
        if (self.prepare is None) == (self.compare is None):
            raise ValueError(f"the metric {self.name!r} should have prepare or compare, and one of them")

    def scorer(self, fit: Part) -> Score:
        """Return the function that measures a part, with what it needs fitted on `fit`."""
        return (lambda part: part.compared[self.name]) if self.prepare is None else self.prepare(fit)

    def check_installed(self) -> None:
        """Raise a MissingExtraError if the package of the metric is not installed."""
        if self.extra is not None and importlib.util.find_spec(self.extra) is None:
            raise MissingExtraError({"sklearn": "scikit-learn"}.get(self.extra, self.extra), "sweep")


def from_callable(function: Callable[[Part], Tensor | float]) -> Metric:
    """Wrap a function of a part as a metric.

    The function returns one figure for each example, (N,), or a number. Its name is that of the metric. An attribute
    `higher_is_better` of the function says if lower is better.
    """
    name = getattr(function, "__name__", type(function).__name__)
    higher = bool(getattr(function, "higher_is_better", True))
    return Metric(name=name, title=name.replace("_", " "), prepare=lambda _: function, higher_is_better=higher)


def labels_of(part: Part) -> Tensor:
    """Return the labels of a part, which a metric that needs them may take for granted: (N,) int64."""
    assert part.labels is not None
    return part.labels


def factors_of(part: Part) -> Tensor:
    """Return the factors of a part, which a metric that needs them may take for granted: (N, F) int64."""
    assert part.factors is not None
    return part.factors


def as_figures(values: object) -> Tensor:
    """Return figures as a tensor (M,) or (M, ...), float64 on the CPU."""
    return torch.as_tensor(values, dtype=torch.float64, device="cpu")
