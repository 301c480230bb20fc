import subprocess
import sys
from itertools import combinations

import pytest
from matplotlib.figure import Figure

from mrvae_zoo import MissingExtraError, RDCurve, RDPoint
from mrvae_zoo.evaluation.plots import plot_curve


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
    assert all(figure.bbox.containsx(box.x1) and figure.bbox.containsy(box.y1) for box in boxes)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1


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
