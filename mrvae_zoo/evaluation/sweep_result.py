"""Sweep: one or several metrics of a model as functions of β, and the β to take."""

import json
import math
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrvae_zoo.common.schema import to_plain
from mrvae_zoo.errors import nearest
from mrvae_zoo.evaluation.sweep_plot import Panel, plot_panels

MOST_DIGITS = 4  # behind the point


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """A metric at one β.

    Attributes:
        beta: The β of the point.
        rate: The mean rate of all examples at this β in nats.
        value: The metric on the examples that are reported on.
        low: The lower end of its 95% interval over examples.
        high: The upper end of that interval.
        choosing_value: The metric on the examples that β is chosen on.
        choosing_error: The standard error of `choosing_value`.
    """

    beta: float
    rate: float
    value: float
    low: float
    high: float
    choosing_value: float
    choosing_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSweep:
    """One metric at every β.

    Attributes:
        name: The name of the metric.
        title: The name of the metric in a plot, with its unit if it has one.
        higher_is_better: Whether a higher value is better.
        fitted_on: The number of examples that something was fitted on, or 0.
        chosen_on: The number of other examples that the best β was chosen on.
        reported_on: The number of the remaining examples, which the values are measured on.
        points: The points in rising order of β.
    """

    name: str
    title: str
    higher_is_better: bool
    fitted_on: int
    chosen_on: int
    reported_on: int
    points: tuple[SweepPoint, ...]

    @property
    def best(self) -> SweepPoint:
        """The point with the best value on the examples that β is chosen on."""
        return max(self.points, key=lambda point: (self._merit(point), -point.rate))

    @property
    def recommended(self) -> SweepPoint:
        """The point of the smallest rate whose value is within one standard error of the best, where β is chosen.

        Source: Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3, the one-standard-error rule.
        """
        enough = self._merit(self.best) - self.best.choosing_error
        return min((point for point in self.points if self._merit(point) >= enough), key=lambda point: point.rate)

    def in_words(self, point: SweepPoint) -> str:
        """Return the value of a point with its interval, to as many digits as the intervals of the metric are worth."""
        width = statistics.median(one.high - one.low for one in self.points)
        if width > 0:
            digits = min(MOST_DIGITS, max(0, 1 - math.floor(math.log10(width))))
        else:
            digits = 0 if all(one.value.is_integer() for one in self.points) else MOST_DIGITS
        value, low, high = (f"{figure:.{digits}f}" for figure in (point.value, point.low, point.high))
        return f"{value} [{low}, {high}]"

    def _merit(self, point: SweepPoint) -> float:
        return point.choosing_value if self.higher_is_better else -point.choosing_value


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Sweep:
    """Metrics as functions of β, as `mrvae_zoo.sweep` gives them.

    Attributes:
        metrics: The metrics, in the order in which they were asked for.
        data: A description of the data that they were measured on.
        seed: The seed that the examples were divided by.
        name: The name of the model, or None.
    """

    metrics: tuple[MetricSweep, ...]
    data: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    name: str | None = None

    @property
    def betas(self) -> tuple[float, ...]:
        """The values of β, in rising order."""
        return tuple(point.beta for point in self.metrics[0].points)

    @property
    def points(self) -> dict[str, tuple[SweepPoint, ...]]:
        """The points of each metric, by its name."""
        return {metric.name: metric.points for metric in self.metrics}

    def metric(self, name: str | None = None) -> MetricSweep:
        """Return a metric by its name; None is the first one.

        Raises:
            ValueError: The sweep has no metric of that name.
        """
        if name is None:
            return self.metrics[0]
        found = next((metric for metric in self.metrics if metric.name == name), None)
        if found is None:
            raise ValueError(f"this sweep has no metric {name!r}; {nearest(name, self.points)}")
        return found

    def best(self, metric: str | None = None) -> SweepPoint:
        """Return the point with the best value of a metric, by default of the first.

        It is chosen on one part of the examples. Its `value` is measured on another part, so it is not flattered by the
        choice.
        """
        return self.metric(metric).best

    def recommended(self, metric: str | None = None) -> SweepPoint:
        """Return the point of the smallest rate within one standard error of the best; see `best`."""
        return self.metric(metric).recommended

    def columns(self) -> dict[str, list[str]]:
        """Return the sweep as the columns of a table, by heading: each metric with its 95% interval."""
        columns = {
            "beta": [f"{beta:g}" for beta in self.betas],
            "rate": [f"{point.rate:.2f}" for point in self.metrics[0].points],
        }
        return columns | {metric.name: [metric.in_words(point) for point in metric.points] for metric in self.metrics}

    def __repr__(self) -> str:
        """Return a line per β, and the β to take."""
        columns = self.columns()
        rows = [tuple(columns), *zip(*columns.values(), strict=True)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([f"Sweep over {len(self.betas)} β", *lines, *self.choices()])

    def choices(self) -> list[str]:
        """Return a line for each metric that names its best and its recommended β."""
        lines = []
        for metric in self.metrics:
            best, chosen = metric.best, metric.recommended
            said = [f"{metric.in_words(point)} at {point.rate:.4g} nats" for point in (best, chosen)]
            if best == chosen:
                lines.append(f"{metric.name}: best and recommended β = {best.beta:g}: {said[0]}")
            else:
                lines.append(
                    f"{metric.name}: best β = {best.beta:g}: {said[0]}; recommended β = {chosen.beta:g}: {said[1]}"
                )
        return lines

    def to_plain(self) -> dict[str, Any]:
        """Return the sweep as plain data, with the best and the recommended β of each metric."""
        plain: dict[str, Any] = to_plain(self)
        for one, metric in zip(plain["metrics"], self.metrics, strict=True):
            one |= {"best": metric.best.beta, "recommended": metric.recommended.beta}
        return plain

    def to_json(self) -> str:
        """Return the sweep as JSON."""
        return json.dumps(self.to_plain(), indent=1) + "\n"

    def to_dataframe(self) -> Any:
        """Return the points as a pandas DataFrame, a row for each metric and β.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            message = "pandas is not installed; install it with: pip install pandas, or take to_plain()"
            raise ImportError(message) from None
        rows = [{"metric": metric.name, **to_plain(point)} for metric in self.metrics for point in metric.points]
        return pd.DataFrame(rows)

    def plot(self, path: "str | os.PathLike[str]", *, title: str | None = None) -> None:
        """Write a picture: a panel for each metric over β. The suffix is the format: .png, .pdf or .svg.

        Args:
            path: The file to write. A file that exists is overwritten.
            title: The heading. None takes the name of the model and of the data.

        Raises:
            MissingExtraError: matplotlib is not installed.
            ValueError: The suffix is not that of a format that matplotlib writes.
        """
        on = [str(self.data[key]) for key in ("name", "split") if key in self.data]
        heading = "  ".join([*([self.name] if self.name else []), *([f"({', '.join(on)})"] if on else [])])
        plot_panels([_panel(metric) for metric in self.metrics], Path(path), title=heading if title is None else title)


def _panel(metric: MetricSweep) -> Panel:
    points = metric.points
    return Panel(
        title=metric.title,
        betas=[point.beta for point in points],
        values=[point.value for point in points],
        low=[point.low for point in points],
        high=[point.high for point in points],
        rates=[point.rate for point in points],
        best=points.index(metric.best),
        recommended=points.index(metric.recommended),
    )
