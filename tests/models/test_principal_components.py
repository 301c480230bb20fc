import pytest
import torch

from mrvae_zoo.models import principal_components as module
from mrvae_zoo.models.principal_components import principal_components


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(40, 40, generator=generator)).Q
    scales = torch.cat([torch.tensor([5.0, 3.0, 2.0, 1.0]), torch.full((36,), 0.05)])
    return 7 + (scales * torch.randn(500, 40, generator=generator)) @ basis.T


@pytest.mark.parametrize("exact", [True, False])
def test_they_are_those_of_a_singular_value_decomposition(rows, exact, monkeypatch):
    if not exact:
        monkeypatch.setattr(module, "MOST_EXACT", 10)
        monkeypatch.setattr(module, "SPARE", 8)
    found = principal_components(rows, 4)
    _, values, directions = torch.linalg.svd((rows - rows.mean(0)).double(), full_matrices=False)
    assert torch.allclose(found.mean, rows.mean(0))
    assert torch.allclose(found.variances.double(), values[:4].square() / 500, rtol=1e-4)
    assert torch.allclose(
        (found.directions.double() * directions[:4].T).sum(0).abs(), torch.ones(4).double(), atol=1e-4
    )
    assert torch.equal(principal_components(rows, 4).directions, found.directions)


def test_the_callers_random_numbers_stay_as_they_are(rows, monkeypatch):
    monkeypatch.setattr(module, "MOST_EXACT", 10)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    principal_components(rows, 4)
    assert torch.equal(torch.rand(1), expected)


def test_more_components_than_there_are_is_an_error(rows):
    with pytest.raises(
        ValueError, match="41 principal components need as many images or patches, not 500 of 40 values"
    ):
        principal_components(rows, 41)
