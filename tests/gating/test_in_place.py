"""Gates that are written over the output of their layer, which happens in eager mode where no gradient is needed."""

import pytest
import torch
import torch.autograd.forward_ad as fw
from helpers import make_gating, off_by

from mrvae_zoo.gating.base import Gating
from mrvae_zoo.gating.layers import GatedLayer, may_overwrite

GATING = make_gating("shrinkage", (0.01, 10.0))
BETAS = torch.tensor([0.01, 0.05, 0.3, 1.0, 4.0, 10.0])
LAYERS = {
    "linear": (lambda g: g.linear(7, 5, side="decoder"), (6, 7)),
    "linear on sequences": (lambda g: g.linear(7, 5, side="decoder"), (6, 3, 7)),
    "writer": (lambda g: g.latent_writer(7, 4), (6, 7)),
    "reader": (lambda g: g.latent_reader(4, 5), (6, 4)),
    "conv2d": (lambda g: g.conv2d(3, 5, 3, side="encoder"), (6, 3, 8, 9)),
    "conv_transpose2d": (lambda g: g.conv_transpose2d(3, 5, 4, side="decoder", stride=2), (6, 3, 4, 5)),
    "writer2d": (lambda g: g.latent_writer2d(7, 4), (6, 7, 5, 3)),
    "reader2d": (lambda g: g.latent_reader2d(4, 5, 3), (6, 4, 5, 3)),
    "batch norm": (lambda g: g.batch_norm(4, side="encoder"), (6, 4, 5, 3)),
    "group norm": (lambda g: g.group_norm(2, 4, side="decoder"), (6, 4, 5, 3)),
}


def make(name: str, dtype: torch.dtype, gating: Gating = GATING) -> tuple[GatedLayer, torch.Tensor]:
    torch.manual_seed(0)
    build, shape = LAYERS[name]
    layer = build(gating)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer.to(dtype).eval(), torch.randn(shape, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["shrinkage", "paper"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_result_is_the_same_without_gradients(name, kind, dtype):
    gating = make_gating(kind, (0.01, 10.0))
    layer, x = make(name, dtype, gating)
    if not isinstance(layer, GatedLayer):
        pytest.skip("paper gates leave this layer plain")
    before = x.clone()
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 0.02}[dtype]
    features = gating.features(BETAS.to(torch.promote_types(dtype, torch.float32)))
    for given in (features, features[2]):
        expected = layer(x, given)
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                got = layer(x, given)
            assert got.dtype == expected.dtype
            assert off_by(got.float(), expected.float()) <= tolerance
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_right(name):
    """Against finite differences, whose forward passes keep gradients too."""
    layer, x = make(name, torch.float64)
    x.requires_grad_()
    parameters = list(layer.parameters())
    for features in (GATING.features(BETAS.double()), GATING.features(BETAS.double())[2]):
        assert torch.autograd.gradcheck(lambda *given, f=features: layer(given[0], f), (x, *parameters), fast_mode=True)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")  # torch's own use of it
@pytest.mark.parametrize("name", ["linear", "writer", "reader", "conv2d"])
def test_transforms_and_traces_work_without_gradients(name):
    layer, x = make(name, torch.float64)
    features = GATING.features(BETAS.double())
    tangent = torch.randn_like(x)
    expected = layer(x, features)
    x_with_gradient = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad((layer(x_with_gradient, features) * expected).sum(), x_with_gradient)
    wanted = (slope * tangent).sum()
    with torch.no_grad():
        mapped = torch.func.vmap(lambda row, one: layer(row[None], one[None])[0])(x, features)
        assert off_by(mapped, expected) < 1e-12
        _, forward = torch.func.jvp(lambda one: layer(one, features), (x,), (tangent,))
        with fw.dual_level():
            dual = fw.unpack_dual(layer(fw.make_dual(x, tangent), features)).tangent
        for got in (forward, dual):
            assert torch.allclose((got * expected).sum(), wanted)


def test_only_eager_mode_without_gradients_may_overwrite():
    assert not may_overwrite()
    with torch.no_grad():
        assert may_overwrite()
        assert torch.compile(may_overwrite, backend="eager")() is False
        with fw.dual_level():
            assert not may_overwrite()
        torch.func.vmap(lambda x: (x, may_overwrite() and pytest.fail("inside vmap"))[0])(torch.zeros(2))
    with torch.inference_mode():
        assert may_overwrite()
