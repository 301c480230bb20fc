import pytest
import torch

from mrvae_zoo.common.noise import Noise, Purpose, philox, seed_of


def test_every_number_of_a_seed_matters_to_a_generator():
    draws = {
        torch.rand(1, generator=torch.Generator().manual_seed(seed_of(*numbers))).item()
        for numbers in ((0, 0), (0, 1), (1, 0), (1, 1), (1 << 31, 0), (0, (1 << 32) + 5), (0, 0, 1))
    }
    assert len(draws) == 7
    assert seed_of(3, 4) == seed_of(3, 4)


def noise(first=0, count=6, *, seed=0, step=0):
    return Noise(torch.tensor(seed), torch.tensor(step), count, first)


def reference(counter: tuple[int, ...], key: tuple[int, int]) -> list[int]:
    """Philox4x32-10 in plain integers, as the paper writes it."""
    a, b, c, d = counter
    low, high = key
    for _ in range(10):
        first, second = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (second >> 32) ^ b ^ low, second % 2**32, (first >> 32) ^ d ^ high, first % 2**32
        low, high = (low + 0x9E3779B9) % 2**32, (high + 0xBB67AE85) % 2**32
    return [a, b, c, d]


def test_the_words_are_those_of_philox():
    """The first is the vector published with the generator, for a counter and a key of zeros."""
    assert reference((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    full = 2**32 - 1
    published = [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]
    assert reference((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)) == published
    for counter, seed in (((0, 0, 0, 0), 0), ((full,) * 4, full), ((7, 1 << 31, 3, 9), (1 << 31) - 1)):
        words = philox(tuple(map(torch.tensor, counter)), torch.tensor(seed))
        assert [int(word) for word in words] == reference(counter, (seed, 0))


@pytest.mark.parametrize("name", ["uniform", "coarse_uniform", "normal"])
def test_a_part_of_a_batch_draws_what_the_whole_does(name):
    for shape in ((), (3,), (2, 2), (5, 3)):
        whole, first, second, moved = (
            getattr(one, name)(Purpose.FLIP, *shape)
            for one in (noise(), noise(0, 2), noise(2, 4), noise(torch.tensor(2), 4))
        )
        assert whole.shape == (6, *shape)
        assert whole.dtype == torch.float32
        assert torch.equal(whole, torch.cat([first, second]))
        assert torch.equal(second, moved)


@pytest.mark.parametrize("name", ["uniform", "coarse_uniform", "normal"])
def test_seed_step_purpose_and_example_all_matter(name):
    drawn = [
        getattr(one, name)(purpose, 4)
        for one in (noise(), noise(seed=1), noise(step=1), noise(6))
        for purpose in Purpose
    ]
    rows = torch.stack(drawn).flatten(0, 1)  # of examples
    assert len(rows.unique(dim=0)) == 4 * len(Purpose) * 6


def test_the_distributions():
    many = noise(count=40_000)
    for name, resolution in (("uniform", 2**24), ("coarse_uniform", 2**16)):
        uniform = getattr(many, name)(Purpose.BINARIZE, 5)
        assert 0 <= uniform.min() < uniform.max() < 1
        assert uniform.mean().item() == pytest.approx(0.5, abs=0.003)
        assert uniform.var().item() == pytest.approx(1 / 12, abs=0.001)
        assert torch.equal(uniform * resolution, (uniform * resolution).round())
    normal = many.normal(Purpose.LATENTS, 5)
    assert normal.isfinite().all()
    moments = [normal.pow(n).mean().item() for n in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.05)
    assert abs(torch.corrcoef(normal.T)[0, 1:]).max() < 0.02
    assert normal.abs().max() > 4


def test_a_compiler_and_a_transform_draw_the_same():
    def drawn(seed):
        return Noise(seed, torch.tensor(3), 8).normal(Purpose.LATENTS, 3)

    seeds = torch.tensor([5, 6])
    assert torch.equal(torch.func.vmap(drawn)(seeds), torch.stack([drawn(seed) for seed in seeds]))
    assert torch.equal(torch.compile(drawn, backend="aot_eager", fullgraph=True)(seeds[0]), drawn(seeds[0]))
