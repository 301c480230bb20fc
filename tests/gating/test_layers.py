import math

import numpy as np
import pytest
import torch
from helpers import make_gating, off_by
from torch import nn

from mrvae_zoo.gating import layers as gating_module
from mrvae_zoo.gating.base import Gating, Place
from mrvae_zoo.gating.gates import RootGate, SigmoidGate, legendre_basis, open_root, shrinkages
from mrvae_zoo.gating.layers import (
    GatedBatchNorm2d,
    GatedLayer,
    fold,
    gate_the_weight,
    gated_activations,
    gated_parameters,
)

BETA_RANGE = (0.01, 10.0)
BETAS = torch.tensor([0.01, 0.05, 0.3, 1.0, 4.0, 10.0], dtype=torch.float64)
KINDS = ("paper", "paper_open", "paper_2022", "affine", "shrinkage", "concat")
LAYERS = {
    "linear": (lambda g: g.linear(7, 5, side="decoder", first=True), (6, 7)),
    "linear on sequences": (lambda g: g.linear(7, 5, side="encoder", first=True), (6, 3, 7)),
    "conv2d": (lambda g: g.conv2d(3, 5, (3, 2), side="encoder", first=True, stride=2, padding=1), (6, 3, 8, 9)),
    "grouped conv2d": (lambda g: g.conv2d(4, 6, 3, side="decoder", first=True, groups=2), (6, 4, 8, 9)),
    "conv_transpose2d": (
        lambda g: g.conv_transpose2d(3, 5, (4, 3), side="decoder", stride=2, padding=1, output_padding=(0, 1)),
        (6, 3, 8, 9),
    ),
    "batch norm": (lambda g: g.batch_norm(4, side="encoder", first=True), (6, 4, 5, 3)),
    "group norm": (lambda g: g.group_norm(2, 4, side="decoder", first=True), (6, 4, 5, 3)),
}
PLAIN_LAYERS = ("linear", "conv2d", "conv_transpose2d")
# Transposed convolutions come last in a network, and "concat" is for the first layer.
KINDS_OF_LAYERS = [
    (kind, layer) for kind in KINDS for layer in LAYERS if (kind, layer) != ("concat", "conv_transpose2d")
]


def make(kind: str, layer: str, dtype: torch.dtype) -> tuple[Gating, GatedLayer, torch.Tensor]:
    torch.manual_seed(0)
    gating = make_gating(kind, BETA_RANGE)
    build, shape = LAYERS[layer]
    module = build(gating)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for name, buffer in module.named_buffers():
            if name.startswith("running"):
                buffer.add_(torch.rand_like(buffer))
    return gating, module.to(dtype).eval(), torch.randn(shape, dtype=dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("kind", "layer"), KINDS_OF_LAYERS)
def test_folded_gated_and_per_example_are_equal(kind, layer, dtype, tolerance):
    gating, module, x = make(kind, layer, dtype)
    per_example = module(x, gating.features(BETAS.to(dtype)))
    for i, beta in enumerate(BETAS.to(dtype)):
        features = gating.features(beta)
        gated = module(x[i : i + 1], features)
        plain = module.folded(features)
        assert type(plain) in (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.GroupNorm)
        assert off_by(plain(x[i : i + 1]), gated) <= tolerance
        assert off_by(per_example[i : i + 1], gated) <= tolerance


@pytest.mark.parametrize(("kind", "layer"), [pair for pair in KINDS_OF_LAYERS if pair[1] in PLAIN_LAYERS])
def test_both_sides_of_a_layer_give_the_same(kind, layer):
    gating, module, x = make(kind, layer, torch.float64)
    features = gating.features(torch.tensor(0.3, dtype=torch.float64))
    gates, plain = module.gate(features), module.folded(features)
    ungated = type(plain).forward(module, x)
    channel_dim = -1 if layer == "linear" else 1
    assert off_by(gated_activations(ungated, gates, channel_dim=channel_dim), plain(x)) < 1e-12


def test_the_cheaper_side_is_gated(monkeypatch):
    """Shapes decide: few rows gate the activations, many the weight; per-example β always the activations."""
    gating, module, _ = make("affine", "linear", torch.float32)
    one, several = gating.features(torch.tensor(0.3)), gating.features(torch.full((20,), 0.3))
    assert not gate_the_weight(one, rows=module.in_features, fan_in=module.in_features)
    assert gate_the_weight(one, rows=module.in_features + 1, fan_in=module.in_features)
    assert not gate_the_weight(several, rows=10**6, fan_in=1)
    sides = []
    monkeypatch.setattr(gating_module, "gated_parameters", lambda *a: sides.append("weight") or gated_parameters(*a))
    module(torch.zeros(20, 7), one)
    module(torch.zeros(20, 7), several)
    module(torch.zeros(3, 7), one)
    assert sides == ["weight"]


def test_batch_norm_trains_as_a_plain_one_does():
    gating, module, x = make("affine", "batch norm", torch.float32)
    plain = nn.BatchNorm2d(4)
    plain.load_state_dict(module.state_dict(), strict=False)
    assert isinstance(module, GatedBatchNorm2d)
    module.train()(x, gating.features(torch.tensor(0.3)))
    plain.train()(x)
    assert torch.equal(module.running_mean, plain.running_mean)
    assert torch.equal(module.running_var, plain.running_var)
    assert module.num_batches_tracked == plain.num_batches_tracked == 1


def test_the_basis_is_orthonormal():
    """Under the uniform distribution on [-1, 1], by Gauss-Legendre quadrature, and without the constant."""
    nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(16))
    basis = legendre_basis(nodes, 5)
    gram = (basis * weights[:, None] / 2).T @ basis
    assert torch.allclose(gram, torch.eye(5, dtype=torch.float64), atol=1e-12)
    assert torch.allclose((basis * weights[:, None]).sum(0), torch.zeros(5, dtype=torch.float64), atol=1e-12)


def test_features_are_the_standardised_log_beta():
    """Mean 0 and variance 1 under the log-uniform distribution: ±√3 at the ends, 0 in the middle."""
    paper = make_gating("paper", BETA_RANGE)
    middle = math.sqrt(BETA_RANGE[0] * BETA_RANGE[1])
    got = paper.features(torch.tensor([BETA_RANGE[0], middle, BETA_RANGE[1]], dtype=torch.float64))
    assert torch.allclose(got[:, 0], torch.tensor([-math.sqrt(3), 0.0, math.sqrt(3)], dtype=torch.float64))


@pytest.mark.parametrize(("beta_range", "count"), [((0.01, 10.0), 3), ((0.5, 8.0), 4), ((1.0, 20.0), 1)])
def test_shrinkages_are_those_of_strengths_up_to_the_highest_beta(beta_range, count):
    """Log-spaced from one step above β_min: the k-th of n is β_min · (β_max/β_min)^(k/n)."""
    low, high = beta_range
    beta = np.array([low, 1.1 * low, math.sqrt(low * high), 0.9 * high, high])
    got = shrinkages(torch.from_numpy(beta), beta_range, count)
    strengths = np.geomspace(low, high, count + 1)[1:]
    assert got.dtype == torch.float64
    assert np.allclose(got, (beta[:, None] - low) / (beta[:, None] + strengths), rtol=1e-12, atol=0)
    assert (got[0] == 0).all()
    assert (got.diff(dim=0) > 0).all()
    assert got.max() < 1
    gating = make_gating("shrinkage", beta_range, degree=count)
    for shape in ((), (5,)):
        features = gating.features(torch.from_numpy(beta)[0 if shape == () else slice(None)])
        assert features.shape == (*shape, count + 1)
        assert torch.equal(features[..., :-1], got[0] if shape == () else got)
        assert np.allclose(features[..., -1], np.log(beta[0] if shape == () else beta), rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("beta_range", [(0.01, 10.0), (0.07, 3.3), (1e-3, 1e2)])
def test_shrinkages_are_exactly_zero_at_the_lowest_beta(beta_range, dtype):
    assert (shrinkages(torch.tensor(beta_range[0], dtype=dtype), beta_range, 3) == 0).all()


def test_under_shrinkage_the_lowest_beta_has_the_weights_alone():
    gating, module, _ = make("shrinkage", "conv2d", torch.float32)
    plain = module.folded(gating.features(torch.tensor(BETA_RANGE[0])))
    assert module.gate.coefficients.abs().min() > 0
    assert torch.equal(plain.weight, module.weight)
    assert torch.equal(plain.bias, module.bias)


@pytest.mark.parametrize("kind", ["affine", "shrinkage"])
def test_affine_gates_are_the_identity_at_initialisation(kind):
    gating = make_gating(kind, BETA_RANGE)
    torch.manual_seed(0)
    gated = gating.linear(7, 5, side="encoder")
    plain = nn.Linear(7, 5)
    plain.load_state_dict({"weight": gated.weight, "bias": gated.bias})
    x = torch.randn(6, 7)
    assert torch.equal(gated(x, gating.features(BETAS.float())), plain(x))


@pytest.mark.parametrize("gate", [SigmoidGate, RootGate])
def test_paper_gates_are_the_published_form_and_can_be_open_at_initialisation(gate):
    features = make_gating("paper", BETA_RANGE).features(BETAS)
    module = gate(4, opened=True).double()
    scale, shift = module(features)
    assert shift is None
    assert scale.min() > 0.5
    scale.sum().backward()
    assert all(parameter.grad is not None and (parameter.grad != 0).any() for parameter in module.parameters())
    with torch.no_grad():
        module.weight.copy_(torch.tensor([-1.0, 0.5, 2.0, 3.0]))
        exponent = features * module.weight + module.bias
        published = torch.sigmoid(exponent) if gate is SigmoidGate else torch.sqrt(torch.relu(1 - torch.exp(exponent)))
        assert torch.equal(module(features)[0], published)
        assert gate is SigmoidGate or (published == 0).any()  # the relu is exercised


@pytest.mark.parametrize("gate", [SigmoidGate, RootGate])
def test_paper_gates_start_as_a_linear_layer_of_one_input_does(gate):
    torch.manual_seed(3)
    module = gate(5)
    torch.manual_seed(3)
    linear = nn.Linear(1, 5)
    assert torch.equal(module.weight, linear.weight[:, 0])
    assert torch.equal(module.bias, linear.bias)


def test_half_of_the_decoder_gates_of_the_paper_start_closed_and_without_a_gradient():
    torch.manual_seed(0)
    gating = make_gating("paper", BETA_RANGE)
    gate = gating.gate(Place(10_000, "decoder"))
    for beta in BETAS.float():
        gate.zero_grad()
        scale, _ = gate(gating.features(beta))
        scale.sum().backward()
        closed = scale == 0
        assert closed.float().mean().item() == pytest.approx(0.5, abs=0.02)
        assert torch.equal(gate.bias.grad == 0, closed)


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_a_gate_behind_a_relu_is_one_on_the_pre_activation(side):
    """So the gates of 2022 can be on the pre-activations, and fold; in the encoder they are twice those of "paper"."""
    gating = make_gating("paper_2022", BETA_RANGE)
    torch.manual_seed(0)
    gated = gating.linear(7, 64, side=side).double()
    x, features = torch.randn(6, 7, dtype=torch.float64), gating.features(BETAS)
    exponent = features * gated.gate.weight + gated.gate.bias
    published = 2 * torch.sigmoid(exponent) if side == "encoder" else torch.sqrt(torch.relu(1 - torch.exp(exponent)))
    behind = published * torch.relu(nn.functional.linear(x, gated.weight, gated.bias))
    assert off_by(torch.relu(gated(x, features)), behind) < 1e-12


def test_only_hidden_layers_take_paper_gates():
    for kind in ("paper", "paper_open", "paper_2022"):
        gating = make_gating(kind, BETA_RANGE)
        assert isinstance(gating.linear(2, 2, side="encoder"), GatedLayer)
        assert isinstance(gating.conv2d(2, 2, 3, side="encoder", first=True), GatedLayer)
        assert type(gating.linear(2, 2, side="encoder", head=True)) is nn.Linear
        assert type(gating.latent_projection(2, 2)) is nn.Linear
        assert isinstance(gating.latent_reader(2, 2), GatedLayer) == (kind != "paper_2022")
        assert isinstance(gating.latent_reader2d(2, 2, 3), GatedLayer) == (kind != "paper_2022")
    for kind in ("affine", "shrinkage"):
        assert isinstance(make_gating(kind, BETA_RANGE).linear(2, 2, side="encoder", head=True), GatedLayer)


def test_concat_is_one_more_input_channel():
    """Against plain layers that get the standardised log β as a channel, padded with its own value."""
    gating = make_gating("concat", BETA_RANGE)
    middle = math.log(BETA_RANGE[0] * BETA_RANGE[1]) / 2
    t = (BETAS.log() - middle) / (math.log(BETA_RANGE[1] / BETA_RANGE[0]) / math.sqrt(12))
    features = gating.features(BETAS)
    torch.manual_seed(0)
    linear = gating.linear(7, 5, side="encoder", first=True).double()
    x = torch.randn(6, 7, dtype=torch.float64)
    weight = torch.cat([linear.weight, linear.gate.weight[:, None]], dim=1)
    expected = nn.functional.linear(torch.cat([x, t[:, None]], dim=1), weight, linear.bias)
    assert off_by(linear(x, features), expected) < 1e-12

    conv = gating.conv2d(3, 5, (4, 3), side="encoder", first=True, stride=2, padding=1).double()
    images = torch.randn(6, 3, 8, 9, dtype=torch.float64)
    channel = t.view(6, 1, 1, 1).expand(6, 1, 10, 11)
    padded = torch.cat([nn.functional.pad(images, (1, 1, 1, 1)), channel], dim=1)
    weight = torch.cat([conv.weight, conv.gate.weight[:, None]], dim=1)
    expected = nn.functional.conv2d(padded, weight, conv.bias, stride=2)
    assert off_by(conv(images, features), expected) < 1e-12


def test_concat_is_initialised_as_one_more_channel_is():
    gating = make_gating("concat", BETA_RANGE)
    torch.manual_seed(0)
    for layer, plain in (
        (gating.linear(15, 4000, side="encoder", first=True), nn.Linear(16, 4000)),
        (gating.conv2d(3, 400, 4, side="encoder", first=True), nn.Conv2d(4, 400, 4)),
    ):
        ours, theirs = layer.gate.weight, plain.weight[:, -1]
        assert ours.shape == theirs.shape
        assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.05)
        assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.01)


def test_concat_reaches_the_first_layers_alone():
    gating = make_gating("concat", BETA_RANGE)
    assert type(gating.linear(2, 2, side="encoder")) is nn.Linear
    assert type(gating.conv2d(2, 2, 3, side="decoder")) is nn.Conv2d
    assert type(gating.batch_norm(2, side="encoder")) is nn.BatchNorm2d


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_root_has_a_finite_gradient_everywhere(dtype):
    exponent = torch.tensor([-1e4, -1.0, -1e-3, -1e-7, -1e-9, 0.0, 1e-9, 1.0, 100.0, 1e4], dtype=dtype)
    exponent.requires_grad_()
    root = open_root(exponent)
    assert torch.equal(root.detach(), torch.sqrt(torch.relu(1 - torch.exp(exponent.detach()))))
    root.sum().backward()
    assert exponent.grad.isfinite().all()
    assert (exponent.grad[exponent.detach() >= 0] == 0).all()
    assert (exponent.grad[1:3] < 0).all()


@pytest.mark.parametrize("kind", [*KINDS, "linear"])
def test_gates_are_float32_in_half_precision_and_under_autocast(kind):
    gating = make_gating(kind, BETA_RANGE)
    gate = gating.gate(Place(5, "decoder", seen=(3,))).bfloat16()
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    features = gating.features(BETAS.float())
    expected = gate.float()(features)  # the same rounded parameters
    gate.bfloat16()
    plain = gate(features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = gate(features)
    for gates in (plain, autocast):
        for got, wanted in zip(gates, expected, strict=True):
            if wanted is None:
                assert got is None
                continue
            assert got.dtype == torch.float32
            assert torch.equal(got, wanted)


def test_a_fold_keeps_shared_layers_shared_and_the_original_untouched():
    gating, module, x = make("affine", "linear", torch.float32)
    features = gating.features(torch.tensor(0.3))
    network = nn.ModuleDict({"first": module, "second": module})
    folded = fold(network, features)
    assert folded["first"] is folded["second"]
    assert type(folded["first"]) is nn.Linear
    assert network["first"] is module
    before = module(x, features)
    with torch.no_grad():
        folded["first"].weight.zero_()
    assert torch.equal(module(x, features), before)
