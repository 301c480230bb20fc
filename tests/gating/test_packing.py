"""All gates from one matrix product: the numbers and the gradients of gates that are computed layer by layer."""

import copy

import pytest
import torch
from helpers import KINDS, make_images, make_model

from mrvae_zoo.gating.gates import AffineGate
from mrvae_zoo.gating.packed import Packed
from mrvae_zoo.gating.packing import find_gates, is_worth_packing, pack

GATED = [kind for kind in KINDS if kind[1] in ("affine", "shrinkage")]


def losses(model, x, beta, noise):
    out = model(x, beta, noise=noise)
    loss = (out.distortion + beta * out.rate).mean()
    return loss, torch.autograd.grad(loss, [*model.parameters()], allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize(("architecture", "gating"), GATED)
def test_packed_gates_give_the_same_numbers_and_gradients(architecture, gating, monkeypatch):
    model = make_model(architecture, gating).train()
    x = make_images(model, 5)
    low, high = model.beta_range
    beta = torch.tensor([low, low, 0.5, 2.0, high]).clamp(low, high)
    noise = torch.randn(5, *model.latent_shape((x.shape[2], x.shape[3])))
    seen = []
    monkeypatch.setattr("mrvae_zoo.models.base.pack", lambda *given: seen.append(1) or pack(*given))
    reference = copy.deepcopy(model)
    expected, expected_gradients = losses(reference, x, beta, noise)
    assert not seen  # not on a CPU
    monkeypatch.setattr("mrvae_zoo.models.base.is_worth_packing", lambda _: True)
    found, gradients = losses(model, x, beta, noise)
    assert bool(seen) == bool(find_gates(model.encoder, model.decoder))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for (name, _), ours, theirs in zip(model.named_parameters(), gradients, expected_gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5 * max(1.0, theirs.abs().max().item())), name
    seen.clear()
    model(x, 0.5)
    model.eval()(x, beta)
    assert not seen  # one β, and not in training


def test_a_compiler_and_a_transform_take_them(monkeypatch):
    monkeypatch.setattr("mrvae_zoo.models.base.is_worth_packing", lambda _: True)
    model = make_model("mrvae_mlp", "shrinkage").train()
    x, noise, beta = make_images(model, 4), torch.randn(4, model.latent_dim), torch.tensor([0.01, 0.1, 1.0, 10.0])
    expected = model(x, beta, noise=noise).distortion
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(x, beta, noise=noise).distortion, expected, rtol=1e-5)
    stacked = {name: torch.stack([one, one]) for name, one in model.named_parameters()}

    def call(weights):
        return torch.func.functional_call(model, weights, (x, beta), {"noise": noise}).distortion

    for row in torch.func.vmap(call)(stacked):
        assert torch.allclose(row, expected, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(model(x, beta, noise=noise).distortion, expected, rtol=0.05)


def test_where_they_are_packed():
    assert not is_worth_packing(torch.zeros(3))
    assert is_worth_packing(torch.zeros(3, device="meta"))


class OfPlugin(AffineGate):
    pass


def test_gates_of_a_plug_in_get_the_features_alone():
    model = make_model("mrvae_mlp", "affine")
    assert len(find_gates(model.encoder, model.decoder)) == 6
    foreign = copy.deepcopy(model)
    foreign.encoder.layers[0].gate = OfPlugin(24, 3)
    assert find_gates(foreign.encoder, foreign.decoder) == ()
    assert find_gates(make_model("mrvae_mlp", "paper").encoder) == ()
    mixed = copy.deepcopy(model)
    mixed.encoder.layers[0].gate = AffineGate(24, 2)
    assert find_gates(mixed.encoder) == ()


def test_packed_features_are_read_as_features_are():
    features = torch.rand(4, 3)
    packed = Packed(features, [])
    assert torch.equal(packed[:, -1:], features[:, -1:])
    assert (packed.ndim, packed.device, packed.dtype) == (2, features.device, torch.float32)
