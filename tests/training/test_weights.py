import pytest
import torch
from helpers import DEFAULT_KINDS, make_images, make_model
from torch import nn

from mrvae_zoo.training.weights import ALIGNED, Weights


class Odd(nn.Module):
    """Parameters of every number of axes, one that is not trained, one that no loss depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.scalar = nn.Parameter(torch.tensor(2.0))
        self.vector = nn.Parameter(torch.arange(5.0))
        self.kernel = nn.Parameter(torch.rand(3, 2, 4, 4))
        self.frozen = nn.Parameter(torch.rand(2), requires_grad=False)
        self.unused = nn.Parameter(torch.rand(3))

    def forward(self) -> torch.Tensor:
        return self.scalar * self.vector.square().sum() + self.kernel.sin().sum() * self.frozen.sum()


def test_the_parameters_are_views_of_one_tensor():
    model = Odd()
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    weights = Weights([model], channels_last=True)
    assert [place.name for place in weights.places] == ["scalar", "vector", "kernel", "unused"]
    assert all(place.start % ALIGNED == 0 for place in weights.places)
    assert all(torch.equal(one, before[name]) for name, one in model.named_parameters())
    assert model.kernel.is_contiguous(memory_format=torch.channels_last)
    weights.flat.mul_(2)
    weights.release(model)
    weights.flat.zero_()
    for name, one in model.named_parameters():
        assert torch.equal(one, before[name] * (1 if name == "frozen" else 2))


@pytest.mark.parametrize("channels_last", [False, True])
def test_gradients_are_those_of_backward(channels_last):
    model, reference = Odd(), Odd()
    reference.load_state_dict(model.state_dict())
    reference().backward()
    weights = Weights([model], channels_last=channels_last)
    weights.differentiate(model())
    weights.differentiate(model(), add=True)
    for place in weights.places:
        expected = reference.get_parameter(place.name).grad
        expected = torch.zeros_like(model.get_parameter(place.name)) if expected is None else expected
        assert torch.allclose(place.of(weights.gradient[0]), 2 * expected), place.name
    assert torch.equal(weights.rows[0].grad, weights.gradient[0])
    used = sum(place.size for place in weights.places)
    assert (weights.flat != 0).sum() <= used  # padding stays 0, and so an optimiser leaves it alone
    assert (weights.gradient != 0).sum() <= used


def test_the_norm_is_that_of_torch():
    models = [Odd(), Odd()]
    weights = Weights(models)
    weights.gradient.copy_(torch.randn_like(weights.gradient))
    weights.gradient[1] *= 1e-3
    rows = [nn.Parameter(row.clone()) for row in weights.flat]
    for row, gradient in zip(rows, weights.gradient, strict=True):
        row.grad = gradient.clone()
        nn.utils.clip_grad_norm_([row], 0.5)
    weights.clip(0.5)
    for row, gradient in zip(rows, weights.gradient, strict=True):
        assert torch.allclose(row.grad, gradient)
    assert torch.linalg.vector_norm(weights.gradient[0]).item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(("architecture", "gating"), DEFAULT_KINDS)
def test_every_architecture_keeps_its_function(architecture, gating):
    model = make_model(architecture, gating)
    x = make_images(model, 3)
    before = model(x, 0.5, sample=False)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Weights([model], channels_last=True)
    after = model(x, 0.5, sample=False)
    assert torch.allclose(before.rate, after.rate, rtol=1e-5)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
