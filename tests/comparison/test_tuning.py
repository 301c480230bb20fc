"""How learning rates and draws are chosen, with made-up losses instead of trainings."""

import pytest
from helpers import make_plan

from mrvae_zoo.comparison.tuning import MOST_ADDED, arm_candidates, choose_arms, choose_dedicated


class MadeUp:
    """Trainings whose L on the validation split is a function of the recipe and β; None is one that diverged."""

    def __init__(self, loss):
        self.loss, self.total = loss, 0
        self.rounds, self.found = [], {}

    def train(self, runs, meanwhile=()):
        self.rounds.append([run.name for run in runs])
        for run in runs:
            assert run.name not in self.found, "trained twice"
            losses = tuple(self.loss(run.recipe, beta) for beta in run.betas)
            self.found[run.name] = None if None in losses else losses

    def validation(self, run):
        return self.found[run.name]


def away_from(best):
    """The loss is lowest at a learning rate, and rises by the distance from it."""
    return lambda recipe, beta: 100.0 + abs(recipe.training.learning_rate / best - 1)


def rates(choice, **of):
    wanted = [one for one in choice.tried if all(getattr(one, name) == value for name, value in of.items())]
    return [one.learning_rate for one in wanted]


def test_a_best_rate_inside_is_taken_as_it_is(caplog):
    plan, runs = make_plan(tune_at=2), MadeUp(away_from(0.0141))
    choice = choose_dedicated(plan, runs)
    assert len(runs.rounds) == 1
    assert choice.rates == (0.0141,) * 3
    assert rates(choice, beta=10.0) == [*plan.grid]
    assert not choice.at_grid_end
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("best", "added", "chosen"),
    [(0.03, [0.0283, 0.04], 0.0283), (0.004, [0.0025, 0.00354], 0.00354), (0.045, [0.0283, 0.04, 0.0566], 0.04)],
)
def test_beyond_an_end_is_searched_until_the_best_lies_inside(best, added, chosen, caplog):
    plan, runs = make_plan(beta_count=2), MadeUp(away_from(best))
    choice = choose_dedicated(plan, runs)
    assert choice.rates == (chosen, chosen)
    assert rates(choice, beta=0.01) == sorted([*plan.grid, *added])
    assert [len(names) for names in runs.rounds] == [10, *[2] * len(added)]
    assert runs.total == 2 * len(added)
    assert not choice.at_grid_end
    assert caplog.text == ""


def test_each_beta_has_a_search_of_its_own():
    """What one adds is not tried for the others."""
    bests = {0.01: 0.03, 0.3162: 0.01, 10.0: 0.0035}
    runs = MadeUp(lambda recipe, beta: away_from(bests[beta])(recipe, beta))
    choice = choose_dedicated(make_plan(), runs)
    assert choice.rates == (0.0283, 0.01, 0.00354)
    assert [len(rates(choice, beta=beta)) for beta in bests] == [7, 5, 7]
    assert [len(names) for names in runs.rounds] == [15, 2, 2]


def test_no_more_than_so_many_are_added_and_then_it_is_said(caplog):
    plan, runs = make_plan(beta_count=2), MadeUp(away_from(1.0))
    choice = choose_dedicated(plan, runs)
    added = [0.0283, 0.04, 0.0566, 0.08]
    assert rates(choice, beta=0.01) == [*plan.grid, *added]
    assert len(added) == MOST_ADDED == len(runs.rounds) - 1
    assert choice.rates == (0.08, 0.08)
    assert choice.at_grid_end
    assert "of the dedicated β-VAE of beta 10, 0.08, lies at an end of the grid (0.005, 0.00707, " in caplog.text
    assert caplog.text.count("--learning-rate gives others") == 2


def test_a_rate_that_diverges_ends_the_search_and_bounds_the_best(caplog):
    def loss(recipe, beta):
        rate = recipe.training.learning_rate
        return None if rate > 0.03 else away_from(1.0)(recipe, beta)

    choice = choose_dedicated(make_plan(beta_count=2), MadeUp(loss))
    assert choice.rates == (0.0283, 0.0283)
    assert rates(choice, beta=10.0, diverged=True) == [0.04]
    assert not choice.at_grid_end
    assert caplog.text == ""


def test_one_rate_that_was_given_is_not_searched_around(caplog):
    choice = choose_dedicated(make_plan(learning_rates=(0.01,)), MadeUp(away_from(1.0)))
    assert choice.rates == (0.01,) * 3
    assert choice.at_grid_end
    assert "lies at an end of the grid (0.01)" in caplog.text


def test_between_anchors_rates_are_interpolated():
    """Tuned at the first, the third and the fifth of five."""
    betas = make_plan(beta_count=5).betas
    bests = dict(zip(betas[::2], (0.005, 0.02, 0.01), strict=True))

    def loss(recipe, beta):
        return away_from(bests[beta])(recipe, beta)

    choice = choose_dedicated(
        make_plan(beta_count=5, tune_at=3, learning_rates=(0.0025, 0.005, 0.01, 0.02, 0.04)), MadeUp(loss)
    )
    assert choice.rates == (0.005, 0.01, 0.02, 0.0141, 0.01)
    assert {one.beta for one in choice.tried} == {*bests}


def test_arms_are_chosen_by_the_mean_ratio_with_all_their_losses_kept():
    """At a rate of 0.02 the one β is halved and the other one worse; the mean of L itself would say otherwise."""
    plan = make_plan(beta_count=2, learning_rates=(0.01, 0.02, 0.04))
    made_up = {0.01: (10.0, 200.0), 0.02: (5.0, 220.0), 0.04: (10.0, 200.0)}
    own = (10.0, 200.0)
    runs = MadeUp(lambda recipe, beta: made_up[recipe.training.learning_rate][plan.betas.index(beta)])
    choice = choose_arms(plan, runs, own)["mrvae"]
    assert (choice.rates, choice.draws) == ((0.02,), "recipe")
    assert [one.losses for one in choice.tried] == [*made_up.values()]
    assert [one.validation for one in choice.tried] == pytest.approx([1.0, (0.5 + 1.1) / 2, 1.0])
    assert [one.beta for one in choice.tried] == [None] * 3
    assert not choice.at_grid_end


def test_draws_of_an_arm_are_chosen_with_its_rate():
    """Published draws are best here, at a rate beyond the grid; each way to draw is searched on its own."""

    def loss(recipe, beta):
        objective = recipe.objective
        if objective.beta_min_share != (0.0, 0.0):
            return 90.0 if recipe.model.gating == "shrinkage" else 110.0 + away_from(0.01)(recipe, beta)
        worse = 10.0 if objective.beta_weighting else 0.0
        return worse + away_from(0.028 if not worse else 0.0142)(recipe, beta)

    plan, runs = make_plan(arms=("paper",)), MadeUp(loss)
    assert len(arm_candidates(plan)) == 4 * 5
    choices = choose_arms(plan, runs, (100.0,) * 3)
    assert [run.name for run in arm_candidates(plan)] == runs.rounds[0]
    assert choices["mrvae"].draws == "recipe"
    assert len(choices["mrvae"].tried) == 5 + MOST_ADDED  # all alike, so the lowest is taken
    paper = choices["paper"]
    assert (paper.rates, paper.draws) == ((0.0283,), "log-uniform")
    assert len(rates(paper, draws="recipe")) == 5
    assert rates(paper, draws="log-uniform") == [*plan.grid, 0.0283, 0.04]
    assert len(rates(paper, draws="log-uniform, weighted")) == 5
    assert not paper.at_grid_end


def test_draws_that_diverge_at_every_rate_are_not_chosen_and_all_of_them_are_an_error():
    def loss(recipe, beta):
        return None if recipe.objective.beta_weighting else 100.0 + recipe.training.learning_rate

    plan = make_plan(arms=("paper",), learning_rates=(0.01, 0.02))
    with pytest.raises(FloatingPointError, match=r"mrvae diverged at every learning rate \(0.01, 0.02\)"):
        choose_arms(plan, MadeUp(loss), (100.0,) * 3)

    def loss_of_arms(recipe, beta):
        return 100.0 if recipe.model.gating == "shrinkage" else loss(recipe, beta)

    choice = choose_arms(plan, MadeUp(loss_of_arms), (100.0,) * 3)["paper"]
    assert choice.draws == "log-uniform"
    assert {one.draws for one in choice.tried if one.diverged} == {"recipe", "log-uniform, weighted"}
    with pytest.raises(FloatingPointError, match="paper diverged at every learning rate"):
        choose_arms(plan, MadeUp(lambda recipe, beta: None if recipe.model.gating == "paper" else 1.0), (1.0,) * 3)


def test_what_is_infinite_counts_as_diverged():
    choice = choose_dedicated(
        make_plan(beta_count=2, learning_rates=(0.01, 0.02, 0.04)),
        MadeUp(lambda recipe, beta: float("inf") if recipe.training.learning_rate > 0.03 else 100.0),
    )
    assert rates(choice, diverged=True) == [0.04, 0.04]
