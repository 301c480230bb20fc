"""Drawing a sweep, with matplotlib: each metric over β in a panel of its own, and the rate as a second axis on top."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.evaluation.plots import DPI, FAINT, INK, LINE, OTHER, over_beta, plot_format, to_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PANEL = (4.6, 3.5)  # inches
LETTERS, SMALL = 10, 9  # points
COLUMNS = 3  # of panels, at most
TICKS = 5  # of the rate, at most


class Panel(NamedTuple):
    """One metric over β: K values with their 95% intervals and rates, and the places of two of them.

    `best` and `recommended` are indices of the values, from 0 to K − 1.
    """

    title: str
    betas: Sequence[float]
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    rates: Sequence[float]
    best: int
    recommended: int


def plot_panels(panels: Sequence[Panel], path: Path, *, title: str) -> None:
    """Write the plot in the format of the suffix; see `draw_panels`. A file that exists is overwritten."""
    kind = plot_format(path)
    write_atomically(path, draw_panels(panels, title=title, kind=kind))


def draw_panels(panels: Sequence[Panel], *, title: str, kind: str = "png") -> bytes:
    """Draw each metric over β with its interval as a band, the best and the recommended β, and the rate on top.

    Args:
        panels: The metrics, at least one.
        title: The heading, such as the name of the model.
        kind: The format, as matplotlib calls it, such as "pdf".

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(panels)) if len(panels) != COLUMNS + 1 else 2
    rows = math.ceil(len(panels) / columns)
    size = (PANEL[0] * columns, PANEL[1] * rows + 0.7)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel)
    for axes in grid[len(panels) :]:
        axes.remove()
    names = dict(zip(*reversed(grid[0].get_legend_handles_labels()), strict=True))
    figure.legend(
        names.values(),
        names.keys(),
        loc="outside lower center",
        ncols=len(names),
        frameon=False,
        labelcolor=INK,
        fontsize=SMALL,
    )
    if title:
        figure.suptitle(title, color=INK, fontsize=LETTERS + 1)
    return to_image(figure, kind)


def _draw(axes: "Axes", panel: Panel) -> None:
    axes.grid(color=FAINT, alpha=0.2)
    axes.spines["right"].set_visible(False)
    axes.fill_between(panel.betas, panel.low, panel.high, color=LINE, alpha=0.18, linewidth=0, label="95% interval")
    axes.plot(panel.betas, panel.values, "o-", color=LINE, markersize=4, linewidth=1.5)
    best, chosen = panel.best, panel.recommended
    axes.axvline(panel.betas[chosen], color=OTHER, linewidth=1, linestyle=":")
    axes.plot(
        panel.betas[best],
        panel.values[best],
        "*",
        color=LINE,
        markersize=15,
        linestyle="none",
        label="best β",
        zorder=3,
    )
    axes.plot(
        panel.betas[chosen],
        panel.values[chosen],
        "D",
        color=OTHER,
        markerfacecolor="none",
        markeredgewidth=1.6,
        markersize=10,
        linestyle="none",
        label="recommended β",
        zorder=4,
    )
    over_beta(axes)
    axes.set_ylabel(panel.title)
    _rates_on_top(axes, panel)


def _rates_on_top(axes: "Axes", panel: Panel) -> None:
    """Write the rate above some of the β that were measured."""
    from matplotlib.ticker import NullLocator

    step = max(1, math.ceil((len(panel.betas) - 1) / (TICKS - 1)))
    shown = range(0, len(panel.betas), step)
    top = axes.twiny()
    top.set(xscale="log", xlim=axes.get_xlim())
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xticks([panel.betas[i] for i in shown], [f"{panel.rates[i]:.3g}" for i in shown])
    top.set_xlabel("rate R (nats per image)")
    top.spines["right"].set_visible(False)
    for each in (axes, top):
        each.tick_params(colors=INK, labelsize=SMALL)
        for axis in (each.xaxis, each.yaxis):
            axis.label.set(color=INK, fontsize=LETTERS)
