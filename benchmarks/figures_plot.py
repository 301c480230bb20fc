"""The one plot of all comparisons: rate-distortion planes, and below each of them the gap over β.

Told apart also by the colour-blind and in grey: the Multi-Rate VAE is blue and a line, the dedicated β-VAEs are orange
and hollow points, arms are grey and dashed.
"""

import math
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from mrvae_zoo.comparison.record import ComparisonRecord
from mrvae_zoo.data.sets import data_facts
from mrvae_zoo.evaluation.plots import FAINT, INK, LINE, OTHER, check_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_COLUMNS = 3
WIDTH, DPI = 9.0, 200  # inches, of the page; the README shows the file at half its size
HEIGHTS = (2.7, 1.5)  # inches, of a plane and of what is below it
DASHES: tuple["Dash", ...] = ((0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 2)))  # of arms
SMALL, USUAL = 7.5, 8.5  # points, of letters
LEAST = 0.5  # %, that the axis of gaps reaches at least on both sides of 0

Dash = tuple[int, tuple[float, ...]]


def draw(records: Sequence[ComparisonRecord], *, digest: str) -> bytes:
    """A PNG with a plane for each comparison; `digest` is kept in its text "Records".

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = 2 if len(records) == 4 else min(len(records), MOST_COLUMNS)
    rows = math.ceil(len(records) / columns)
    layout = ConstrainedLayoutEngine(rect=(0, 0, 0.99, 1))  # the label of a tick at the right edge reaches beyond
    figure = Figure(figsize=(WIDTH, rows * sum(HEIGHTS)), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=HEIGHTS * rows)
    planes, below = grid[::2].flatten(), grid[1::2].flatten()
    arms = sorted({name for record in records for name in record.arms})
    dashes = {name: DASHES[i % len(DASHES)] for i, name in enumerate(arms)}
    for record, plane, gaps in zip(records, planes, below, strict=False):
        _draw_plane(plane, record, dashes, first=record is records[0])
        _draw_gaps(gaps, record, dashes, first=record is records[0])
        gaps.set_ylim(*_gap_range(records))
        for axes in (plane, gaps):
            axes.grid(color=FAINT, alpha=0.2, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(colors=INK, labelsize=SMALL)
    for plane, gaps in zip(grid[::2, 0], grid[1::2, 0], strict=True):
        plane.set_ylabel("distortion D (nats)", color=INK, fontsize=USUAL)
        gaps.set_ylabel("gap in L (%)", color=INK, fontsize=USUAL)
    for axes in (*planes[len(records) :], *below[len(records) :]):
        axes.remove()
    file = BytesIO()
    figure.savefig(file, dpi="figure", format="png", metadata={"Software": None, "Records": digest})
    return file.getvalue()


def _draw_plane(axes: "Axes", record: ComparisonRecord, dashes: dict[str, Dash], *, first: bool) -> None:
    """Distortion over rate. The first plane names what is in all of them, and each its arms and their gaps."""
    ours, own = record.mrvae, record.dedicated
    # Hollow, for the line lies close.
    (points,) = axes.plot(own.rate, own.distortion, "D", color=OTHER, markerfacecolor="none", markersize=6, zorder=3)
    (line,) = axes.plot(ours.rate, ours.distortion, "o-", color=LINE, linewidth=1.8, markersize=2.8)
    named = {"β-VAEs, one training each": points, "Multi-Rate VAE, one training": line} if first else {}
    for name, arm in record.arms.items():
        (thin,) = axes.plot(arm.rate, arm.distortion, color=FAINT, linestyle=dashes[name], linewidth=1.0)
        named[f"gating {name}: gap {100 * min(arm.gap):+.1f} to {100 * max(arm.gap):+.1f}%"] = thin
    if named:
        axes.legend(named.values(), named.keys(), frameon=False, labelcolor=INK, fontsize=SMALL, loc="upper right")
    for beta, rate, distortion in zip(record.betas, ours.rate, ours.distortion, strict=True):
        if _is_power_of_ten(beta):
            first_beta = beta == record.betas[0]
            axes.annotate(
                f"β = {beta:g}" if first_beta else f"{beta:g}",
                (rate, distortion),
                xytext=(0, -6) if first_beta else (-4, -5),
                textcoords="offset points",
                ha="center" if first_beta else "right",
                va="top",
                color=LINE,
                fontsize=SMALL,
            )
    axes.set_xlabel("rate R (nats)", color=INK, fontsize=USUAL)
    axes.margins(x=0.12, y=0.12)
    title, facts = _title(record)
    axes.set_title(facts, loc="left", color=INK, fontsize=SMALL)
    axes.annotate(
        title,
        (0, 1),
        xytext=(0, 27),
        xycoords="axes fraction",
        textcoords="offset points",
        weight="bold",
        color=INK,
        fontsize=USUAL,
    )


def _draw_gaps(axes: "Axes", record: ComparisonRecord, dashes: dict[str, Dash], *, first: bool) -> None:
    """The gap over β in %, and its interval. Arms go out of sight where they are far above."""
    ours = record.mrvae
    axes.axhline(0, color=OTHER, linewidth=1.2)
    for name, arm in record.arms.items():
        axes.plot(record.betas, [100 * gap for gap in arm.gap], color=FAINT, linestyle=dashes[name], linewidth=1.0)
    if ours.gap_interval is not None:
        low, high = ([100 * end for end in ends] for ends in zip(*ours.gap_interval, strict=True))
        axes.vlines(record.betas, low, high, color=LINE, linewidth=4.0, alpha=0.4)
    axes.plot(record.betas, [100 * gap for gap in ours.gap], "o-", color=LINE, linewidth=1.4, markersize=2.8)
    axes.set(xscale="log")
    axes.set_xlabel("β", color=INK, fontsize=USUAL)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    if first:
        axes.annotate(
            "0: β-VAEs; below is better",
            (0.02, 0.05),
            xycoords="axes fraction",
            color=OTHER,
            fontsize=SMALL,
        )


def _title(record: ComparisonRecord) -> tuple[str, str]:
    """The data set, and two lines of facts."""
    model = record.recipe["model"]
    network = f"{model['architecture']} {'-'.join(map(str, model.get('widths', ())))}".strip()
    seeds = f"{len(record.seeds)} seed{'s' if len(record.seeds) > 1 else ''}"
    return data_facts(record.data["name"]).title, f"{network}\n{record.reached}, budget {record.budget:g}, {seeds}"


def _is_power_of_ten(beta: float) -> bool:
    return math.isclose(math.log10(beta), round(math.log10(beta)), abs_tol=0.01)


def _gap_range(records: Sequence[ComparisonRecord]) -> tuple[float, float]:
    """In %, for all panels, so that they compare: the intervals of the Multi-Rate VAEs, and 0, with some room."""
    sides = [record.mrvae for record in records]
    ends = [
        100 * end for side in sides for interval in side.gap_interval or zip(side.gap, strict=True) for end in interval
    ]
    low, high = min(-LEAST, *ends), max(LEAST, *ends)
    room = 0.1 * (high - low)
    return low - room, high + room
