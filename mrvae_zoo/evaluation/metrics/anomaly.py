"""How well outliers stand out: by the loss, by distortion or rate alone, and by where their latents lie.

Letters: N usual examples and O outliers, M = N + O of both, R resamples.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mrvae_zoo.evaluation.metrics.base import Metric, Part, Score, as_figures

AT_ONCE = 100  # resamples
Unusual = Callable[[Part], Tensor]


def by_loss(_: Part) -> Unusual:
    """Score examples by their loss D + β·R: (N,) nats."""
    return lambda part: by_distortion(part)(part) + part.beta * part.rate


def by_distortion(_: Part) -> Unusual:
    """Score examples by their distortion: (N,) nats."""

    def distortion(part: Part) -> Tensor:
        assert part.distortion is not None
        return part.distortion

    return distortion


def by_rate(_: Part) -> Unusual:
    """Score examples by their rate: (N,) nats."""
    return lambda part: part.rate


def by_mahalanobis(fit: Part) -> Unusual:
    """Score examples by the squared Mahalanobis distance of their means from those of the usual examples set aside.

    The covariance is shrunk, so that it can be inverted where latents are not in use.

    Source: Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004.
    """
    from sklearn.covariance import LedoitWolf

    covariance = LedoitWolf().fit(fit.mean.double().numpy())
    return lambda part: as_figures(covariance.mahalanobis(part.mean.double().numpy()))


def with_outliers(unusual: Callable[[Part], Unusual]) -> Callable[[Part], Score]:
    """Make the `prepare` of a metric: it scores a part and its outliers, and marks which ones the outliers are."""

    def prepare(fit: Part) -> Score:
        score = unusual(fit)

        def figures(part: Part) -> Tensor:
            """Return the score of each example, and 1 if it is an outlier or 0 if not: (M, 2)."""
            assert part.outliers is not None
            usual, others = score(part).double(), score(part.outliers).double()
            marks = torch.cat([torch.zeros_like(usual), torch.ones_like(others)])
            return torch.stack([torch.cat([usual, others]), marks], dim=1)

        return figures

    return prepare


def area_under_roc(figures: Tensor, weights: Tensor) -> Tensor:
    """Return the probability that an outlier has a higher score than a usual example, ties counting half.

    Args:
        figures: The scores and marks of `with_outliers`, (M, 2).
        weights: The weight of each example in each resample, (R, M).

    Returns:
        The area under the ROC curve, (R,).
    """

    def area(found: Tensor, mistaken: Tensor) -> Tensor:
        return torch.trapezoid(found, mistaken, dim=1) / (found[:, -1] * mistaken[:, -1])

    return _over_thresholds(figures, weights, area)


def average_precision(figures: Tensor, weights: Tensor) -> Tensor:
    """Return the mean precision over the outliers, each at the threshold of its own score, as scikit-learn defines it.

    Args:
        figures: The scores and marks of `with_outliers`, (M, 2).
        weights: The weight of each example in each resample, (R, M).

    Returns:
        The average precision, (R,).
    """

    def precision(found: Tensor, mistaken: Tensor) -> Tensor:
        above = (found + mistaken)[:, 1:]
        each = torch.where(above > 0, found[:, 1:] / above, 0.0)
        return (found.diff(dim=1) * each).sum(1) / found[:, -1]

    return _over_thresholds(figures, weights, precision)


def _over_thresholds(figures: Tensor, weights: Tensor, area: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Apply `area` to the weights of the outliers and of the usual examples above each threshold, from 0 on."""
    scores, marks = figures.unbind(1)
    order = scores.argsort(descending=True)
    scores, marks = scores[order], marks[order]
    last = torch.cat([scores[1:] != scores[:-1], torch.ones(1, dtype=torch.bool)])  # of those with the same score

    def above(chosen: Tensor) -> Tensor:
        return torch.nn.functional.pad(chosen.cumsum(1)[:, last], (1, 0))

    some = (part[:, order].double() for part in weights.split(AT_ONCE))
    return torch.cat([area(above(part * marks), above(part * (1 - marks))) for part in some])


SCORES: tuple[tuple[str, str, Callable[[Part], Unusual], bool], ...] = (  # and whether it reads the distortion
    ("anomaly", "D + βR", by_loss, True),
    ("anomaly_distortion", "D", by_distortion, True),
    ("anomaly_rate", "R", by_rate, False),
    ("anomaly_mahalanobis", "Mahalanobis distance", by_mahalanobis, False),
)
ANOMALY = tuple(
    Metric(
        name=f"{name}{suffix}",
        title=f"{words}, {score}",
        prepare=with_outliers(unusual),
        statistic=statistic,
        fits=unusual is by_mahalanobis,
        needs=("outliers",),
        losses=losses,
        extra="sklearn" if unusual is by_mahalanobis else None,
    )
    for name, score, unusual, losses in SCORES
    for suffix, words, statistic in (("", "AUROC", area_under_roc), ("_ap", "average precision", average_precision))
)
