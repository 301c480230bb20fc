"""The choice of gating, and parts of low rank that move with β."""

import pytest
import torch
import torchvision
from helpers import off_by, opened
from torch import nn

from mrvae_zoo import gate
from mrvae_zoo.gating.low_rank import LowRank

BETAS = torch.tensor([0.01, 0.3, 2.0, 10.0], dtype=torch.float64)
LAYERS = {
    "linear": (lambda: nn.Linear(5, 7), (5,)),
    "linear of a sequence": (lambda: nn.Linear(5, 7, bias=False), (3, 5)),
    "1d": (lambda: nn.Conv1d(3, 6, 3, padding=1, padding_mode="circular"), (3, 9)),
    "2d": (lambda: nn.Conv2d(3, 6, 3, stride=2, dilation=2, padding=(1, 2)), (3, 9, 8)),
    "3d": (lambda: nn.Conv3d(3, 6, (1, 2, 3), bias=False), (3, 4, 5, 6)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(3, 6, 3), (3, 5)),
    "transposed 2d": (lambda: nn.ConvTranspose2d(3, 6, 3, stride=2, output_padding=1), (3, 5, 4)),
    "narrow": (lambda: nn.Conv2d(1, 1, 1), (1, 4, 4)),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2), (4, 5, 5)),
}


@pytest.mark.parametrize("gating", ["affine", "shrinkage"])
@pytest.mark.parametrize("name", LAYERS)
def test_folded_gated_and_per_example_are_equal(name, gating):
    build, shape = LAYERS[name]
    torch.manual_seed(0)
    layer, x = build(), torch.rand(4, *shape, dtype=torch.float64)
    gated = opened(nn.Sequential(layer), gating=gating, rank=2)
    assert isinstance(getattr(gated.get_submodule("0"), "low_rank_gate", None), LowRank) == (name != "grouped")
    together = gated(x, BETAS)
    assert off_by(together[:1], together[1:2]) > 1e-2
    for i, beta in enumerate(BETAS.tolist()):
        assert off_by(together[i : i + 1], gated(x[i : i + 1], beta)) < 1e-12
        plain = gated.at(beta)
        assert off_by(together[i : i + 1], plain(x[i : i + 1])) < 1e-12
        assert type(plain[0]) is type(layer)
        assert plain.state_dict().keys() == {f"0.{key}" for key in layer.state_dict()}


@pytest.mark.parametrize("gating", ["affine", "shrinkage"])
def test_at_first_it_is_the_module_and_every_part_learns(gating):
    torch.manual_seed(0)
    module, x = torchvision.models.resnet18(num_classes=5).double().eval(), torch.rand(4, 3, 32, 32).double()
    gated = gate(module, gating=gating, rank=3)
    beta = torch.tensor([0.02, 0.3, 2.0, 10.0], dtype=torch.float64)
    for value in (0.7, beta):
        assert off_by(gated(x, value), module(x)) < 1e-12
    moving = [name for name, part in gated.named_modules() if isinstance(part, LowRank)]
    matrices = [name for name, part in module.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert sorted(moving) == sorted(f"{name}.low_rank_gate" for name in matrices)  # those that feed a norm too
    assert set(gated.layer_names) >= {"conv1", "bn1", "fc"}
    assert not hasattr(gated.get_submodule("conv1"), "gate")
    optimizer = torch.optim.SGD([p for name, p in gated.named_parameters() if "gate" in name], lr=0.1)
    for _ in range(2):  # V gets a gradient once U is not 0
        optimizer.zero_grad()
        gated(x, beta).square().sum().backward()
        optimizer.step()
    for name, parameter in gated.named_parameters():
        if "gate" in name:
            assert parameter.grad.abs().max() > 0, name


def test_shrinkages_leave_the_module_alone_at_the_lowest_beta():
    module, x = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2)).double(), torch.rand(3, 5).double()
    gated = opened(module, gating="shrinkage", rank=2, beta_range=(0.1, 2.0))
    assert off_by(gated(x, 0.1), module(x)) < 1e-12
    assert off_by(gated(x, 2.0), module(x)) > 1e-2


def test_a_rank_moves_a_layer_further_than_gates_can():
    """W at one β and another W at the other: gates alone cannot, a part of full rank can."""
    torch.manual_seed(0)
    x, beta = torch.randn(64, 4), torch.tensor([0.01, 10.0]).repeat(32)
    target = torch.where((beta < 1)[:, None], x @ torch.randn(4, 4), x @ torch.randn(4, 4))

    def loss_of(rank: int) -> float:
        gated = gate(nn.Linear(4, 4), rank=rank)
        optimizer = torch.optim.Adam(gated.parameters(), lr=0.05)
        for _ in range(300):
            loss = (gated(x, beta) - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    assert loss_of(4) < 0.05 < loss_of(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rank": -1}, "rank=-1 should be at least 0"), ({"gating": "paper"}, "gating='paper' should be one of 'affine'")],
)
def test_wrong_arguments_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        gate(nn.Linear(4, 4), **options)
