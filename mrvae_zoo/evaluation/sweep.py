"""Sweeping over β: a metric at every β of one model, and an honest choice of the β to take.

Letters: N examples, F factors.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mrvae_zoo.common.noise import seed_of, seeded_generator
from mrvae_zoo.data.labels import Labels, to_labels
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.data.sprites import SPRITES, split_factors
from mrvae_zoo.evaluation.curve import CURVE_POINTS, curve_betas
from mrvae_zoo.evaluation.estimates import Estimate, estimate, resampling
from mrvae_zoo.evaluation.examples import Examples, count, describe
from mrvae_zoo.evaluation.metric_table import AnyMetric, find_metrics
from mrvae_zoo.evaluation.metrics.base import Metric, Part
from mrvae_zoo.evaluation.sweep_pass import encode_all, take_examples
from mrvae_zoo.evaluation.sweep_result import MetricSweep, Sweep, SweepPoint
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.models.vae import BaseVAE, FixedRateVAE, unwrap

EXAMPLES = 10_000
FEWEST = 40  # examples, so that a quarter of them is enough for an interval
FEWEST_OUTLIERS = 10
ENCODING = 0.5  # the share of the work, roughly: the rest is metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """The examples of a sweep, with what is known about them."""

    data: Examples
    labels: Tensor | None
    factors: Tensor | None
    outliers: Examples | None


def sweep(
    model: BaseVAE,
    data: Examples,
    metrics: AnyMetric | Sequence[AnyMetric],
    *,
    betas: int | Sequence[float] = CURVE_POINTS,
    labels: "Labels | Sequence[Any] | Tensor | np.ndarray | None" = None,
    factors: Tensor | None = None,
    outliers: Examples | None = None,
    held_out_class: str | int | None = None,
    examples: int = EXAMPLES,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _: None,
) -> Sweep:
    """Measure metrics of a model at every β, and choose the β to take, without any training of the model.

    All images go through the folded network of each β in one pass. The latents are kept, and the metrics are computed
    on them. If a metric fits something, such as a probe, half of the examples are for that, a quarter for choosing β,
    and a quarter for reporting. Otherwise one half is for choosing and one for reporting. The division depends on
    `seed` and on the labels: every class is divided in proportion.

    Example:
        data = mrvae_zoo.load_data("cifar10", "test", "data", model.input_shape)
        found = mrvae_zoo.sweep(model, data, ["linear_probe", "knn"], labels=mrvae_zoo.load_labels(data, "data"))
        plain = model.at(found.recommended().beta)

    Args:
        model: A model in eval mode.
        data: The examples: a split of a data set, a tensor (N, C, H, W), a DataLoader, or a folder of images.
        metrics: The metrics: names or patterns of names such as "linear_probe" or "anomaly*", `Metric` objects, or
            functions of a `Part` (see `mrvae_zoo.plugins`). One, or several.
        betas: The number of values of β, log-spaced over the range of the model, or the values.
        labels: The class of each example, (N,), for metrics that need it; see `load_labels`.
        factors: The factors of each example, integers (N, F), for metrics that need them. Those of the sprites are
            known.
        outliers: The other examples, for metrics of how well they stand out.
        held_out_class: The class whose examples are the outliers, by its name or its number. It says what it should
            only if the model was not trained on that class.
        examples: The largest number of examples to use. More are drawn from, at random. Outliers have the same limit.
        seed: The seed of everything that is drawn.
        progress: A function that is called with the share done, in [0, 1].

    Raises:
        ValueError: A metric needs something that is not given, or there are too few examples; or the model does not
            take a β or the data.
        UnknownNameError: There is no metric of a name.
        MissingExtraError: A package that a metric needs is not installed.
    """
    model, wanted = unwrap(model), find_metrics(metrics)
    networks = [model.at(beta) for beta in _betas(model, betas)]
    known = labels if labels is None or isinstance(labels, Labels) else to_labels(labels)
    if factors is None and isinstance(data, ImageData) and data.name == SPRITES.name and not data.held_out:
        factors = split_factors(data.split)
    sample = _sample(data, known, factors, outliers, held_out_class, limit=examples, seed=seed)
    _check_needs(wanted, sample, of=data.name if isinstance(data, ImageData) else "data")
    share = ENCODING / (1 if sample.outliers is None else 2)

    def encoded(some: Examples, first: float, seed: int) -> list[Part]:
        def within(done: float) -> None:
            progress(first + share * done)

        with _no_warnings(networks, some is sample.outliers):
            return encode_all(networks, some, wanted, limit=examples, seed=seed, progress=within)

    parts = encoded(sample.data, 0.0, seed)
    if len(parts[0]) < FEWEST:
        raise ValueError(f"{len(parts[0])} examples are too few to divide; take at least {FEWEST}")
    others: list[Part | None] = [None] * len(parts)
    if sample.outliers is not None:
        others = [*encoded(sample.outliers, share, seed_of(seed, 1) % 2**31)]
        if (found := len(others[0] or ())) < FEWEST_OUTLIERS:
            raise ValueError(f"{found} outliers are too few; take at least {FEWEST_OUTLIERS}")
    for what, given in (("labels", sample.labels), ("factors", sample.factors)):
        if given is not None and len(given) != len(parts[0]):
            raise ValueError(f"there are {len(given)} {what} for {len(parts[0])} examples; each needs one")
    points: dict[str, list[SweepPoint]] = {metric.name: [] for metric in wanted}
    sizes: dict[str, tuple[int, int, int]] = {}
    done = 0
    for part, other in zip(parts, others, strict=True):
        whole = replace(part, labels=sample.labels, factors=sample.factors, outliers=other)
        for metric in wanted:
            fit, choose, report = _divide(whole, fits=metric.fits, seed=seed)
            score = metric.scorer(fit)
            chosen, reported = (estimate(metric, score, each) for each in (choose, report))
            points[metric.name].append(_point(whole, chosen, reported))
            sizes[metric.name] = (len(fit) if metric.fits else 0, len(choose), len(report))
            done += 1
            progress(ENCODING + (1 - ENCODING) * done / (len(wanted) * len(networks)))
    resampling.cache_clear()  # up to some hundreds of megabytes
    return Sweep(
        metrics=tuple(_metric(metric, points[metric.name], sizes[metric.name]) for metric in wanted),
        data=describe(data, len(parts[0])) | {"examples": len(parts[0])},
        seed=seed,
        name=model.name,
    )


@contextmanager
def _no_warnings(networks: Sequence[FixedRateVAE], wanted: bool) -> Iterator[None]:
    """Keep the networks from warning of images that are unlike the training images, which outliers should be."""
    told = [network._told for network in networks]
    for network in networks:
        network._told = network._told or wanted
    try:
        yield
    finally:
        for network, before in zip(networks, told, strict=True):
            network._told = before


def _betas(model: BaseVAE, betas: int | Sequence[float]) -> list[float]:
    if not isinstance(betas, int):
        values = sorted({float(beta) for beta in betas})
        if not values:
            raise ValueError("betas is empty; name at least one β")
        return values
    if isinstance(model, FixedRateVAE):
        return curve_betas(model)
    if betas < 2:
        raise ValueError(f"betas={betas} should be at least 2, or a list of values of β")
    return log_spaced(model.beta_range, betas)


def _sample(
    data: Examples,
    labels: Labels | None,
    factors: Tensor | None,
    outliers: Examples | None,
    held_out_class: str | int | None,
    *,
    limit: int,
    seed: int,
) -> _Sample:
    """Choose the examples at random, at most `limit` of them, and the outliers; both in the order of the data."""
    if limit < FEWEST:
        raise ValueError(f"examples={limit} should be at least {FEWEST}")
    values, total = None if labels is None else labels.values, count(data)
    for what, given in (("labels", values), ("factors", factors)):
        if given is not None and total is not None and len(given) != total:
            raise ValueError(f"there are {len(given)} {what} for {total} examples; each needs one")
    generator = seeded_generator(seed, 0)
    if held_out_class is None:
        index = None if total is None else torch.arange(total)
    elif labels is None or outliers is not None:
        raise ValueError("held_out_class needs labels, and takes the place of outliers; give one of the two")
    else:
        held_out = labels.values == _class(labels, held_out_class)
        index, others = (~held_out).nonzero().flatten(), held_out.nonzero().flatten()
        outliers = take_examples(data, _some(others, limit, generator))
    if outliers is not None and held_out_class is None and isinstance(outliers, Tensor | ImageData):
        outliers = take_examples(outliers, _some(torch.arange(len(outliers)), limit, generator))
    if index is not None and not isinstance(data, Tensor | ImageData):
        index = index[:limit]  # what can only be read from the beginning
    if index is None:
        return _Sample(data=data, labels=values, factors=factors, outliers=outliers)
    index = _some(index, limit, generator)
    return _Sample(
        data=take_examples(data, index),
        labels=None if values is None else values[index],
        factors=None if factors is None else factors[index],
        outliers=outliers,
    )


def _class(labels: Labels, wanted: str | int) -> int:
    """Return the number of the class that is held out; others have to remain."""
    if str(wanted) not in labels.names and isinstance(wanted, int) and 0 <= wanted < len(labels.names):
        return wanted
    return labels.number(str(wanted))


def _some(index: Tensor, limit: int, generator: torch.Generator) -> Tensor:
    """Return at most `limit` of the indices, drawn at random, in their order."""
    if len(index) <= limit:
        return index
    return index[torch.randperm(len(index), generator=generator, device="cpu")[:limit].sort().values]


def _check_needs(metrics: Sequence[Metric], sample: _Sample, *, of: str) -> None:
    """Raise a ValueError if a metric needs something that is not there."""
    remedies = {
        "labels": "labels; pass labels=load_labels(data, root)",
        "outliers": "outliers: other examples (--outliers), or a class to hold out (--held-out-class)",
        "factors": f"known factors; measure it on the sprites instead of {of}, or pass factors",
    }
    given = {"labels": sample.labels, "outliers": sample.outliers, "factors": sample.factors}
    for metric in metrics:
        for need in metric.needs:
            if given[need] is None:
                raise ValueError(f"the metric {metric.name} needs {remedies[need]}")


def _divide(whole: Part, *, fits: bool, seed: int) -> tuple[Part, Part, Part]:
    """Divide examples into those to fit on, to choose β on and to report on, every class in proportion.

    If nothing is fitted, the first part is that to choose β on, and half of the examples are in each.
    """
    fit, choose, report = _dealt(len(whole), whole.labels, fits=fits, seed=seed)
    parts = [whole.take(index) for index in (fit, choose, report)]
    seeds = [seed_of(seed, number) % 2**31 for number in range(2, 5)]
    others: list[Part | None] = [None] * 3
    if whole.outliers is not None:
        _, *halves = _dealt(len(whole.outliers), None, fits=False, seed=seed)
        others[1:] = [whole.outliers.take(half) for half in halves]
    first, second, third = (
        replace(part, outliers=other, seed=one) for part, other, one in zip(parts, others, seeds, strict=True)
    )
    return first, second, third


def _dealt(examples: int, labels: Tensor | None, *, fits: bool, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Deal out indices like cards, one class after the other, each class in random order."""
    order = torch.randperm(examples, generator=seeded_generator(seed, 1), device="cpu")
    if labels is not None:
        order = order[labels[order].argsort(stable=True)]
    if not fits:
        choose, report = order[0::2].sort().values, order[1::2].sort().values
        return choose, choose, report
    fit = torch.cat([order[0::4], order[2::4]]).sort().values
    return fit, order[1::4].sort().values, order[3::4].sort().values


def _point(whole: Part, chosen: Estimate, reported: Estimate) -> SweepPoint:
    return SweepPoint(
        beta=whole.beta,
        rate=whole.rate.mean().item(),
        value=reported.value,
        low=reported.low,
        high=reported.high,
        choosing_value=chosen.value,
        choosing_error=chosen.error,
    )


def _metric(metric: Metric, points: Sequence[SweepPoint], sizes: tuple[int, int, int]) -> MetricSweep:
    fitted_on, chosen_on, reported_on = sizes
    return MetricSweep(
        name=metric.name,
        title=metric.title,
        higher_is_better=metric.higher_is_better,
        fitted_on=fitted_on,
        chosen_on=chosen_on,
        reported_on=reported_on,
        points=tuple(points),
    )
