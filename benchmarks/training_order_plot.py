"""The plot of `training_order.py`: L over the training at each β, and below it the latents in use.

Told apart also by the colour-blind and in grey: the share that falls is blue and thick, β-VAEs are orange and end in a
hollow point, the other two are dashed and dotted.
"""

from io import BytesIO
from typing import TYPE_CHECKING, Any

from mrvae_zoo.evaluation.plots import FAINT, INK, LINE, OTHER, check_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from training_order import Summary

SIZE, DPI = (10.0, 5.0), 160  # inches, and pixels per inch
HEIGHTS = (2.4, 1.0)
LETTERS, SMALL = 9.5, 8.5  # points
HIDDEN = 0.25  # of the training, in which L falls too far to be shown with the rest
LOOKS: dict[str, dict[str, Any]] = {  # drawn in this order
    "log-uniform": {"color": FAINT, "linestyle": (0, (1.2, 1.4)), "linewidth": 1.7},
    "constant": {"color": INK, "linestyle": (0, (5, 2)), "linewidth": 1.4},
    "dedicated": {"color": OTHER, "linestyle": "-", "linewidth": 1.4},
    "falling": {"color": LINE, "linestyle": "-", "linewidth": 2.2},
}


def draw(arms: "dict[str, list[Summary]]", settings: dict[str, Any], *, names: dict[str, str], digest: str) -> bytes:
    """A PNG with two panels for each β and a legend of `names`; `digest` is kept in its text "Results".

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    betas = settings["betas"]
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(betas), sharex=True, squeeze=False, height_ratios=HEIGHTS)
    epochs = settings["epochs"] / settings["steps"]
    for place, beta in enumerate(betas):
        losses, latents = grid[:, place]
        of_beta = {arm: arms[arm][place] for arm in LOOKS}
        _draw_losses(losses, of_beta, epochs)
        _draw_latents(latents, of_beta, epochs, settings["latents"])
        losses.set_title(f"β = {beta:g}", color=INK, fontsize=LETTERS, weight="bold")
        losses.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        latents.set_xlabel("epochs", color=INK, fontsize=LETTERS)
        if place:
            latents.tick_params(labelleft=False)
        for axes in (losses, latents):
            axes.grid(color=FAINT, alpha=0.2, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(colors=INK, labelsize=SMALL)
    grid[0, 0].set_ylabel("L (nats per image)", color=INK, fontsize=LETTERS)
    grid[1, 0].set_ylabel("latents in use", color=INK, fontsize=LETTERS)
    figure.align_ylabels(grid[:, 0])
    order = ("falling", "constant", "log-uniform", "dedicated")
    lines = {arm: Line2D([], [], **look) for arm, look in LOOKS.items()}
    lines["dedicated"].set(marker="D", markersize=5, markerfacecolor="white")
    figure.legend(
        [lines[arm] for arm in order],
        [names[arm].replace("β_min", "β$_\\mathrm{min}$") for arm in order],
        loc="outside upper center",
        ncols=len(order),
        frameon=False,
        labelcolor=INK,
        fontsize=LETTERS,
        handlelength=2.6,
    )
    file = BytesIO()
    figure.savefig(file, dpi="figure", format="png", metadata={"Software": None, "Results": digest})
    return file.getvalue()


def _draw_losses(axes: "Axes", arms: "dict[str, Summary]", epochs: float) -> None:
    """L of the mean over seeds, with the range between seeds, on the held-out images."""
    late: list[float] = []
    for arm, look in LOOKS.items():
        found = arms[arm]
        x = [step * epochs for step in found.steps]
        means = [sum(each) / len(each) for each in zip(*found.loss, strict=True)]
        axes.plot(x, means, **look)
        _mark_end(axes, arm, x[-1], means[-1])
        axes.fill_between(x, *_range(found.loss), color=look["color"], alpha=0.15, linewidth=0)
        late += [mean for mean, step in zip(means, found.steps, strict=True) if step > HIDDEN * found.steps[-1]]
    low, high = min(late), max(late)
    axes.set_ylim(low - 0.05 * (high - low), high)


def _draw_latents(axes: "Axes", arms: "dict[str, Summary]", epochs: float, most: int) -> None:
    for arm, look in LOOKS.items():
        x, latents = [step * epochs for step in arms[arm].steps], arms[arm].latents
        axes.plot(x, latents, **look)
        _mark_end(axes, arm, x[-1], latents[-1])
    axes.set_ylim(0, 1.06 * most)
    axes.set_yticks([0, most // 2, most])


def _mark_end(axes: "Axes", arm: str, x: float, y: float) -> None:
    """A hollow point where the line of the β-VAEs ends."""
    if arm == "dedicated":
        look = {"color": OTHER, "markersize": 5, "markerfacecolor": "white", "clip_on": False, "zorder": 3}
        axes.plot([x], [y], "D", **look)


def _range(seeds: list[list[float]]) -> tuple[list[float], list[float]]:
    """The lowest and the highest value over seeds at each step."""
    return [min(each) for each in zip(*seeds, strict=True)], [max(each) for each in zip(*seeds, strict=True)]
