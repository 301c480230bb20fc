"""What tests of comparisons share: steps that are timed once in a round, however short they are."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def _short_rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mrvae_zoo.comparison.cost.ROUND_SECONDS", 0.0)
        yield


@pytest.fixture
def grid_alone(monkeypatch):
    """No learning rate beyond the grid is tried."""
    monkeypatch.setattr("mrvae_zoo.comparison.tuning.MOST_ADDED", 0)
