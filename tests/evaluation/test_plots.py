import subprocess
import sys
from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from mrvae_zoo import MissingExtraError, RDCurve, RDPoint
from mrvae_zoo.evaluation.plots import draw_curve, plot_curve


def falling(count: int) -> RDCurve:
    """A curve of so many points, half of them crowded at its low end."""
    betas = [0.01 * 1000 ** (i / max(1, count - 1)) for i in range(count)]
    points = [RDPoint(beta=beta, rate=100 / (1 + 3 * beta), distortion=40 + 9 * beta) for beta in betas]
    return RDCurve(points=tuple(points), data={"name": "mnist", "split": "test"})


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    saved = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: saved.append(self) or save(self, *a, **k))
    return saved


@pytest.mark.parametrize("count", [1, 2, 13, 60])
def test_the_plot_shows_every_point_and_no_label_covers_another(figures, tmp_path, count):
    curve = falling(count)
    plot_curve(curve, tmp_path / "curve.png", title="mrvae_mlp.mnist")
    (figure,) = figures
    left, right = figure.axes
    assert left.lines[0].get_xydata().tolist() == [[p.rate, p.distortion] for p in curve.points]
    assert right.lines[0].get_xydata().tolist() == [[p.beta, p.loss] for p in curve.points]
    assert all("nats" in label for label in (left.get_xlabel(), left.get_ylabel(), right.get_ylabel()))
    assert figure.get_suptitle() == "mrvae_mlp.mnist  (mnist, test)"
    texts = {text.get_text() for text in left.texts}
    assert {f"β = {curve.betas[0]:.2g}", f"β = {curve.betas[-1]:.2g}"} <= texts
    assert len(texts) >= min(count, 6)
    boxes = [text.get_window_extent() for text in left.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    axes = left.get_window_extent()
    assert all(axes.x0 <= box.x0 and box.x1 <= axes.x1 for box in boxes)
    assert all(axes.y0 <= box.y0 and box.y1 <= axes.y1 for box in boxes)
    line = left.transData.transform_path(left.lines[0].get_path())
    assert not any(line.intersects_bbox(box, filled=False) for box in boxes)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1


def test_the_plot_is_legible_on_a_phone(figures, tmp_path):
    """Shown 360 pixels wide, no letter is smaller than those of a caption."""
    dedicated = [RDPoint(beta=0.1, rate=60.0, distortion=45.0)]
    draw_curve(falling(13), title="a_name_that_is_long.and_a_data_set", dedicated=dedicated)
    (figure,) = figures
    width = figure.bbox.width
    assert width == 900
    letters = [text for text in figure.findobj(Text) if text.get_text()]
    assert all(text.get_fontsize() * figure.dpi / 72 * 360 / width >= 9 for text in letters)
    assert figure.get_suptitle() == "a_name_that_is_long.and_a_data_set  (mnist, test)"
    heading = figure._suptitle.get_window_extent()
    assert heading.x0 >= 0
    assert heading.x1 <= width
    draw_curve(falling(13), title="Multi-Rate VAE trained on a set that has a name of many letters")
    assert figures[1].get_suptitle().endswith("\n(mnist, test)")


def test_labels_leave_the_points_of_other_models_free(figures):
    """A point where a label would stand moves the label, and does not lose it."""
    curve = falling(13)
    draw_curve(curve, title="one")
    plane = figures[0].axes[0]
    (label,) = (text for text in plane.texts if text.get_text() == "β = 0.01")
    box = label.get_window_extent()
    rate, distortion = plane.transData.inverted().transform(((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2))
    draw_curve(curve, title="one", dedicated=[RDPoint(beta=0.01, rate=rate, distortion=distortion)])
    plane = figures[1].axes[0]
    (label,) = (text for text in plane.texts if text.get_text() == "β = 0.01")
    (place,) = plane.transData.transform(plane.lines[1].get_xydata())
    assert not label.get_window_extent().contains(*place)


def test_the_state_of_pyplot_is_left_alone(tmp_path):
    code = (
        "import sys; from pathlib import Path; from mrvae_zoo import RDCurve, RDPoint\n"
        "from mrvae_zoo.evaluation.plots import plot_curve\n"
        "curve = RDCurve(points=(RDPoint(beta=1.0, rate=1.0, distortion=2.0),))\n"
        "plot_curve(curve, Path(sys.argv[1]), title='one')\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "curve.png")], check=True)


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"matplotlib is not installed; .*mrvae-zoo\[plots\]"):
        plot_curve(falling(3), tmp_path / "curve.png", title="x")
    assert list(tmp_path.iterdir()) == []
