"""The table of metrics of a sweep, by name: those of the zoo, and those of plug-ins."""

from collections.abc import Callable, Sequence

from torch import Tensor

from mrvae_zoo.common.table import Table, matching
from mrvae_zoo.errors import UnknownNameError
from mrvae_zoo.evaluation.metrics.anomaly import ANOMALY
from mrvae_zoo.evaluation.metrics.base import Metric, Part, from_callable
from mrvae_zoo.evaluation.metrics.factors import DCI, FACTOR_VAE, MIG
from mrvae_zoo.evaluation.metrics.images import PSNR, SSIM
from mrvae_zoo.evaluation.metrics.latents import ACTIVE_UNITS, RATE
from mrvae_zoo.evaluation.metrics.probes import KNN, LINEAR_PROBE
from mrvae_zoo.evaluation.metrics.retrieval import RETRIEVAL

metrics: Table[Metric] = Table(
    "metric",
    (LINEAR_PROBE, KNN, RETRIEVAL, *ANOMALY, MIG, DCI, FACTOR_VAE, PSNR, SSIM, ACTIVE_UNITS, RATE),
    plugins=Metric,
)
AnyMetric = str | Metric | Callable[[Part], Tensor | float]


def find_metrics(wanted: AnyMetric | Sequence[AnyMetric]) -> list[Metric]:
    """Return the metrics that names, patterns of names, metrics and functions stand for.

    Raises:
        UnknownNameError: There is no metric of a name; the message suggests the nearest ones.
        ValueError: None is wanted, or two have the same name; or the plug-in that brings one is broken.
        MissingExtraError: The package that a metric is computed with is not installed.
    """
    several = [wanted] if isinstance(wanted, str | Metric) or callable(wanted) else wanted
    found = [metric for each in several for metric in _found(each)]
    names = [metric.name for metric in found]
    if not names:
        raise ValueError(f"no metric is named; there are: {', '.join(metrics)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"the metric {twice[0]!r} is wanted twice; name each metric once")
    for metric in found:
        metric.check_installed()
    return found


def _found(wanted: AnyMetric) -> list[Metric]:
    if isinstance(wanted, Metric):
        return [wanted]
    if not isinstance(wanted, str):
        return [from_callable(wanted)]
    if not set("*?[") & set(wanted):
        return [metrics[wanted]]
    if names := matching(metrics, wanted):
        return [metrics[name] for name in names]
    raise UnknownNameError(f"no metric matches {wanted!r}; there are: {', '.join(metrics)}")
