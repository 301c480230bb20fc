import pytest
import torch

from mrvae_zoo.noise import Noise


def noise(part, seed=0):
    return Noise(torch.Generator().manual_seed(seed), 10, part)


@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_the_parts_together_are_the_whole(draw):
    whole = getattr(noise(slice(None)), draw)(3, 2)
    assert whole.shape == (10, 3, 2)
    parts = [getattr(noise(part), draw)(3, 2) for part in (slice(0, 4), slice(4, 10))]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(getattr(noise(slice(None), seed=1), draw)(3, 2), whole)


def test_the_second_draw_does_not_depend_on_the_part():
    first, second = noise(slice(0, 1)), noise(slice(None))
    for each in (first, second):
        each.uniform(5)
    assert torch.equal(first.normal(2), second.normal(2)[:1])


def test_uniform_and_normal_are_what_they_are_called():
    many = Noise(torch.Generator().manual_seed(0), 50_000, slice(None))
    uniform, normal = many.uniform(), many.normal()
    assert 0 <= uniform.min() < 0.001
    assert 0.999 < uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.01)
    assert normal.mean().item() == pytest.approx(0.0, abs=0.02)
    assert normal.std().item() == pytest.approx(1.0, abs=0.02)
