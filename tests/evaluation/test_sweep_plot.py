import pytest
from matplotlib.figure import Figure

from mrvae_zoo.evaluation.sweep_plot import Panel, draw_panels, plot_panels


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    saved = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: saved.append(self) or save(self, *a, **k))
    return saved


def panel(title: str, count: int = 13) -> Panel:
    betas = [0.01 * 1000 ** (i / max(1, count - 1)) for i in range(count)]
    values = [0.9 - 0.001 * (i - 5) ** 2 for i in range(count)]
    return Panel(
        title=title,
        betas=betas,
        values=values,
        low=[value - 0.02 for value in values],
        high=[value + 0.02 for value in values],
        rates=[100.0 / (1 + i) for i in range(count)],
        best=min(5, count - 1),
        recommended=min(8, count - 1),
    )


@pytest.mark.parametrize("count", [1, 2, 13, 40])
def test_a_panel_shows_values_band_marks_and_rates(figures, count):
    given = panel("accuracy", count)
    assert draw_panels([given], title="a model").startswith(b"\x89PNG")
    axes, top = figures[0].axes
    assert axes.lines[0].get_xydata().tolist() == [[b, v] for b, v in zip(given.betas, given.values, strict=True)]
    marks = {line.get_label(): line.get_xydata()[0].tolist() for line in axes.lines if "β" in str(line.get_label())}
    assert marks == {
        "best β": [given.betas[given.best], given.values[given.best]],
        "recommended β": [given.betas[given.recommended], given.values[given.recommended]],
    }
    edges = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == pytest.approx((min(given.low), max(given.high)))
    assert axes.get_xscale() == top.get_xscale() == "log"
    assert axes.get_ylabel() == "accuracy"
    assert top.get_xlabel() == "rate R (nats per image)"
    written = dict(zip(top.get_xticks(), (text.get_text() for text in top.get_xticklabels()), strict=True))
    assert 1 <= len(written) <= 5
    assert all(written[beta] == f"{given.rates[given.betas.index(beta)]:.3g}" for beta in written)
    assert top.get_xlim() == axes.get_xlim()
    assert [text.get_text() for text in figures[0].legends[0].texts] == ["95% interval", "best β", "recommended β"]


@pytest.mark.parametrize(("count", "shape"), [(2, (1, 2)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3))])
def test_several_metrics_are_small_panels_and_nothing_is_cut_off(figures, count, shape):
    draw_panels([panel(f"metric {i}") for i in range(count)], title="a model")
    (figure,) = figures
    bottoms = [axes for axes in figure.axes if axes.get_xlabel() == "β"]
    assert len(bottoms) == count
    assert (
        bottoms[0].get_subplotspec().get_gridspec().nrows,
        bottoms[0].get_subplotspec().get_gridspec().ncols,
    ) == shape
    box = figure.bbox
    for text in [*(axes.yaxis.label for axes in bottoms), *(axes.xaxis.label for axes in figure.axes), *figure.texts]:
        extent = text.get_window_extent()
        assert box.x0 <= extent.x0
        assert extent.x1 <= box.x1
        assert box.y0 <= extent.y0
        assert extent.y1 <= box.y1


def test_the_suffix_is_the_format_and_a_wrong_one_is_an_error(tmp_path):
    for suffix, start in (("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")):
        plot_panels([panel("a")], tmp_path / f"sweep.{suffix}", title="")
        assert (tmp_path / f"sweep.{suffix}").read_bytes().startswith(start)
    with pytest.raises(ValueError, match="sweep.xyz should end in .png, .pdf, .svg"):
        plot_panels([panel("a")], tmp_path / "sweep.xyz", title="")
    assert len(list(tmp_path.iterdir())) == 3
