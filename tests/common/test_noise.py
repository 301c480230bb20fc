import torch

from mrvae_zoo.common.noise import Noise, seed_of


def test_every_number_of_a_seed_matters_to_a_generator():
    draws = {
        torch.rand(1, generator=torch.Generator().manual_seed(seed_of(*numbers))).item()
        for numbers in ((0, 0), (0, 1), (1, 0), (1, 1), (1 << 31, 0), (0, (1 << 32) + 5), (0, 0, 1))
    }
    assert len(draws) == 7
    assert seed_of(3, 4) == seed_of(3, 4)


def test_the_parts_of_a_batch_are_cut_from_one_draw():
    def noise(part: slice) -> Noise:
        return Noise(torch.Generator().manual_seed(0), 6, part)

    whole, first, second = noise(slice(0, 6)), noise(slice(0, 2)), noise(slice(2, 6))
    for shape in ((), (3,), (2, 2)):
        for name in ("uniform", "normal"):
            parts = [getattr(one, name)(*shape) for one in (whole, first, second)]
            assert parts[0].shape == (6, *shape)
            assert torch.equal(parts[0], torch.cat(parts[1:]))
    uniform, normal = (getattr(Noise(torch.Generator(), 4000, slice(0, 4000)), n)(5) for n in ("uniform", "normal"))
    assert 0 <= uniform.min() < uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.01
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.02
