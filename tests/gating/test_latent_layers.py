"""The layers that write and read the latents, with a mixing that moves with β and with weights that move.

Their weights against a formula, latents that are closed, gradients.

That whole models fold, compile and are exported with them is in the tests over every architecture and gating.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import OPTIONS, SHAPES, make_gating, make_images, make_model, off_by
from torch import nn

import mrvae_zoo
from mrvae_zoo import Posterior
from mrvae_zoo.gating.blended import BlendedConv2d, BlendedLinear
from mrvae_zoo.gating.gates import ThresholdGate
from mrvae_zoo.gating.mixing import MixedReader, MixedReader2d, MixedWriter, MixedWriter2d

LatentLayer = BlendedLinear | BlendedConv2d | MixedReader | MixedReader2d | MixedWriter | MixedWriter2d

BETA_RANGE = (0.02, 6.0)
GATING = make_gating("shrinkage", BETA_RANGE, degree=2)
BETAS = torch.tensor([0.02, 0.05, 0.4, 1.0, 3.0, 6.0], dtype=torch.float64)
# A latent's β, half of them inside the range.
CLOSING = torch.tensor([0.3, 40.0, 1.5, 9.0], dtype=torch.float64)
LAYERS = {
    "writer": (lambda gating: gating.latent_writer(7, 4), (6, 7)),
    "reader": (lambda gating: gating.latent_reader(4, 5), (6, 4)),
    "writer of sequences": (lambda gating: gating.latent_writer(7, 4), (6, 3, 7)),
    "reader of sequences": (lambda gating: gating.latent_reader(4, 5), (6, 3, 4)),
    "writer2d": (lambda gating: gating.latent_writer2d(7, 4), (6, 7, 5, 3)),
    "reader2d": (lambda gating: gating.latent_reader2d(4, 5, 3), (6, 4, 5, 3)),
}
BLENDED = {
    "writer with moving weights": (lambda gating: replace(gating, moves="weights").latent_writer(7, 4), (6, 7)),
    "reader with moving weights": (lambda gating: replace(gating, moves="weights").latent_reader(4, 5), (6, 4)),
    "reader of sequences with moving weights": (
        lambda gating: replace(gating, moves="weights").latent_reader(4, 5),
        (6, 3, 4),
    ),
    "writer with moving weights, 2d": (
        lambda gating: replace(gating, moves="weights").latent_writer2d(7, 4),
        (6, 7, 5, 3),
    ),
    "reader with moving weights, 2d": (
        lambda gating: replace(gating, moves="weights").latent_reader2d(4, 5, 3),
        (6, 4, 5, 3),
    ),
}
ALL_LAYERS = LAYERS | BLENDED
WITH_LATENTS = ("mrvae_mlp", "mrvae_conv", "mrvae_resnet", "mrvae_resnet_spatial")


def make(name: str, dtype: torch.dtype = torch.float64) -> tuple[LatentLayer, torch.Tensor]:
    """A layer whose every parameter is away from its initial value, its thresholds at CLOSING, and an input."""
    torch.manual_seed(0)
    build, shape = ALL_LAYERS[name]
    layer = build(GATING)
    assert isinstance(layer, BlendedLinear | BlendedConv2d) == (name in BLENDED)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    layer = layer.to(dtype)
    close(layer, CLOSING)
    return layer, torch.randn(shape, dtype=dtype)


def close(module: nn.Module, closing: torch.Tensor) -> None:
    """Closes latents from these β upwards, in every layer of `module` that writes or reads them."""
    for part in module.modules():
        if isinstance(part, ThresholdGate):
            with torch.no_grad():
                part.offset.copy_(-closing.log())


def by_formula(layer: LatentLayer, name: str, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """The weight and bias at one β, in numpy: shrinkages of strengths √(β_min β_max) and β_max."""
    low, high = BETA_RANGE
    shrunk = [(beta - low) / (beta + strength) for strength in ((low * high) ** 0.5, high)]
    opening = np.sqrt(np.maximum(0, 1 - beta / CLOSING.numpy()))
    writes = name.startswith("writer")
    affine = layer.gate.inner if writes else layer.gate
    factors, shifts = affine.coefficients.detach().numpy()
    scale = 1 + shrunk[0] * factors[0] + shrunk[1] * factors[1]
    shift = shrunk[0] * shifts[0] + shrunk[1] * shifts[1]
    if writes:
        scale, shift = scale * np.tile(opening, 2), shift * np.tile(opening, 2)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    moving = (layer.blends if name in BLENDED else layer.mixing.parts).detach().numpy()
    moved = shrunk[0] * moving[0] + shrunk[1] * moving[1]
    if name in BLENDED:
        weight = weight + moved
    else:
        matrix = np.eye(len(moved)) + moved
        weight = (
            np.einsum("ij,jk...->ik...", matrix, weight) if writes else np.einsum("ok...,kj->oj...", weight, matrix)
        )
        bias = matrix @ bias if writes else bias
    trailing = (1,) * (weight.ndim - 2)
    if not writes:
        weight = weight * opening.reshape(1, -1, *trailing)
    return weight * scale.reshape(-1, 1, *trailing), bias * scale + shift


@pytest.mark.parametrize("name", ALL_LAYERS)
def test_a_layer_at_one_beta_is_the_plain_one_of_the_formula(name):
    layer, _ = make(name)
    for beta in BETAS:
        plain = layer.folded(GATING.features(beta))
        assert type(plain) is (nn.Conv2d if name.endswith("2d") else nn.Linear)
        for tensor in (plain.weight, plain.bias):  # as files want them
            assert tensor.is_contiguous()
            assert tensor.untyped_storage().nbytes() == tensor.nbytes
        for ours, theirs in zip((plain.weight, plain.bias), by_formula(layer, name, beta.item()), strict=True):
            assert off_by(ours, torch.from_numpy(theirs)) < 1e-12


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", ALL_LAYERS)
def test_one_beta_for_the_batch_one_an_example_and_folded_are_equal(name, dtype, tolerance):
    layer, x = make(name, dtype)
    together = layer(x, GATING.features(BETAS.to(dtype)))
    for i, beta in enumerate(BETAS.to(dtype)):
        features = GATING.features(beta)
        batch = layer(x, features)
        assert off_by(layer.folded(features)(x), batch) <= tolerance
        assert off_by(layer(x, features.expand(len(x), -1)), batch) <= tolerance
        assert off_by(together[i], batch[i]) <= tolerance


@pytest.mark.parametrize("name", ALL_LAYERS)
def test_at_the_lowest_beta_only_thresholds_are_left(name):
    layer, _ = make(name)
    plain = layer.folded(GATING.features(BETAS[0]))
    opening = (1 - BETAS[0] / CLOSING).sqrt()
    trailing = (1,) * (layer.weight.ndim - 2)
    opening = opening.repeat(2).view(-1, 1, *trailing) if name.startswith("writer") else opening.view(1, -1, *trailing)
    assert off_by(plain.weight, layer.weight * opening) < 1e-12


@pytest.mark.parametrize("kind", ["affine", "paper", "concat", "none"])
def test_other_gatings_have_the_layers_of_before(kind):
    gating = make_gating(kind, BETA_RANGE)
    pairs = {
        "writer": gating.linear(7, 8, side="encoder", head=True),
        "reader": gating.linear(4, 5, side="decoder", first=True),
        "writer2d": gating.conv2d(7, 8, 1, side="encoder", head=True),
        "reader2d": gating.conv2d(4, 5, 3, side="decoder", first=True, padding=1),
    }
    for name, expected in pairs.items():
        layer = LAYERS[name][0](gating)
        assert repr(layer) == repr(expected)
        assert {key: t.shape for key, t in layer.state_dict().items()} == {
            key: t.shape for key, t in expected.state_dict().items()
        }


@pytest.mark.parametrize("at_lowest", [0, 2, 6])
@pytest.mark.parametrize("name", BLENDED)
def test_leaving_out_examples_at_the_lowest_beta_changes_nothing(name, at_lowest, monkeypatch):
    """Neither outputs nor gradients; at_lowest of six examples are there."""
    beta = BETAS.clone()
    beta[:at_lowest], beta[at_lowest:] = BETAS[0], 1.0
    found = []
    for skips in (True, False):
        monkeypatch.setattr("mrvae_zoo.gating.blended.values_can_be_read", lambda _, skips=skips: skips)
        layer, x = make(name)
        x.requires_grad_()
        y = layer(x, GATING.features(beta))
        y.pow(3).sum().backward()
        found.append([y.detach(), x.grad, *(parameter.grad for parameter in layer.parameters())])
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).abs().max() <= 1e-12 * max(1.0, theirs.abs().max())


# Thresholds


def test_thresholds_are_spread_at_initialisation():
    """The j-th latent is open below 4 β_max / j: three at β_max, more the lower β is."""
    layers = {name: build(GATING) for name, (build, _) in ALL_LAYERS.items()}
    gates = [layer.gate.threshold if name.startswith("writer") else layer.input_gate for name, layer in layers.items()]
    many = GATING.latent_writer(3, 40).gate.threshold
    for gate in (*gates, many):
        j = np.arange(1, len(gate.offset) + 1)
        for beta in BETAS:
            opening, shift = gate.double()(GATING.features(beta))
            assert shift is None
            expected = np.sqrt(np.maximum(0, 1 - beta.item() * j / (4 * BETA_RANGE[1])))
            assert np.allclose(opening.detach().numpy(), expected, atol=1e-3)  # the root of what float32 rounds
    opened = [int((many(GATING.features(BETAS.new_tensor(beta)))[0] > 1e-2).sum()) for beta in (0.5, 2.1, 6.0)]
    assert opened == [40, 11, 3]


def test_without_a_spread_all_are_open_at_every_beta():
    gate = ThresholdGate(3, beta_max=6.0)
    for beta in BETAS:
        assert torch.allclose(gate(GATING.features(beta))[0].double(), (1 - beta / 12).sqrt().expand(3), atol=1e-6)


@pytest.mark.parametrize("architecture", WITH_LATENTS)
def test_a_closed_latent_costs_nothing_and_is_not_seen(architecture):
    """The second of six is closed from β = 1 on."""
    model = make_model(architecture, "shrinkage")
    closing = torch.full((6,), 50.0)
    closing[1] = 1.0
    close(model, closing)
    x = make_images(model, 4)
    others = [0, 2, 3, 4, 5]
    for beta, closed in ((0.99, False), (1.0, True), (4.0, True), (torch.full((4,), 4.0), True)):
        forms = [(model, (beta,))] if isinstance(beta, torch.Tensor) else [(model, (beta,)), (model.at(beta), ())]
        for one, given in forms:
            with torch.no_grad():
                posterior = one.encode(x, *given)
                z = posterior.mean + torch.randn_like(posterior.mean)
                changed = z.clone()
                changed[:, 1] += 3.0
                unseen = torch.equal(one.decode(z, *given), one.decode(changed, *given))
            of_others = Posterior(posterior.mean[:, others], posterior.log_var[:, others])
            assert (posterior.mean[:, 1] == 0).all() == closed
            assert (posterior.log_var[:, 1] == 0).all() == closed
            assert torch.allclose(posterior.kl(), of_others.kl(), rtol=1e-6) == closed
            assert unseen == closed


@pytest.mark.parametrize("architecture", WITH_LATENTS)
def test_where_all_are_closed_the_rate_is_zero(architecture):
    model = make_model(architecture, "shrinkage")
    close(model, torch.full((6,), 0.5))
    x = make_images(model, 3)
    with torch.no_grad():
        for one, given in ((model, (0.5,)), (model, (torch.tensor([0.5, 2.0, 10.0]),)), (model.at(2.0), ())):
            out = one(x, *given)
            assert torch.equal(out.rate, torch.zeros(3))
            assert not torch.equal(out.z, torch.zeros_like(out.z))  # the prior's own noise
        assert (model(x, 0.4).rate > 0).all()


def test_a_new_model_opens_more_latents_the_lower_beta_is():
    torch.manual_seed(0)
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=SHAPES["mrvae_mlp"], latent_dim=32, **OPTIONS["mrvae_mlp"])
    assert model.config.gating == "shrinkage"
    x = make_images(model, 8)
    with torch.no_grad():
        used = [int((model.encode(x, beta).mean != 0).any(0).sum()) for beta in (9.9, 5.1, 2.1, 1.2)]
    assert used == [4, 7, 19, 32]


# Gradients


@pytest.mark.parametrize("name", ALL_LAYERS)
def test_the_gradient_of_every_beta_reaches_every_parameter(name):
    """But at β_min, where the shrinkages are 0; and of a threshold only where its latent is open."""
    layer, x = make(name)
    threshold = layer.gate.threshold if name.startswith("writer") else layer.input_gate
    for i, beta in enumerate(BETAS):
        layer.zero_grad()
        y = layer(x, GATING.features(BETAS))
        (y[i] * torch.arange(1, y[i].numel() + 1).view_as(y[i])).sum().backward()
        for key, parameter in layer.named_parameters():
            assert parameter.grad.isfinite().all(), key
            if not key.endswith("offset"):
                moved = beta > BETA_RANGE[0] or key in ("weight", "bias")
                assert bool((parameter.grad != 0).any()) == bool(moved), (key, beta)
        assert torch.equal(threshold.offset.grad != 0, beta < CLOSING)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ALL_LAYERS)
def test_gradients_are_finite_at_and_around_a_threshold(name, dtype):
    layer, x = make(name, dtype)
    near = [1.5 * (1 + step) for step in (-1e-2, -1e-5, -1e-7, 0.0, 1e-7, 1e-2)]
    beta = torch.tensor(near, dtype=dtype)
    for features in (GATING.features(beta), *GATING.features(beta)):
        layer.zero_grad()
        y = layer(x, features)
        y.square().sum().backward()
        assert y.isfinite().all()
        for key, parameter in layer.named_parameters():
            assert parameter.grad.isfinite().all(), key


# Precision


@pytest.mark.parametrize("name", ALL_LAYERS)
def test_gates_are_float32_in_half_precision_and_under_autocast(name):
    layer, x = make(name, torch.bfloat16)
    layer.float()  # what bfloat16 rounded them to
    features = GATING.features(BETAS.float())
    gates = {"gate": layer.gate} | ({"input gate": layer.input_gate} if name.startswith("reader") else {})
    expected = {key: gate(features) for key, gate in gates.items()}
    reference = layer(x.float(), features)
    for half in (True, False):
        layer.to(torch.bfloat16 if half else torch.float32)
        with torch.autocast("cpu", torch.bfloat16, enabled=not half):
            for key, gate in gates.items():
                for got, wanted in zip(gate(features), expected[key], strict=True):
                    assert wanted is None or (got.dtype == torch.float32 and torch.equal(got, wanted))
            given = x if half else x.float()
            many = layer(given, features)
            each = [layer(given[i : i + 1], one) for i, one in enumerate(features)]
        assert off_by(many.float(), reference) < 0.02
        assert off_by(torch.cat(each).float(), reference) < 0.02
        if half:
            assert {y.dtype for y in (many, *each)} == {torch.bfloat16}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fold_keeps_the_dtype_and_leaves_the_layer_alone(dtype):
    layer, x = make("writer2d", dtype)
    before, features = layer(x, GATING.features(BETAS[2].float())), GATING.features(BETAS[2].float())
    plain = layer.folded(features)
    assert plain.weight.dtype == plain.bias.dtype == dtype
    with torch.no_grad():
        plain.weight.zero_()
        plain.bias.zero_()
    assert torch.equal(layer(x, features), before)
