"""Two plots of all comparisons: quality against the cost of the whole curve, and against the learning rate.

Colours are those of `figures_plot`: the Multi-Rate VAE is blue and a line, β-VAEs are orange and hollow, arms are grey.
"""

import statistics
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from mrvae_zoo.comparison.record import ComparisonRecord, Trial
from mrvae_zoo.data.sets import data_facts
from mrvae_zoo.evaluation.plots import FAINT, INK, LINE, OTHER, check_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
PANEL = (3.4, 3.0)  # inches
SMALL, USUAL = 7.5, 8.5  # points, of letters
MARKERS = "sv^<>p"  # of arms
FEWEST_RATES = 3  # for a line over learning rates


def draw_costs(records: Sequence[ComparisonRecord], *, digest: str) -> bytes:
    """A PNG with a panel for each comparison of several budgets or arms: the gap over the cost of the whole curve.

    The cost is in trainings of one dedicated β-VAE. A dot is the mean gap over β, and a bar reaches to the worst one.
    """
    shown = [record for record in records if is_costed(record)]
    figure, panels = _figure(len(shown))
    for record, axes in zip(shown, panels, strict=True):
        one = statistics.fmean(record.cost.dedicated.flops_per_beta)
        _draw_sides(axes, record, one)
        axes.set(xscale="log")
        axes.set_xticks([1, 2, 3, 5, 10], ["1", "2", "3", "5", "10"])
        axes.set_xlim(0.8, 1.3 * max(10, len(record.betas)))
        axes.minorticks_off()
        axes.set_xlabel("cost of the curve, in β-VAE trainings", color=INK, fontsize=USUAL)
        axes.set_ylabel("gap in L (%)", color=INK, fontsize=USUAL)
        _finish(axes, record)
    return _png(figure, digest)


def is_costed(record: ComparisonRecord) -> bool:
    """Whether a comparison says what a step of each side costs."""
    return record.cost.dedicated.step is not None


def _draw_sides(axes: "Axes", record: ComparisonRecord, one: float) -> None:
    """Draw the budgets of the Multi-Rate VAE, the arms, and the β-VAEs at 0."""
    count = len(record.betas)
    axes.axhline(0, color=OTHER, linewidth=0.8, alpha=0.6)
    axes.plot([count], [0], "D", color=OTHER, markerfacecolor="none", markersize=7, label=f"{count} β-VAEs")
    budgets = record.budgets or ()
    costs = [each.flops / one for each in budgets] or [record.cost.mrvae.flops / one]
    gaps = [each.gap for each in budgets] or [record.mrvae.gap]
    for place, (name, arm) in enumerate(record.arms.items()):
        cost = record.cost.arms[name].flops / one * (1.04 + 0.04 * place)  # aside, where it would hide another
        worst = 100 * max(arm.gap)
        axes.vlines(cost, 100 * arm.mean_gap, worst, color=FAINT, linewidth=1.0)
        marker = MARKERS[place % len(MARKERS)]
        axes.plot([cost], [100 * arm.mean_gap], marker, color=FAINT, markersize=5, label=f"gating {name}")
    means = [100 * statistics.fmean(gap) for gap in gaps]
    axes.vlines(costs, means, [100 * max(gap) for gap in gaps], color=LINE, linewidth=2.5, alpha=0.4)
    axes.plot(costs, means, "o-", color=LINE, linewidth=1.6, markersize=4.5, label="Multi-Rate VAE")


def draw_tuning(records: Sequence[ComparisonRecord], *, digest: str) -> bytes:
    """A PNG with a panel for each comparison that tuned every β: the mean loss over the curve, over the learning rate.

    Losses are on the validation split, relative to the best rate at each β.
    """
    shown = [record for record in records if is_tuned_everywhere(record)]
    figure, panels = _figure(len(shown))
    for record, axes in zip(shown, panels, strict=True):
        shared, own = sharing(record.dedicated.learning_rates_tried), ours(record)
        best = min(own, key=own.__getitem__)
        for losses, style, color, label in (
            (shared, "D--", OTHER, f"{len(record.betas)} β-VAEs that share a rate"),
            (own, "o-", LINE, "Multi-Rate VAE, one training"),
        ):
            rates = sorted(losses)
            filled = color if color == LINE else "none"
            percent = [100 * losses[rate] for rate in rates]
            axes.plot(rates, percent, style, color=color, markerfacecolor=filled, markersize=5, label=label)
        axes.axhline(0, color=OTHER, linewidth=1.2, label=f"{len(record.betas)} β-VAEs, each with its best rate")
        axes.axvspan(best / 2, best * 4, color=FAINT, alpha=0.08, linewidth=0)
        axes.set(xscale="log")
        axes.set_xticks(sorted({*shared, *own}), [f"{rate:g}" for rate in sorted({*shared, *own})])
        axes.minorticks_off()
        axes.set_xlabel("learning rate", color=INK, fontsize=USUAL)
        axes.set_ylabel("mean of L over β, above the best (%)", color=INK, fontsize=USUAL)
        _finish(axes, record)
    return _png(figure, digest)


def is_tuned_everywhere(record: ComparisonRecord) -> bool:
    """Whether dedicated rates were tried at every β, at several rates that all β share."""
    return record.dedicated.tuned_at == record.betas and len(sharing(record.dedicated.learning_rates_tried)) >= (
        FEWEST_RATES
    )


def sharing(trials: Sequence[Trial]) -> dict[float, float]:
    """The mean over β of L above the best at that β, as a fraction, of β-VAEs that share a rate: for each such rate."""
    best = _best(trials)
    by_rate: dict[float, list[float]] = {}
    for trial in trials:
        if trial.validation is not None and trial.beta is not None:
            by_rate.setdefault(trial.learning_rate, []).append(trial.validation / best[trial.beta] - 1)
    return {rate: statistics.fmean(each) for rate, each in by_rate.items() if len(each) == len(best)}


def ours(record: ComparisonRecord) -> dict[float, float]:
    """The same for the Multi-Rate VAE of the recipe."""
    best = _best(record.dedicated.learning_rates_tried)
    return {
        trial.learning_rate: statistics.fmean(
            loss / best[beta] - 1 for loss, beta in zip(trial.losses, record.betas, strict=True)
        )
        for trial in record.mrvae.learning_rates_tried
        if trial.losses is not None
    }


def _best(trials: Sequence[Trial]) -> dict[float, float]:
    best: dict[float, float] = {}
    for trial in trials:
        if trial.beta is not None and trial.validation is not None:
            best[trial.beta] = min(trial.validation, best.get(trial.beta, trial.validation))
    return best


def _figure(count: int) -> tuple["Figure", list["Axes"]]:
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(1, min(count, 3))
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(columns * PANEL[0], rows * PANEL[1]), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flatten())
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def _finish(axes: "Axes", record: ComparisonRecord) -> None:
    model = record.recipe["model"]
    widths = "-".join(map(str, model.get("widths", ())))
    seeds = f"{len(record.seeds)} seed{'s' if len(record.seeds) > 1 else ''}"
    epochs = f"{record.recipe['training']['epochs']} epochs"
    title = f"{data_facts(record.data['name']).title}\n{model['architecture']} {widths}, {epochs}, {seeds}"
    axes.set_title(title, loc="left", color=INK, fontsize=SMALL)
    axes.legend(frameon=False, labelcolor=INK, fontsize=SMALL)
    axes.grid(color=FAINT, alpha=0.2, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=SMALL)


def _png(figure: "Figure", digest: str) -> bytes:
    file = BytesIO()
    figure.savefig(file, dpi="figure", format="png", metadata={"Software": None, "Records": digest})
    return file.getvalue()
