import torch

from mrvae_zoo.noise import seeded_generator


def test_every_number_matters_and_so_does_their_order():
    draws = [
        torch.randn(8, generator=seeded_generator(*words))
        for words in [(0, 0), (0, 1), (1, 0), (2**31 - 1, 0), (0, 2**31), (2**32 - 1, 5)]
    ]
    for i, one in enumerate(draws):
        assert all(not torch.equal(one, other) for other in draws[:i])


def test_the_same_numbers_give_the_same_draws_everywhere():
    first, second = (torch.randint(1000, (5,), generator=seeded_generator(7, 3)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.tolist() == [881, 554, 752, 727, 195]
