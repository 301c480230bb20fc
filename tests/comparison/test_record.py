import json
import tomllib
from dataclasses import replace

import pytest
from helpers import BUDGETS, CHECKOUT, DEFAULT_MODEL, RECORD
from matplotlib.figure import Figure

from mrvae_zoo.cards.subject import read_comparison, read_subject
from mrvae_zoo.checkpoints.registry import model_folder
from mrvae_zoo.comparison.plot import draw_comparison
from mrvae_zoo.comparison.record import MultiRateDoubling, Trial, read_record
from mrvae_zoo.comparison.spent import StepCost
from mrvae_zoo.training.recipe import read_recipe, to_toml

SHORT = replace(RECORD, regime="short", doubling=None, converged=None)
SEVERAL = replace(RECORD, budgets=BUDGETS)
ONE_SEED = replace(SHORT, seeds=(0,), mrvae=replace(SHORT.mrvae, gap_spread=None, gap_interval=None))
STEP = StepCost(seconds=0.5, operations=300, parameters=1000, settings="fp32")
FULL = replace(  # with everything that files of before lack
    RECORD,
    mrvae=replace(
        RECORD.mrvae,
        draws="recipe",
        learning_rates_tried=(
            Trial(learning_rate=0.01, diverged=False, validation=1.01, draws="recipe", losses=(48.0, 180.0)),
        ),
    ),
    dedicated=replace(RECORD.dedicated, tuned_at=(0.1, 10.0)),
    cost=replace(
        RECORD.cost,
        mrvae=replace(RECORD.cost.mrvae, wall_seconds=3.0, steps=4, step=STEP),
        dedicated=replace(RECORD.cost.dedicated, wall_seconds_per_beta=(2.5, 2.5), steps=4, step=STEP),
        device="a CPU, 1 thread",
    ),
    overfits=False,
    mrvae_doubling=MultiRateDoubling(improvement=(0.01, -0.02), steps=8),
    validations=20,
)


def write(record, path):
    path.write_text(record.to_json(), encoding="utf-8")
    return path


@pytest.mark.parametrize("record", [RECORD, SHORT, ONE_SEED, FULL])
def test_it_is_read_as_it_was_written(record, tmp_path):
    path = write(record, tmp_path / "record.json")
    assert read_record(path) == record
    plain = json.loads(path.read_text(encoding="utf-8"))
    of_converged = {"doubling", "converged"}
    assert of_converged & plain.keys() == (of_converged if record.regime == "converged" else set())
    of_several = {"gap_spread", "gap_interval"}
    assert of_several & plain["mrvae"].keys() == (set() if record is ONE_SEED else of_several)
    assert "budgets" not in plain


@pytest.mark.parametrize(
    "path", sorted((CHECKOUT / "benchmarks" / "results").glob("compare_*.json")), ids=lambda p: p.stem
)
def test_files_of_before_are_read(path):
    record = read_record(path)
    assert record.name in path.stem
    assert len(record.mrvae.gap) == len(record.betas)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"converged": True}, "converged"),
        ({"converged": False}, "not converged"),
        ({"converged": False, "overfits": False}, "not converged"),
        ({"converged": False, "overfits": True}, "overfits"),
        ({"regime": "short", "doubling": None, "converged": None}, "short"),
    ],
)
def test_the_regime_in_words(change, words):
    assert replace(RECORD, **change).reached == words


@pytest.mark.parametrize("budgets", [BUDGETS, tuple(replace(each, gap_spread=None) for each in BUDGETS)])
def test_so_is_one_of_several_budgets(budgets, tmp_path):
    record = replace(RECORD, budgets=budgets)
    path = write(record, tmp_path / "record.json")
    assert read_record(path) == record
    keys = ["budget", "L", "gap", "gap_interval", "gap_spread", "validation_gap", "flops", "seconds"]
    one = json.loads(path.read_text(encoding="utf-8"))["budgets"][1]
    assert list(one) == [key for key in keys if key != "gap_spread" or budgets is BUDGETS]
    assert (one["budget"], one["L"], one["validation_gap"]) == (1.0, [48.0, 180.0], [-0.02, 0.0])
    assert (record.arms_budget, RECORD.arms_budget, replace(record, arms_at=0.5).arms_budget) == (3.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["budgets"].reverse(), "budgets should rise, and one of them be budget=1"),
        (lambda data: data.update(budget=2.0), "budgets should rise, and one of them be budget=2"),
        (lambda data: data["budgets"].append(data["budgets"][-1]), "budgets should rise"),
        (lambda data: data.update(budgets=[]), "budgets should rise"),
        (lambda data: data["budgets"][0]["L"].pop(), "budget 0.5 should hold as many values of L as there are betas"),
        (lambda data: data["budgets"][2]["validation_gap"].pop(), "budget 3 should hold as many values of validation_"),
        (lambda data: data["budgets"][2].update(gap_spread=[0.1]), "budget 3 should hold as many values of gap_spread"),
        (lambda data: data["budgets"][1].pop("flops"), r"budgets\[1\].flops is missing"),
    ],
)
def test_what_is_wrong_with_budgets_is_named(change, message, tmp_path):
    data = SEVERAL.to_plain()
    change(data)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_record(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("budget"), "budget is missing"),
        (lambda data: data.update(regime="brief"), "regime='brief' is not one of 'short', 'long', 'converged'"),
        (lambda data: data.update(regime="long"), "belong to the regime 'converged', and to no other"),
        (lambda data: data.update(regime="short"), "doubling and converged belong to the regime 'converged'"),
        (lambda data: data.pop("converged"), "doubling and converged belong to the regime 'converged'"),
        (lambda data: data["mrvae"].pop("rate"), "mrvae.rate is missing"),
        (lambda data: data["mrvae"].update(gap=[0.1]), "mrvae should hold as many values of gap as there are betas, 2"),
        (lambda data: data["mrvae"].update(gap_spread=[0.1]), "mrvae should hold as many values of gap_spread"),
        (lambda data: data["mrvae"]["gap_interval"].pop(), "mrvae should hold as many values of gap_interval"),
        (
            lambda data: data.update(mrvae_doubling={"improvement": [0.1], "steps": 8}),
            "mrvae_doubling should hold as many values of improvement",
        ),
        (lambda data: data["dedicated"]["L"].pop(), "dedicated should hold as many values of L as there are betas, 2"),
        (
            lambda data: data["dedicated"]["learning_rate"].pop(),
            "dedicated should hold as many values of learning_rate",
        ),
        (lambda data: data["arms"]["paper"]["rate"].pop(), "paper should hold as many values of rate"),
        (lambda data: data["arms"]["paper"].update(L="all"), "arms.paper.L='all' should be a list of a number"),
        (lambda data: data["arms"].update(concat=1), "arms.concat=1 should be a table"),
        (lambda data: data["mrvae"].update(gaps=[]), "unknown key mrvae.gaps; did you mean gap"),
        (
            lambda data: data["mrvae"]["gap_interval"][0].pop(),
            r"mrvae.gap_interval\[0\]=\[-0.02\] should be a list of 2",
        ),
        (
            lambda data: data["mrvae"]["learning_rates_tried"][0].update(diverged=True),
            "a trial has a figure of validation, or it diverged",
        ),
    ],
)
def test_what_is_wrong_is_named(change, message, tmp_path):
    data = RECORD.to_plain()
    change(data)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    for read in (read_record, read_comparison):
        with pytest.raises(ValueError, match=message) as error:
            read(path)
        assert str(path) in str(error.value)


def test_no_file_and_no_json(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"record.json: no such file"):
        read_record(tmp_path / "record.json")
    for text, message in (("{", "is not JSON"), ("[]", "should hold an object")):
        (tmp_path / "record.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read_record(tmp_path / "record.json")


def test_a_card_reads_it(tmp_path):
    found = read_comparison(write(RECORD, tmp_path / "record.json"))
    assert found.losses == RECORD.mrvae.L
    assert [p.loss for p in found.dedicated] == pytest.approx(RECORD.dedicated.L)


def test_a_card_shows_the_comparison_of_its_own_recipe(tmp_path, monkeypatch):
    """One of other draws of β, or of another learning rate, is of another training; of two it is the converged one."""
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    monkeypatch.setattr("mrvae_zoo.cards.subject.root", lambda: tmp_path)
    folder = model_folder(DEFAULT_MODEL)
    recipe = read_recipe(folder / "recipe.toml")
    table = tomllib.loads(to_toml(recipe))
    rate = recipe.training.learning_rate

    def found_beside(record, kind, learning_rate=rate, **objective):
        record = replace(
            record,
            recipe=table | {"objective": table["objective"] | objective},
            mrvae=replace(record.mrvae, learning_rate=learning_rate),
        )
        write(record, results / f"compare_{DEFAULT_MODEL}_{kind}.json")
        return read_subject(folder, name=DEFAULT_MODEL, repo_id=None, compare=None).comparison

    assert found_beside(RECORD, "converged", beta_skew=0.123) is None
    assert found_beside(RECORD, "converged", learning_rate=2 * rate) is None
    assert found_beside(SHORT, "short").regime == "short"
    assert found_beside(RECORD, "converged").regime == "converged"
    assert found_beside(replace(RECORD, seeds=(7, 8)), "converged").regime == "short", "the model is of seed 0"


@pytest.fixture
def figures(monkeypatch):
    saved = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: saved.append(self) or save(self, *a, **k))
    return saved


def test_the_plot_shows_losses_and_gaps(figures):
    assert draw_comparison(RECORD).startswith(b"\x89PNG")
    left, right = figures[0].axes
    ours, paper, dedicated = left.lines
    assert ours.get_xydata().tolist() == [[0.1, 48.0], [10.0, 180.0]]
    assert paper.get_xydata().tolist() == [[0.1, 55.0], [10.0, 190.0]]
    assert dedicated.get_xydata().tolist() == [[0.1, 49.0], [10.0, 176.0]]
    assert (dedicated.get_linestyle(), ours.get_linestyle()) == ("None", "-")
    assert paper.get_linewidth() < ours.get_linewidth()
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert labels == ["Multi-Rate VAE, one training", "paper, one training", "β-VAEs, one training each"]
    zero, paper, ours = right.lines
    assert set(zero.get_ydata()) == {0}
    assert ours.get_ydata().tolist() == pytest.approx([-1.0, 2.0])
    assert paper.get_ydata().tolist() == pytest.approx([10.0, 8.0])
    (interval,) = right.collections
    corners = {(round(float(x), 6), round(float(y), 6)) for x, y in interval.get_paths()[0].vertices}
    assert corners == {(0.1, -2.0), (0.1, 0.0), (10.0, 1.0), (10.0, 3.0)}
    assert all(axes.get_xscale() == "log" for axes in (left, right))
    assert figures[0].get_suptitle() == "tiny\n(mine, test; converged, budget 1, 2 seeds)"


def test_the_plot_of_one_seed_has_no_interval(figures):
    assert draw_comparison(ONE_SEED).startswith(b"\x89PNG")
    assert list(figures[0].axes[1].collections) == []


def test_the_plot_of_several_budgets_says_that_arms_have_the_largest(figures):
    draw_comparison(SEVERAL)
    draw_comparison(replace(SEVERAL, budget=3.0))
    labels = [text.get_text() for figure in figures for text in figure.axes[0].get_legend().get_texts()]
    assert labels[1::3] == ["paper, one training, budget 3", "paper, one training"]
    assert figures[0].get_suptitle() == "tiny\n(mine, test; converged, budget 1, 2 seeds)"
    assert figures[0].axes[0].lines[0].get_xydata().tolist() == [[0.1, 48.0], [10.0, 180.0]]


def test_without_arms_the_plot_has_none(figures):
    draw_comparison(replace(SHORT, arms={}, seeds=(0,)))
    left, right = figures[0].axes
    assert (len(left.lines), len(right.lines)) == (2, 2)
    assert figures[0].get_suptitle() == "tiny\n(mine, test; short, budget 1)"
