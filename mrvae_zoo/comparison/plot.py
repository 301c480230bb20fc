"""Drawing a comparison: the losses over β, and the gaps beside them, with matplotlib (the extra "plots")."""

from typing import TYPE_CHECKING

from mrvae_zoo.comparison.record import ComparisonRecord
from mrvae_zoo.evaluation.plots import INK, LINE, OTHER, over_beta, pair_of_axes, to_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes


ARMS = ("#5b8f3a", "#8a5aa8", "#b08a1e", "#3f8f8a")  # colours of further arms


def draw_comparison(record: ComparisonRecord) -> bytes:
    """Draw L over β, with the dedicated β-VAEs as points and the Multi-Rate VAE as a line, and the gap in %; a PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = pair_of_axes()
    left, right = figure.axes
    _draw_losses(left, record)
    _draw_gaps(right, record)
    over_beta(left)
    over_beta(right)
    measured = ", ".join(str(record.data[key]) for key in ("name", "split") if key in record.data)
    seeds = f", {len(record.seeds)} seeds" if len(record.seeds) > 1 else ""
    heading = f"{record.name}\n({measured}; {record.reached}, budget {record.budget:g}{seeds})"
    figure.suptitle(heading, color=INK, fontsize=12)
    return to_image(figure)


def _draw_losses(axes: "Axes", record: ComparisonRecord) -> None:
    axes.plot(record.betas, record.mrvae.L, "-", color=LINE, linewidth=2.2, label="Multi-Rate VAE, one training")
    other = "" if record.arms_budget == record.budget else f", budget {record.arms_budget:g}"
    for colour, (name, arm) in zip(_colours(len(record.arms)), record.arms.items(), strict=True):
        axes.plot(record.betas, arm.L, "-", color=colour, linewidth=1.0, label=f"{name}, one training{other}")
    # Hollow, for the line may lie below.
    axes.plot(
        record.betas,
        record.dedicated.L,
        "D",
        color=OTHER,
        markerfacecolor="none",
        markersize=8,
        label="β-VAEs, one training each",
    )
    axes.set(ylabel="L (nats per image)")
    axes.legend(frameon=False, labelcolor=INK)


def _draw_gaps(axes: "Axes", record: ComparisonRecord) -> None:
    axes.axhline(0, color=OTHER, linewidth=1.2)
    for colour, arm in zip(_colours(len(record.arms)), record.arms.values(), strict=True):
        axes.plot(record.betas, [100 * gap for gap in arm.gap], "-", color=colour, linewidth=1.0)
    ours = record.mrvae
    axes.plot(record.betas, [100 * gap for gap in ours.gap], "o-", color=LINE, linewidth=2.2, markersize=5)
    if ours.gap_interval is not None:
        low, high = ([100 * end for end in ends] for ends in zip(*ours.gap_interval, strict=True))
        axes.fill_between(record.betas, low, high, color=LINE, alpha=0.25, linewidth=0)
    axes.set(ylabel="gap to β-VAEs (%)")


def _colours(count: int) -> list[str]:
    return [ARMS[i % len(ARMS)] for i in range(count)]
