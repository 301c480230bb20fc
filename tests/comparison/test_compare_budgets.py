"""Comparisons at several budgets: which is the headline, and what an earlier comparison left for them."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from helpers import make_plan, make_runs

from mrvae_zoo.comparison.compare import compare
from mrvae_zoo.comparison.runs import Runs
from mrvae_zoo.comparison.spent import StepCost
from mrvae_zoo.comparison.tuning import choose_budget
from mrvae_zoo.evaluation.rate_distortion import Losses, example_losses
from mrvae_zoo.training.recipe import TrainedRecord
from mrvae_zoo.training.side_by_side import train_side_by_side

pytestmark = pytest.mark.slow

DEDICATED = 50.0  # L of every made-up dedicated β-VAE, in nats


class NoTestSplit:
    def describe(self):
        return {"name": "mine", "split": "test", "examples": 4}


@dataclass(kw_only=True)
class MadeUp(Runs):
    """Trainings whose losses are given: gaps at each β, of each split, by the steps of a run and its seed.

    The validation split is not to be read once the test split was.
    """

    gaps: dict[str, dict[tuple[int, int], list[float]]]
    asked: list[str] = field(default_factory=list)
    test_data: NoTestSplit = field(default_factory=NoTestSplit)

    def losses(self, run, split):
        self.asked.append(split)
        if run.name.startswith("dedicated"):
            return [DEDICATED]
        training = run.recipe.training
        return [DEDICATED * (1 + gap) for gap in self.gaps[split][training.max_steps, training.seed]]

    def train(self, runs, meanwhile=()):
        assert "test" not in self.asked
        for run in runs:
            self.validated[run.name] = tuple(self.losses(run, "valid"))

    def test_losses(self, run, beta, *, draws):
        loss = self.losses(run, "test")[run.betas.index(beta)]
        return Losses(rate=torch.zeros(4, dtype=torch.float64), distortion=torch.full((4,), loss, dtype=torch.float64))

    def trained(self, run):
        return TrainedRecord(seconds=float(run.recipe.training.max_steps or 1), hardware="none", version="0")

    def training_losses(self, run, *, steps_an_epoch):
        return [DEDICATED]

    def step_costs(self, runs):
        """A step of the β-VAEs takes a second, and one of the Multi-Rate VAE two, whatever its budget."""
        cost = StepCost(seconds=1.0, operations=100, parameters=10, settings="fp32")
        longer = replace(cost, seconds=2.0)
        return {run.name: cost if run.name.startswith("dedicated") else longer for run in runs}, "none"


def compare_made_up(valid, test, **changes):
    """A comparison at the budgets 1, 2 and 3 and two β; `valid` and `test` are gaps, of seed 0 and then of others."""
    plan = make_plan(beta_count=2, budgets=(1.0, 2.0, 3.0), learning_rates=(0.01,), **changes)

    def by_run(gaps):
        steps = [plan.arm("mrvae", 0.01, 0, budget=budget).recipe.training.max_steps for budget in plan.budgets]
        assert len({*steps}) == 3
        return {(n, seed): gaps[seed][i] for seed in plan.seeds for i, n in enumerate(steps)}

    gaps = {"valid": by_run(valid), "test": by_run(test)}
    data, shape = plan.recipe.data, plan.recipe.model.input_shape
    runs = MadeUp(folder=None, data_root=None, data=data, shape=shape, total=plan.total, gaps=gaps)
    record = compare(plan, runs, name="tiny", draws=2)
    assert len(runs.validated) == plan.total
    return plan, record


GOOD, BAD = [-0.02, 0.0], [-0.05, 0.001]


@pytest.mark.parametrize(
    ("gaps", "headline"),
    [
        ([GOOD, GOOD, GOOD], 1.0),
        ([BAD, GOOD, GOOD], 2.0),
        ([BAD, BAD, GOOD], 3.0),
        ([BAD, BAD, BAD], 3.0),
        ([GOOD, BAD, BAD], 1.0),
        ([BAD, GOOD, BAD], 2.0),
    ],
)
def test_the_headline_is_the_smallest_budget_without_a_gap_on_the_validation_split(gaps, headline):
    """Whatever the test split says: here the opposite; and whatever another seed says."""
    opposite = [BAD if each is GOOD else GOOD for each in gaps]
    plan, record = compare_made_up([gaps, opposite], [opposite, opposite], seed_count=2)
    at = plan.budgets.index(headline)
    assert choose_budget(dict(zip((3.0, 1.0, 2.0), (gaps[2], gaps[0], gaps[1]), strict=True))) == headline
    assert record.budget == headline
    assert record.mrvae.gap == pytest.approx(opposite[at], abs=1e-12)
    for each, own, other in zip(record.budgets, gaps, opposite, strict=True):
        assert each.validation_gap == pytest.approx(own, abs=1e-12)
        assert each.gap == pytest.approx(other, abs=1e-12)
    assert record.cost.mrvae.flops == record.budgets[at].flops
    assert record.per_seed[1].mrvae.gap == pytest.approx(opposite[at], abs=1e-12)


def test_the_figures_of_a_budget_are_means_and_spreads_over_its_seeds():
    first, second = [[0.3, 0.4], [0.1, 0.2], [0.0, -0.1]], [[0.5, 0.4], [0.1, 0.4], [0.0, -0.1]]
    plan, record = compare_made_up([first, first], [first, second], seed_count=2)
    assert [each.budget for each in record.budgets] == [1.0, 2.0, 3.0]
    assert [each.gap for each in record.budgets] == [pytest.approx(g) for g in ([0.4, 0.4], [0.1, 0.3], [0.0, -0.1])]
    spreads = ([0.02**0.5, 0], [0, 0.02**0.5], [0, 0])
    assert [each.gap_spread for each in record.budgets] == [pytest.approx(s, abs=1e-9) for s in spreads]
    for each in record.budgets:
        assert [loss / DEDICATED - 1 for loss in each.L] == pytest.approx(each.gap, abs=1e-12)
        half = 4.3026527 * sum(spread**2 for spread in each.gap_spread) ** 0.5 / 2  # √(1/2) twice; images are alike
        ends = [end for interval in each.gap_interval for end in interval]
        assert ends == pytest.approx([gap + sign * half for gap in each.gap for sign in (-1, 1)], abs=1e-6)
        run = plan.arm("mrvae", 0.01, 0, budget=each.budget)
        steps = run.recipe.training.max_steps
        assert (each.flops, each.seconds) == (plan.flops(run), 2 * steps)
        assert (each.steps, each.wall_seconds) == (steps, steps)
    assert record.mrvae.gap_spread == record.budgets[2].gap_spread
    assert record.cost.dedicated.seconds == 2 * 20


def test_one_budget_is_the_headline_and_no_list():
    plan = make_plan(beta_count=2, budgets=(2.0,), learning_rates=(0.01,))
    steps = plan.arm("mrvae", 0.01, 0).recipe.training.max_steps
    gaps = {split: {(steps, 0): BAD} for split in ("valid", "test")}
    runs = MadeUp(folder=None, data_root=None, data=plan.recipe.data, shape=(1, 8, 8), total=plan.total, gaps=gaps)
    record = compare(plan, runs, name="tiny", draws=2)
    assert (record.budget, record.budgets) == (2.0, None)
    assert record.mrvae.gap_interval is record.mrvae.gap_spread is None  # one seed
    assert "budgets" not in record.to_plain()


def test_what_a_comparison_at_one_budget_trained_and_measured_serves_one_at_two(own_root, tmp_path, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.comparison.plan.DRAWS", {"recipe": {}})
    settings = {"beta_count": 2, "learning_rates": (0.01,), "seed_count": 2, "arms": ("paper",)}
    one, two = make_plan(**settings), make_plan(**settings, budgets=(1.0, 2.0))
    folder = tmp_path / "runs"
    first = compare(one, make_runs(one, own_root, folder), name="tiny", draws=2)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
    trained, measured = [], []
    monkeypatch.setattr(
        "mrvae_zoo.comparison.workers.train_side_by_side",
        lambda jobs, options: trained.extend(job.run.name for job in jobs) or train_side_by_side(jobs, options),
    )
    monkeypatch.setattr(
        "mrvae_zoo.comparison.runs.example_losses",
        lambda *a, **options: measured.append(a[2]) or example_losses(*a, **options),
    )
    runs = make_runs(two, own_root, folder)
    second = compare(two, runs, name="tiny", draws=2)
    new = [two.arm("mrvae", 0.01, seed, budget=2.0).name for seed in two.seeds]  # arms stay at the smallest budget
    assert sorted(trained) == sorted(new)
    assert measured == [*two.betas] * 2
    assert len(runs.validated) == two.total == one.total + 2
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before

    assert second.dedicated == first.dedicated
    smaller, larger = second.budgets
    for name in ("L", "gap", "gap_interval", "gap_spread"):
        assert getattr(smaller, name) == getattr(first.mrvae, name)
    cost = first.cost.mrvae
    assert (smaller.flops, smaller.steps, smaller.wall_seconds) == (cost.flops, cost.steps, cost.wall_seconds)
    assert larger.L != smaller.L
    assert second.mrvae.L == (smaller if second.budget == 1.0 else larger).L
    assert second.arms["paper"].L == first.arms["paper"].L
    assert second.cost.arms["paper"].flops == first.cost.arms["paper"].flops
    assert (first.arms_budget, second.arms_budget) == (1.0, 1.0)


GAINS = {"converged": (0.004, -0.004), "not converged": (0.006, -0.3), "overfits": (0.0, -0.006)}


@pytest.mark.parametrize(("reached", "gains"), GAINS.items())
def test_what_twice_the_epochs_change_decides_what_was_reached(reached, gains):
    """Either way: a gain of 0.5% is too much, and so is such a loss."""
    plan = make_plan(beta_count=2, budgets=(1.0,), learning_rates=(0.01,), regime="converged")
    once, twice = (plan.arm("mrvae", 0.01, 0, doubled=doubled) for doubled in (False, True))

    class Doubled(MadeUp):
        def losses(self, run, split):
            self.asked.append(split)
            if run.name == twice.name:
                return [40.0, 60.0]
            gain = gains[plan.betas.index(run.betas[0])] if "-e4-" in run.name else 0.0
            return [DEDICATED * (1 - gain)] * len(run.betas)

    data = plan.recipe.data
    runs = Doubled(folder=None, data_root=None, data=data, shape=(1, 8, 8), total=plan.total, gaps={})
    record = compare(plan, runs, name="tiny", draws=2)
    assert [each.improvement for each in record.doubling] == pytest.approx(gains)
    assert record.reached == reached
    assert (record.converged, record.overfits) == (reached == "converged", reached == "overfits")
    assert record.mrvae_doubling.improvement == pytest.approx((0.2, -0.2))
    assert {once.name, twice.name} <= runs.validated.keys()
    assert len(runs.validated) == plan.total
