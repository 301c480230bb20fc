import torch

from mrvae_zoo.data.selection import all_but, choose


def test_a_part_is_chosen_from_everywhere_and_always_the_same():
    chosen = choose(1000, 100)
    assert torch.equal(chosen, choose(1000, 100))
    assert torch.equal(chosen, chosen.unique())
    assert chosen.float().mean().item() != chosen.float().median().item()
    for start in range(0, 1000, 250):
        assert 10 <= ((chosen >= start) & (chosen < start + 250)).sum() <= 40


def test_each_class_gives_its_share_whatever_the_order():
    labels = ["cat"] * 600 + ["dog"] * 300 + ["emu"] * 100
    chosen = choose(1000, 50, labels)
    assert [
        (torch.tensor([labels[i] == one for i in chosen.tolist()])).sum().item() for one in ("cat", "dog", "emu")
    ] == [
        30,
        15,
        5,
    ]
    assert not torch.equal(chosen, torch.arange(10, 1000, 20)), "within a class at random"
    alternating = [str(index % 10) for index in range(1000)]
    assert sorted(alternating[index] for index in choose(1000, 100, alternating).tolist()) == sorted(alternating[:100])
    unlike = [f"{index:04}" for index in range(1000)]
    assert len(choose(1000, 7, unlike)) == 7


def test_ends():
    assert choose(5, 0).tolist() == []
    assert choose(5, 5, [1, 1, 2, 2, 3]).tolist() == [0, 1, 2, 3, 4]
    assert all_but(5, choose(5, 0)).tolist() == [0, 1, 2, 3, 4]
    assert sorted([*all_but(9, choose(9, 4)).tolist(), *choose(9, 4).tolist()]) == list(range(9))
