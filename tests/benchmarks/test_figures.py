"""`make figures`: what the README shows of comparisons is what their files hold."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import BUDGETS, CHECKOUT, RECORD
from matplotlib.figure import Figure
from PIL import Image

from mrvae_zoo.comparison.record import PerSeed, SeedGap, SeedLoss, Trial, read_record
from mrvae_zoo.comparison.spent import StepCost

pytestmark = pytest.mark.slow

RESULTS = CHECKOUT / "benchmarks" / "results"
RECORD = replace(
    RECORD,
    dedicated=replace(RECORD.dedicated, tuned_at=RECORD.betas),
    per_seed=tuple(
        PerSeed(
            seed=seed,
            dedicated=SeedLoss(L=RECORD.dedicated.L),
            mrvae=SeedGap(L=RECORD.mrvae.L, gap=gap),
            arms={"paper": SeedGap(L=RECORD.arms["paper"].L, gap=(0.10, 0.08))},
        )
        for seed, gap in enumerate([(-0.01, 0.02), (-0.03, 0.02)])
    ),
)
SHORT = replace(
    RECORD,
    regime="short",
    doubling=None,
    converged=None,
    arms={},
    seeds=(0,),
    mrvae=replace(RECORD.mrvae, gap=(-0.03, 0.0), gap_interval=((-0.031, -0.029), (-0.001, 0.001)), gap_spread=None),
)
AROUND = ("# Title\n\n", "\n\nmore, with a \\1 and a | in it\n")


@pytest.fixture
def figures(monkeypatch):
    """The script, as a module."""
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    return importlib.import_module("figures")


@pytest.fixture
def plot(figures):
    return importlib.import_module("figures_plot")


@pytest.fixture
def checkout(figures, tmp_path):
    """A checkout with two comparisons and a README that shows neither."""
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    (results / "compare_b_converged.json").write_text(RECORD.to_json(), encoding="utf-8")
    (results / "compare_a_short.json").write_text(SHORT.to_json(), encoding="utf-8")
    (results / "startup.json").write_text("{}", encoding="utf-8")
    (tmp_path / "docs" / "results").mkdir(parents=True)
    (tmp_path / "registry").mkdir()
    page = marked("figures").join(AROUND)
    (tmp_path / figures.PAGE).write_text(page, encoding="utf-8")
    (tmp_path / figures.README).write_text(f"{marked('models')}\n{marked('gaps')}", encoding="utf-8")
    return tmp_path


def marked(name):
    return f"<!-- {name}: begin -->\nold\n<!-- {name}: end -->"


@pytest.fixture
def drawn(monkeypatch):
    """The matplotlib figures that were saved."""
    saved = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: saved.append(self) or save(self, *a, **k))
    return saved


def rows(text):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]


def test_the_readme_shows_the_results_there_are(figures):
    results = figures.read_results(RESULTS)
    for page, text in figures.pages(CHECKOUT, results.records).items():
        assert page.read_text(encoding="utf-8") == text, f"{page} does not show the results; run `make figures`"
    shown = {
        figures.PLOT: bool(results.records),
        figures.COSTS: any(map(figures.is_costed, results.records)),
        figures.TUNING: any(map(figures.is_tuned_everywhere, results.records)),
    }
    for name, is_shown in shown.items():
        path = CHECKOUT / name
        assert path.exists() == is_shown
        if is_shown:
            with Image.open(path) as image:
                assert image.text["Records"] == results.digest, f"{path} shows other results; run `make figures`"


def test_it_writes_both_and_leaves_the_rest_alone(figures, checkout):
    figures.write_figures(checkout)
    page, plot = checkout / figures.PAGE, checkout / figures.PLOT
    text, image = page.read_bytes(), plot.read_bytes()
    before, _, rest = text.decode().partition("<!-- figures: begin -->\n")
    part, _, after = rest.partition("<!-- figures: end -->")
    assert (before, after) == AROUND
    assert part == figures.figures_part((SHORT, RECORD))
    assert f"]({plot.relative_to(page.parent).as_posix()})" in part
    assert "old" not in (checkout / figures.README).read_text(encoding="utf-8")
    figures.write_figures(checkout)
    assert (page.read_bytes(), plot.read_bytes()) == (text, image)
    assert sorted(path.name for path in plot.parent.iterdir()) == ["compare.png", "dedicated.md"]


def test_the_plot_tells_its_files_by_their_bytes(figures, checkout):
    results = checkout / figures.RESULTS
    figures.write_figures(checkout)
    with Image.open(checkout / figures.PLOT) as image:
        assert image.text["Records"] == figures.read_results(results).digest
    path = results / "compare_a_short.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"draws": 3}), encoding="utf-8")
    with Image.open(checkout / figures.PLOT) as image:
        assert image.text["Records"] != figures.read_results(results).digest


def test_the_table_is_of_the_records(figures):
    part = figures.figures_part((SHORT, RECORD))
    header, _, short, converged, paper = rows(part)[:5]
    assert short == [
        *("`mine`", "`mrvae_mlp` 12, Z = 3", "short, 2 epochs", "2 × 1", "1"),
        *("-1.50", "+0.00 (-0.10, +0.10) at 10", "0.90 of 2", "2 of 4"),
    ]
    assert converged == [
        *("`mine`", "`mrvae_mlp` 12, Z = 3", "converged, 2 epochs (2×: 0.10%)", "2 × 2", "1"),
        *("+0.50 ± 0.71", "+2.00 ± 2.00 (+1.00, +3.00) at 10", "0.90 of 2", "2 of 4"),  # 0.71: of 0.5% and -0.5%
    ]
    assert paper == [
        *("", "the same, `paper`", "", "", "1"),
        *("+9.00 ± 0.00", "+10.00 ± 1.00 (+9.00, +11.00) at 0.1", "1.00 of 2", "2 of 4"),
    ]
    assert len(header) == len(short) == len(converged) == len(paper)
    assert "no gap is above 0: 1 of 2. Gaps at or below 0: 3 of 4; with the upper end of the interval at or" in part
    assert "at or below 0.2%: 3." in part
    assert "(1 CPU thread)" in part


def test_published_figures_stand_beside_their_repetition(figures):
    four = read_record(RESULTS / "compare_mrvae_resnet.omniglot_short.json")  # at the β of the published table
    losses = (48.0, 50.0, 100.0, 180.0)
    repeated = replace(
        four,
        name="mrvae_resnet.smaller_binarized_mnist",
        dedicated=replace(four.dedicated, L=losses),
        mrvae=replace(four.mrvae, L=tuple(0.99 * loss for loss in losses)),
        arms={"paper": replace(four.mrvae, L=tuple(1.02 * loss for loss in losses))},
    )
    part = importlib.import_module("figures_published").published_part
    published = part((SHORT, repeated))
    header, _, *table = rows(published.partition("The table that the authors")[2])
    assert header == [
        *("β", "Published: β-VAE", "published MR-VAE", "Here: β-VAE", "`shrinkage` gates", "`paper` gates"),
    ]
    assert table == [
        ["0.01", "43.5", "48.6 (+11.8%)", "48.0", "47.5 (-1.0%)", "49.0 (+2.0%)"],  # 42.2 + 0.01 · 129.1 = 43.49
        ["0.1", "53.4", "56.5 (+5.9%)", "50.0", "49.5 (-1.0%)", "51.0 (+2.0%)"],
        ["1", "94.3", "95.5 (+1.3%)", "100.0", "99.0 (-1.0%)", "102.0 (+2.0%)"],
        ["10", "183.4", "188.6 (+2.8%)", "180.0", "178.2 (-1.0%)", "183.6 (+2.0%)"],
    ]
    without = part((SHORT,))
    assert without == part((four,)) == part((replace(SHORT, name=repeated.name),)) == part(())
    assert published.startswith(without)
    alone = replace(repeated, arms={})
    assert part((alone,)) in figures.figures_part((SHORT, alone))


def test_long_comparisons_stand_beside_the_plots_of_the_paper(figures):
    """Of Omniglot: the mean of nine gaps, and the worst of them."""
    part = importlib.import_module("figures_published").published_part
    long = replace(RECORD, regime="long", doubling=None, converged=None, budget=2.0)
    _, _, omniglot, *_, ours = rows(part((SHORT, long)))
    assert omniglot == ["published", "Omniglot", "ResNet of the authors, 200 epochs", "9", "-1.3", "+0.7 at 4.64"]
    assert ours == ["here, budget 2", "`mine`", "`mrvae_mlp` 12, 2 epochs", "2", "+0.5", "+2.0 at 10"]
    assert len(rows(part((SHORT, long)))) == len(rows(part((SHORT,)))) + 1


def test_a_comparison_of_the_older_protocol_is_marked(figures):
    older = replace(RECORD, dedicated=replace(RECORD.dedicated, tuned_at=None))
    assert [row[0] for row in rows(figures.figures_part((older, RECORD)))[2:6]] == ["`mine` *", "", "`mine`", ""]
    assert figures.OLDER in figures.figures_part((older,))
    assert figures.OLDER not in figures.figures_part((RECORD,))


# The plots of cost and tuning

STEP = StepCost(seconds=0.01, operations=10, parameters=5, settings="fp32")
TRIALS = tuple(
    Trial(learning_rate=rate, diverged=False, validation=loss, beta=beta)
    for beta, losses in ((0.1, (50.0, 49.0, 98.0)), (10.0, (200.0, 220.0, 240.0)))
    for rate, loss in zip((0.01, 0.02, 0.04), losses, strict=True)
)
OURS = tuple(
    Trial(learning_rate=rate, diverged=False, validation=1.0, losses=losses)
    for rate, losses in ((0.01, (49.0, 220.0)), (0.02, (50.96, 200.0)))
)
TUNED = replace(
    RECORD,
    budgets=BUDGETS,
    cost=replace(RECORD.cost, dedicated=replace(RECORD.cost.dedicated, step=STEP)),
    dedicated=replace(RECORD.dedicated, learning_rates_tried=TRIALS),
    mrvae=replace(RECORD.mrvae, learning_rates_tried=OURS),
)


def test_the_plot_of_costs_shows_every_budget_and_arm(figures, drawn):
    figures.draw_costs((RECORD, TUNED), digest="")
    (axes,) = drawn[0].axes  # the other one has not measured its steps
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines["2 β-VAEs"] == [[2, 0]]
    assert lines["Multi-Rate VAE"] == [pytest.approx(each) for each in ([0.45, 3.5], [0.9, 0.5], [2.7, -2.5])]
    assert lines["gating paper"] == [pytest.approx([1.04, 9.0])]
    worst = [bar.get_paths()[0].vertices[-1].tolist() for bar in axes.collections]
    assert worst[0] == pytest.approx([1.04, 10.0])


def test_the_plot_of_tuning_shows_what_one_rate_for_all_costs(figures, drawn):
    """Of the losses 50, 49, 98 at one β and 200, 220, 240 at the other, 49 and 200 are the best."""
    figures.draw_tuning((RECORD, TUNED), digest="")
    (axes,) = drawn[0].axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    shared = [[0.01, 100 * (50 / 49 - 1) / 2], [0.02, 10 / 2], [0.04, (100 + 20) / 2]]
    assert lines["2 β-VAEs that share a rate"] == [pytest.approx(each) for each in shared]
    assert lines["Multi-Rate VAE, one training"] == [pytest.approx(each) for each in ([0.01, 5.0], [0.02, 2.0])]
    diverged = replace(TRIALS[2], diverged=True, validation=None)
    without = replace(
        TUNED, dedicated=replace(TUNED.dedicated, learning_rates_tried=(*TRIALS[:2], diverged, *TRIALS[3:]))
    )
    assert not figures.is_tuned_everywhere(without)
    assert not figures.is_tuned_everywhere(replace(TUNED, dedicated=replace(TUNED.dedicated, tuned_at=(0.1,))))


def test_plots_of_cost_and_tuning_are_written_where_there_are_figures(figures, checkout):
    figures.write_figures(checkout)
    assert not (checkout / figures.COSTS).exists()
    (checkout / "benchmarks/results/compare_b_converged.json").write_text(TUNED.to_json(), encoding="utf-8")
    figures.write_figures(checkout)
    text = (checkout / figures.PAGE).read_text(encoding="utf-8")
    for name in (figures.COSTS, figures.TUNING):
        with Image.open(checkout / name) as image:
            assert image.text["Records"] == figures.read_results(checkout / figures.RESULTS).digest
        assert f"]({Path(name).name})" in text


def test_the_table_says_what_it_is_told(figures):
    recipe = RECORD.recipe | {"training": {"epochs": 2, "max_steps": 100}}
    data = {"name": "omniglot", "binarize": "dynamic", "train_examples": 21345}
    record = replace(RECORD, recipe=recipe, data=data, converged=False, budget=2.5)
    row = rows(figures.figures_part((record,)))[2]
    assert row[:5] == [
        *("Omniglot at 28×28, binarised (dynamic), 21,345 images", "`mrvae_mlp` 12, Z = 3"),
        *("not converged, 100 steps (2×: 0.10%)", "2 × 2", "2.5"),
    ]


def test_the_plot_shows_points_line_and_gaps(plot, drawn):
    record = replace(RECORD, data={"name": "cifar10"})
    assert plot.draw((record, SHORT), digest="sum").startswith(b"\x89PNG")
    plane, second, gaps, second_gaps = drawn[0].axes
    dedicated, ours, paper = plane.lines
    assert dedicated.get_xydata().tolist() == [[90.0, 40.0], [4.6, 130.0]]
    assert ours.get_xydata().tolist() == [[80.0, 40.0], [5.0, 130.0]]
    assert paper.get_xydata().tolist() == [[100.0, 45.0], [6.0, 130.0]]
    assert (dedicated.get_linestyle(), ours.get_linestyle()) == ("None", "-")
    assert dedicated.get_markerfacecolor() == "none"
    assert paper.get_linewidth() < ours.get_linewidth()
    named = [text.get_text() for text in plane.get_legend().get_texts()]
    assert named == [
        *("β-VAEs, one training each", "Multi-Rate VAE, one training", "gating paper: gap +8.0 to +10.0%"),
    ]
    assert [text.get_text() for text in plane.texts] == ["β = 0.1", "10", "CIFAR-10"]
    assert plane.get_title(loc="left") == "mrvae_mlp 12\nconverged, budget 1, 2 seeds"
    assert len(second.lines) == 2
    assert second.get_legend() is None
    assert second.get_title(loc="left") == "mrvae_mlp 12\nshort, budget 1, 1 seed"
    zero, paper, ours = gaps.lines
    assert set(zero.get_ydata()) == {0}
    assert paper.get_ydata().tolist() == pytest.approx([10.0, 8.0])
    assert ours.get_xydata().flatten().tolist() == pytest.approx([0.1, -1.0, 10.0, 2.0])
    (intervals,) = gaps.collections
    ends = [float(y) for path in intervals.get_paths() for y in path.vertices[:, 1]]
    assert ends == pytest.approx([-2.0, 0.0, 1.0, 3.0])
    assert gaps.get_xscale() == "log"
    assert gaps.get_ylim() == second_gaps.get_ylim()
    assert gaps.get_ylim()[0] < -3.1  # of the other
    assert gaps.get_ylim()[1] > 3.0


@pytest.mark.parametrize("count", [1, 4, 5, 8])
def test_nothing_written_runs_into_something_else(plot, drawn, count):
    record = replace(RECORD, data={"name": "binarized_mnist"})
    plot.draw((record,) * count, digest="sum")
    (figure,) = drawn
    assert len(figure.axes) == 2 * count
    page = figure.bbox
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for i, box in enumerate(boxes):
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
        assert not any(box.overlaps(other) for other in boxes[:i])
    assert figure.dpi * figure.get_figwidth() == 1800  # twice 900, so that letters of 7.5 points are 10 pixels high


def test_without_comparisons_it_says_so_in_a_line(figures, checkout, monkeypatch):
    for path in (checkout / figures.RESULTS).glob("compare_*"):
        path.unlink()
    monkeypatch.setattr(figures, "CHECKOUT", checkout)
    before = (checkout / "README.md").read_bytes()
    with pytest.raises(
        SystemExit, match=r"compare_\*.json: no such file; `mrvae compare NAME --data-root DIR` makes one"
    ):
        figures.main()
    assert (checkout / "README.md").read_bytes() == before
    assert not (checkout / figures.RESULTS / figures.PLOT).exists()
    assert figures.figures_part(()) == ""


@pytest.mark.parametrize(
    "text",
    [
        "no markers\n",
        "{begin}\n",
        "{end}\n{begin}\n",
        "{begin}\n{begin}\n{end}\n",
        "{begin} {end}\n",
        "a {begin}\n{end}\n",
    ],
)
def test_a_page_without_its_markers_is_an_error(figures, checkout, text):
    page = checkout / figures.PAGE
    begin, end = "<!-- figures: begin -->", "<!-- figures: end -->"
    page.write_text(text.format(begin=begin, end=end), encoding="utf-8")
    before = page.read_bytes()
    with pytest.raises(ValueError, match="the page should hold the lines"):
        figures.write_figures(checkout)
    assert page.read_bytes() == before
    assert not (checkout / figures.RESULTS / figures.PLOT).exists()


def test_a_broken_file_is_named_and_nothing_is_written(figures, checkout, monkeypatch):
    path = checkout / figures.RESULTS / "compare_a_short.json"
    data = SHORT.to_plain()
    del data["budget"]
    path.write_text(json.dumps(data), encoding="utf-8")
    monkeypatch.setattr(figures, "CHECKOUT", checkout)
    with pytest.raises(SystemExit, match="compare_a_short.json: budget is missing"):
        figures.main()
    assert not (checkout / figures.RESULTS / figures.PLOT).exists()
