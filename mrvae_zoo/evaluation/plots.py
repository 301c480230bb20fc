"""Drawing a rate-distortion curve, with matplotlib (the extra "plots") and without its global state."""

import importlib.util
import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.models.curve import RDCurve, RDPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path as Line
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox


ANONYMOUS: dict[str, dict[str, Any]] = {  # what a format would say beside the plot
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Date": None},
}
LINE, OTHER, INK, FAINT = "#2f6fb0", "#c8552b", "#202024", "#6e6e76"
SIZE, DPI = (6.0, 8.4), 150  # inches, and pixels per inch: 900 pixels wide, legible when a phone shows 360 of them
LETTERS, SMALL = 12, 11.5  # points
LONGEST_HEADING = 48  # characters of one line
MOST_LABELS = 7  # of β beside the curve
OUTSIDE = 100  # what a label that leaves the axes counts, where covering a line or a mark counts 1
PLACES: tuple[tuple[float, float, str, str], ...] = (  # of a label: points right of and above its mark, and alignment
    (8, 6, "left", "bottom"),
    (10, 0, "left", "center"),
    (0, 10, "center", "bottom"),
    (8, 16, "left", "bottom"),
    (-8, -6, "right", "top"),
    (0, -10, "center", "top"),
    (-10, 0, "right", "center"),
    (0, 24, "center", "bottom"),
    (-8, 8, "right", "bottom"),
    (8, -8, "left", "top"),
)


def plot_curve(curve: RDCurve, path: Path, *, title: str, other: RDCurve | None = None, other_title: str = "") -> None:
    """Write the plot of a curve in the format of the suffix; see `draw_curve`. A file that exists is overwritten."""
    kind = plot_format(path)
    write_atomically(path, draw_curve(curve, title=title, other=other, other_title=other_title, kind=kind))


def plot_format(path: Path) -> str:
    """The format that the suffix of a file stands for, as matplotlib calls it.

    Raises:
        ValueError: There is no suffix, or none of a format that matplotlib writes.
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
    """Draw distortion over rate, with β beside some points, and below it L = D + β·R over β. The result is a PNG.

    Example:
        Path("curve.png").write_bytes(mrvae_zoo.draw_curve(model.require_curve(), title="my model"))

    Args:
        curve: The curve to draw.
        title: The heading, such as the name of the model.
        dedicated: The points of β-VAEs that were each trained for one β; they are drawn beside the curve.
        other: The curve of another model, drawn beside the first.
        other_title: The name of the other model.
        kind: The format, as matplotlib calls it, such as "pdf".

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = pair_of_axes()
    plane, losses = figure.axes
    plane.plot([p.rate for p in curve.points], [p.distortion for p in curve.points], "o-", color=LINE, markersize=6)
    plane.set(xlabel="rate R (nats per image)", ylabel="distortion D (nats per image)")
    plane.margins(x=0.12, y=0.12)
    losses.plot(curve.betas, [p.loss for p in curve.points], "o-", color=LINE, markersize=6)
    losses.set(ylabel="L = D + β·R (nats per image)")
    over_beta(losses)
    if dedicated:
        for axes, places in (
            (plane, [(p.rate, p.distortion) for p in dedicated]),
            (losses, [(p.beta, p.loss) for p in dedicated]),
        ):
            # Hollow, for a point of the curve may lie below.
            axes.plot(*zip(*places, strict=True), "D", color=OTHER, markerfacecolor="none", markersize=10)
        _name_lines(losses, "Multi-Rate VAE, one training", "β-VAEs, one training each")
    if other is not None:
        look: dict[str, Any] = {"color": OTHER, "linestyle": "--", "marker": "s", "markersize": 5}
        plane.plot([p.rate for p in other.points], [p.distortion for p in other.points], **look)
        losses.plot(other.betas, [p.loss for p in other.points], **look)
        _name_lines(losses, title, other_title)
    figure.suptitle(_heading(curve, title), color=INK, fontsize=LETTERS)
    figure.draw_without_rendering()  # lays the axes out: where labels are free of each other depends on it
    _label_betas(plane, curve.points)
    return to_image(figure, kind)


def pair_of_axes() -> "Figure":
    """A figure of two axes, one above the other, with the look that a curve and a comparison share.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    for axes in figure.subplots(2, 1):
        axes.grid(color=FAINT, alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=LETTERS)
        axes.locator_params(nbins=6)
        for axis in (axes.xaxis, axes.yaxis):
            axis.label.set(color=INK, fontsize=LETTERS)
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


def _name_lines(axes: "Axes", *names: str) -> None:
    axes.legend(names, frameon=False, labelcolor=INK, fontsize=SMALL)


def _heading(curve: RDCurve, title: str) -> str:
    measured = ", ".join(str(curve.data[key]) for key in ("name", "split") if key in curve.data)
    if not measured:
        return title
    between = "\n" if len(title) + len(measured) > LONGEST_HEADING else "  "
    return f"{title}{between}({measured})"


class _Drawn(NamedTuple):
    """What a label must not cover, in pixels: the lines, and the boxes of marks and of other labels."""

    lines: "list[Line]"
    boxes: "list[Bbox]"


def _label_betas(axes: "Axes", points: tuple[RDPoint, ...]) -> None:
    """Write β beside some points: at both ends always, and elsewhere where it covers nothing."""
    drawn = _drawn(axes)
    inside = axes.get_window_extent()
    ends = (0, len(points) - 1)
    written = 0
    for i in sorted(range(len(points)), key=lambda i: (i not in ends, _roundness(points[i].beta))):
        if written == MOST_LABELS:
            break
        text = f"β = {points[i].beta:.2g}" if i in ends else f"{points[i].beta:.2g}"
        where = (points[i].rate, points[i].distortion)
        label = axes.annotate(text, where, (0, 0), textcoords="offset points", color=INK, fontsize=SMALL)
        label.set_in_layout(False)
        covered, box = _place(label, inside, drawn)
        if covered and i not in ends:
            label.remove()
            continue
        drawn.boxes.append(box)
        written += 1


def _roundness(beta: float) -> tuple[bool, int]:
    """A key that sorts powers of ten first, and then numbers of few digits."""
    power = math.log10(beta)
    return not math.isclose(power, round(power), abs_tol=1e-6), len(f"{beta:g}")


def _place(label: "Annotation", inside: "Bbox", drawn: _Drawn) -> "tuple[int, Bbox]":
    """Put a label where it covers least: how much that is, and the box of the label there."""
    tried = []
    for place in PLACES:
        _put(label, place)
        box = label.get_window_extent().padded(6)
        covered = sum(line.intersects_bbox(box, filled=False) for line in drawn.lines)
        covered += sum(box.overlaps(other) for other in drawn.boxes)
        covered += OUTSIDE * (box.x0 < inside.x0 or box.x1 > inside.x1 or box.y0 < inside.y0 or box.y1 > inside.y1)
        tried.append((covered, box, place))
        if not covered:
            break
    covered, box, place = min(tried, key=lambda one: one[0])
    _put(label, place)
    return covered, box


def _put(label: "Annotation", place: tuple[float, float, str, str]) -> None:
    x, y, horizontal, vertical = place
    label.set(position=(x, y), horizontalalignment=horizontal, verticalalignment=vertical)


def _drawn(axes: "Axes") -> _Drawn:
    from matplotlib.path import Path as Line
    from matplotlib.transforms import Bbox

    lines, boxes = [], []
    for line in axes.lines:
        places = axes.transData.transform(line.get_xydata())
        if line.get_linestyle() != "None" and len(places) > 1:
            lines.append(Line(places))
        radius = line.get_markersize() / 2 * axes.figure.dpi / 72
        boxes += [Bbox.from_extents(x - radius, y - radius, x + radius, y + radius) for x, y in places]
    return _Drawn(lines, boxes)
