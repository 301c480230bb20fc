"""Drawing a rate-distortion curve, with matplotlib (the extra "plots") and without its global state."""

import importlib.util
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.models.curve import RDCurve, RDPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox


ANONYMOUS: dict[str, dict[str, Any]] = {  # what a format would say beside the plot
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Date": None},
}
LINE, OTHER, INK, FAINT = "#2f6fb0", "#c8552b", "#202024", "#6e6e76"


def plot_curve(curve: RDCurve, path: Path, *, title: str, other: RDCurve | None = None, other_title: str = "") -> None:
    """Write the plot of a curve in the format of the suffix; see `draw_curve`. A file that exists is overwritten."""
    kind = plot_format(path)
    write_atomically(path, draw_curve(curve, title=title, other=other, other_title=other_title, kind=kind))


def plot_format(path: Path) -> str:
    """The format that the suffix of a file stands for, as matplotlib calls it.

    Raises:
        ValueError: there is no suffix, or none of a format that matplotlib writes.
        MissingExtraError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    kind = path.suffix.lower().removeprefix(".")
    if kind not in FigureCanvasAgg.get_supported_filetypes():
        raise ValueError(f"{path} should end in .png, .pdf, .svg or another format that matplotlib writes")
    return kind


def draw_curve(
    curve: RDCurve,
    *,
    title: str,
    dedicated: Sequence[RDPoint] = (),
    other: RDCurve | None = None,
    other_title: str = "",
    kind: str = "png",
) -> bytes:
    """Distortion over rate, each measured point labelled with its β, and L = D + β·R over β beside it, as a PNG.

    Example:
        Path("curve.png").write_bytes(mrvae_zoo.draw_curve(model.require_curve(), title="my model"))

    Args:
        curve: what to draw.
        title: the name of the model, for example.
        dedicated: points of β-VAEs that were each trained for one β, to lay beside it.
        other: the curve of another model, to lay beside it.
        other_title: the name of that one.
        kind: another format of matplotlib's, such as "pdf".

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = pair_of_axes()
    left, right = figure.axes
    left.plot([p.rate for p in curve.points], [p.distortion for p in curve.points], "o-", color=LINE, markersize=5)
    left.set(xlabel="rate R (nats an image)", ylabel="distortion D (nats an image)")
    left.margins(x=0.14, y=0.08)
    right.plot(curve.betas, [p.loss for p in curve.points], "o-", color=LINE, markersize=5)
    right.set(ylabel="L = D + β·R (nats an image)")
    over_beta(right)
    if dedicated:
        for axes, places in (
            (left, [(p.rate, p.distortion) for p in dedicated]),
            (right, [(p.beta, p.loss) for p in dedicated]),
        ):
            # Hollow, for a point of the curve may lie below.
            axes.plot(*zip(*places, strict=True), "D", color=OTHER, markerfacecolor="none", markersize=8)
        right.legend(["Multi-Rate VAE, one training", "β-VAEs, one training each"], frameon=False, labelcolor=INK)
    if other is not None:
        look: dict[str, Any] = {"color": OTHER, "linestyle": "--", "marker": "s", "markersize": 4}
        left.plot([p.rate for p in other.points], [p.distortion for p in other.points], **look)
        right.plot(other.betas, [p.loss for p in other.points], **look)
        right.legend([title, other_title], frameon=False, labelcolor=INK)
    figure.suptitle(_heading(curve, title), color=INK, fontsize=12)
    figure.draw_without_rendering()  # lays the axes out: where labels are free of each other depends on it
    _label_betas(left, curve.points)
    return to_image(figure, kind)


def pair_of_axes() -> "Figure":
    """A figure of two axes side by side, with the look that a curve and a comparison share.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    for axes in figure.subplots(1, 2):
        axes.grid(color=FAINT, alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK)
    return figure


def over_beta(axes: "Axes") -> None:
    """β on the horizontal axis."""
    axes.set(xscale="log", xlabel="β")
    axes.xaxis.set_major_formatter("{x:g}")


def to_image(figure: "Figure", kind: str = "png") -> bytes:
    """The plot in a format of matplotlib's, without the version of what drew it and the time."""
    import matplotlib as mpl

    file = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "mrvae_zoo"}):  # or its ids would be drawn at random
        figure.savefig(file, dpi="figure", format=kind, metadata=ANONYMOUS.get(kind))
    return file.getvalue()


def check_matplotlib() -> None:
    """Raise a MissingExtraError where there is no matplotlib: to know before a long measurement."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plots")


def _heading(curve: RDCurve, title: str) -> str:
    measured = ", ".join(str(curve.data[key]) for key in ("name", "split") if key in curve.data)
    return f"{title}  ({measured})" if measured else title


def _label_betas(axes: "Axes", points: tuple[RDPoint, ...]) -> None:
    """Write β beside the points, above and to the right of the curve; none where it would run into another label."""
    boxes: list[Bbox] = []
    ends = (0, len(points) - 1)
    for i in sorted(range(len(points)), key=lambda i: (i not in ends, len(f"{points[i].beta:g}"))):  # round ones first
        text = f"β = {points[i].beta:.2g}" if i in ends else f"{points[i].beta:.2g}"
        where = (points[i].rate, points[i].distortion)
        label = axes.annotate(text, where, (5, 5), textcoords="offset points", color=INK, fontsize=9)
        box = label.get_window_extent().padded(3)  # room for what the labels change in the layout
        if any(box.overlaps(other) for other in boxes):
            label.remove()
        else:
            boxes.append(box)
