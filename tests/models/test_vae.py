import itertools
import math
import threading

import numpy as np
import pytest
import torch
from helpers import DEFAULT_KINDS, GATED_KINDS, KINDS, OPTIONS, SHAPES, make_images, make_model, off_by, outputs
from torch.distributions import Independent, Normal, kl_divergence

import mrvae_zoo
from mrvae_zoo import FixedRateVAE, Posterior
from mrvae_zoo.gating.layers import GatedLayer

BETAS = (0.01, 0.03, 0.5, 1.0, 4.0, 10.0)
PRECISIONS = [(torch.float64, 1e-10), (torch.float32, 1e-5)]


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_folded_is_gated(kind, dtype, tolerance):
    model = make_model(*kind, dtype=dtype)
    x = make_images(model, 5)
    for beta in BETAS:
        for folded, gated in zip(outputs(model.at(beta), x), outputs(model, x, beta), strict=True):
            assert off_by(folded, gated) <= tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_one_beta_an_example_is_one_call_an_example(kind, dtype, tolerance):
    model = make_model(*kind, dtype=dtype)
    x, beta = make_images(model, len(BETAS)), torch.tensor(BETAS, dtype=dtype)
    together = outputs(model, x, beta)
    alone = [outputs(model, x[i : i + 1], beta[i]) for i in range(len(BETAS))]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert off_by(whole, torch.cat(parts)) <= tolerance


@pytest.mark.parametrize("kind", GATED_KINDS, ids="-".join)
def test_beta_reaches_encoder_and_decoder(kind):
    model = make_model(*kind)
    x = make_images(model, 5)
    with torch.no_grad():
        z = torch.randn_like(model.encode(x, 1.0).mean)
        assert off_by(model.encode(x, 0.01).mean, model.encode(x, 10.0).mean) > 1e-3
        assert off_by(model.decode(z, 0.01), model.decode(z, 10.0)) > 1e-3


def test_a_trained_model_uses_its_beta(default_model, digits):
    """In the way that theory says: the higher β, the lower the rate and the higher the distortion."""
    x = default_model.preprocess(digits)
    with torch.no_grad():
        outs = [default_model(x, beta, generator=torch.Generator().manual_seed(0)) for beta in (0.01, 0.1, 1.0, 10.0)]
    rates = [out.rate.mean() for out in outs]
    distortions = [out.distortion.mean() for out in outs]
    assert all(low > 1.5 * high for low, high in itertools.pairwise(rates))
    assert distortions == sorted(distortions)
    assert off_by(outs[0].reconstruction, outs[-1].reconstruction) > 0.1


def test_every_gate_of_a_trained_model_does_something(default_model):
    gates = {name: module for name, module in default_model.named_modules() if isinstance(module, GatedLayer)}
    assert len(gates) == 6
    for layer in gates.values():
        low, high = (default_model.gating.features(torch.tensor(beta)) for beta in (0.01, 10.0))
        scale, shift = layer.gate(low), layer.gate(high)
        assert off_by(scale[0], shift[0]) > 0.05
        assert off_by(scale[1], shift[1]) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("kind", GATED_KINDS, ids="-".join)
def test_eight_threads_get_what_each_gets_alone(kind):
    model = make_model(*kind)
    betas = [0.01, 0.02, 0.1, 0.3, 1.0, 2.0, 5.0, 10.0]
    inputs = [make_images(model, n, seed=n) for n in range(1, 9)]  # a batch size of its own for each thread
    alone = [outputs(model, x, beta) for x, beta in zip(inputs, betas, strict=True)]
    together, start = [[] for _ in betas], threading.Barrier(8)

    def call(i: int) -> None:
        start.wait()
        together[i] = [outputs(model, inputs[i], betas[i]) for _ in range(30)]

    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for expected, results in zip(alone, together, strict=True):
        assert len(results) == 30
        for result in results:
            assert all(torch.equal(a, b) for a, b in zip(expected, result, strict=True))


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_the_batch_size_may_change_between_calls(kind):
    model = make_model(*kind)
    x = make_images(model, 9)
    whole = outputs(model, x, torch.full((9,), 0.3))
    for n in (1, 9, 4, 2):
        for a, b in zip(outputs(model, x[:n], torch.full((n,), 0.3)), whole, strict=True):
            assert off_by(a, b[:n]) <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_outputs_and_gradients_are_finite_at_both_ends(kind, dtype):
    model = make_model(*kind, dtype=dtype)
    x = make_images(model, 6)
    for beta in (0.01, 10.0, torch.tensor([0.01, 10.0] * 3)):
        model.zero_grad()
        out = model(x, beta)
        assert out.rate.dtype == out.distortion.dtype == torch.float32
        assert out.reconstruction.dtype == out.z.dtype == dtype
        (out.distortion + beta * out.rate).sum().backward()
        assert all(tensor.isfinite().all() for tensor in (out.reconstruction, out.z, out.rate, out.distortion))
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_the_gradient_reaches_every_parameter_of_a_new_model(kind):
    """Also of gates that are still the identity."""
    torch.manual_seed(0)
    architecture, gating = kind
    model = mrvae_zoo.create_model(
        architecture, input_shape=SHAPES[architecture], latent_dim=6, gating=gating, **OPTIONS[architecture]
    )
    x, beta = make_images(model, 32), mrvae_zoo.sample_beta(32)
    out = model(x, beta)
    (out.distortion + beta * out.rate).mean().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad != 0).any(), name


def test_the_rate_is_the_kl_divergence():
    generator = torch.Generator().manual_seed(0)
    mean, log_var = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    posterior = Posterior(mean, log_var)
    q = Independent(Normal(mean, (0.5 * log_var).exp()), 1)
    p = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    assert torch.allclose(posterior.kl(), kl_divergence(q, p), rtol=1e-12)
    assert torch.equal(posterior.mode(), mean)


def test_samples_follow_the_posterior_and_the_generator():
    mean, log_var = torch.tensor([[1.0, -2.0]]).expand(200_000, 2), torch.tensor([[0.0, -3.0]]).expand(200_000, 2)
    posterior = Posterior(mean, log_var)
    draw = posterior.sample(torch.Generator().manual_seed(3))
    assert torch.equal(draw, posterior.sample(torch.Generator().manual_seed(3)))
    assert not torch.equal(draw, posterior.sample(torch.Generator().manual_seed(4)))
    assert torch.allclose(draw.mean(0), mean[0], atol=0.01)
    assert torch.allclose(draw.var(0).log(), log_var[0], atol=0.02)


def test_a_generator_makes_a_call_and_samples_repeatable():
    model = make_model("mrvae_mlp", "affine")
    x = make_images(model, 3)
    draws = [model(x, 0.3, generator=torch.Generator().manual_seed(s)).z for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    samples = [model.sample(4, 0.3, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert samples[0].shape == (4, *model.input_shape)
    assert torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])


@pytest.mark.parametrize("kind", DEFAULT_KINDS, ids="-".join)
def test_the_noise_of_z_may_be_given(kind):
    model = make_model(*kind)
    x = make_images(model, 2)
    shape = (2, *model.latent_shape(x.shape[2:]))
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    for one, beta in ((model, (0.3,)), (model.at(0.3), ())):
        given = one(x, *beta, noise=noise)
        drawn = one(x, *beta, generator=torch.Generator().manual_seed(3))
        assert all(torch.equal(a, b) for a, b in zip(given[2:], drawn[2:], strict=True))
        assert torch.equal(given.z, one.encode(x, *beta).displaced(noise))
    with pytest.raises(ValueError, match="noise has shape"):
        model(x, 0.3, noise=noise[:1])
    with pytest.raises(ValueError, match="leave out sample= and generator="):
        model(x, 0.3, sample=False, noise=noise)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_folded_model_has_no_trace_of_gates(kind):
    model, dedicated = make_model(*kind), make_model(kind[0], "none")
    plain = model.at(0.3)
    assert isinstance(plain, FixedRateVAE)
    assert [type(m) for m in plain.encoder.modules()] == [type(m) for m in dedicated.encoder.modules()]
    assert [type(m) for m in plain.decoder.modules()] == [type(m) for m in dedicated.decoder.modules()]
    shapes = {name: tensor.shape for name, tensor in dedicated.state_dict().items()}
    assert {name: tensor.shape for name, tensor in plain.state_dict().items()} == shapes
    assert plain.beta == 0.3
    assert plain.at(0.3) is plain
    with pytest.raises(ValueError, match=r"beta=0\.5: this model was folded at β=0\.3"):
        plain.at(0.5)


def test_a_folded_model_is_a_copy():
    model = make_model("mrvae_mlp", "affine")
    x = make_images(model, 2)
    before = outputs(model, x, 0.3)
    plain = model.at(0.3)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.zero_()
    assert all(torch.equal(a, b) for a, b in zip(before, outputs(model, x, 0.3), strict=True))


def test_a_folded_model_has_the_same_interface():
    model = make_model("mrvae_mlp", "affine")
    plain, x = model.at(0.3), make_images(model, 3)
    seeded = torch.Generator
    assert off_by(plain.encode(x).mean, model.encode(x, 0.3).mean) < 1e-5
    z = torch.randn(3, model.latent_dim)
    assert off_by(plain.decode(z), model.decode(z, 0.3)) < 1e-5
    samples = (
        plain.sample(4, generator=seeded().manual_seed(0)),
        model.sample(4, 0.3, generator=seeded().manual_seed(0)),
    )
    assert off_by(*samples) < 1e-5
    draws = plain(x, generator=seeded().manual_seed(0)).z, model(x, 0.3, generator=seeded().manual_seed(0)).z
    assert off_by(*draws) < 1e-5
    for name in ("beta_range", "input_shape", "latent_dim", "likelihood"):
        assert getattr(plain, name) == getattr(model, name)


@pytest.mark.parametrize("beta", [0.01 * (1 - 5e-7), 10.0 * (1 + 5e-7)])
def test_the_ends_are_inclusive_with_a_tolerance(beta):
    model = make_model("mrvae_mlp", "affine")
    x, end = make_images(model, 2), 0.01 if beta < 1 else 10.0
    for near in (beta, torch.tensor(beta, dtype=torch.float64), torch.full((2,), beta, dtype=torch.float64)):
        assert off_by(model(x, near, sample=False).rate, model(x, end, sample=False).rate) < 1e-6
    assert model.at(beta).beta == end


@pytest.mark.parametrize("beta", [0.0, -1.0, math.nan, math.inf, -math.inf, 0.0099, 10.1, 25])
def test_a_beta_outside_the_range_is_an_error_that_names_it(beta):
    model = make_model("mrvae_mlp", "affine")
    x = make_images(model, 2)
    message = rf"beta={float(beta)} is outside this model's range \[0.01, 10.0\]; "
    for wrong in (beta, torch.tensor(float(beta)), torch.tensor([0.3, float(beta)])):
        with pytest.raises(ValueError, match="is outside this model's range"):
            model(x, wrong)
    for call in (lambda: model.encode(x, beta), lambda: model.sample(2, beta), lambda: model.at(beta)):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("beta", [True, "1", [0.1, "a"], torch.tensor([True, False]), 1j, {}, object()])
def test_a_beta_that_is_no_number_is_an_error(beta):
    model = make_model("mrvae_mlp", "affine")
    with pytest.raises(ValueError, match=r"should be a number, or \(B,\) numbers: a tensor, an array or a list"):
        model(make_images(model, 2), beta)


def test_beta_may_be_a_list_an_array_or_hold_a_single_number():
    model = make_model("mrvae_mlp", "affine")
    x = make_images(model, 2)
    each, one = model.encode(x, torch.tensor([0.1, 0.3])).mean, model.encode(x, 0.3).mean
    for beta in ([0.1, 0.3], (0.1, 0.3), np.array([0.1, 0.3]), np.array([0.1, 0.3], np.float32)):
        assert torch.allclose(model.encode(x, beta).mean, each)
    for beta in ([0.3], np.array(0.3), np.array([0.3]), np.float32(0.3), torch.tensor([0.3]), torch.tensor([[0.3]])):
        assert torch.allclose(model.encode(x, beta).mean, one)
        assert model.at(beta).beta == pytest.approx(0.3)
        assert torch.equal(model.at(beta).encode(x, beta).mean, model.at(beta).encode(x).mean)
    with pytest.raises(ValueError, match="beta=99.0 is outside"):
        model.encode(x, [0.1, 99.0])


@pytest.mark.parametrize("shape", [(3,), (2, 1), (1, 2), (0,)])
def test_a_beta_of_the_wrong_shape_is_an_error(shape):
    model = make_model("mrvae_mlp", "affine")
    with pytest.raises(ValueError, match=r"expected \(\) or \(2,\)"):
        model(make_images(model, 2), torch.full(shape, 0.3))
    with pytest.raises(ValueError, match=r"expected \(\)"):
        model.at(torch.full((2,), 0.3))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2, 1, 5, 4), r"x has shape \(2, 1, 5, 4\); this model takes \(B, 2, 5, 4\)"),
        (torch.zeros(2, 5, 4), r"this model takes \(B, 2, 5, 4\)"),
        (torch.zeros(2, 2, 5, 4, dtype=torch.uint8), "x is torch.uint8; pass floats"),
        (torch.full((2, 2, 5, 4), 255.0), r"x lies in \[255, 255\]; this model takes values in \[0, 1\]"),
        (torch.full((2, 2, 5, 4), -0.01), "this model takes values in"),
        (torch.full((2, 2, 5, 4), math.nan), "this model takes values in"),
        ([[0.0]], "x is a list; pass a tensor"),
    ],
)
def test_a_wrong_x_is_an_error_that_says_what_is_expected(x, message):
    model = make_model("mrvae_mlp", "affine")
    for network in (lambda: model(x, 0.3), lambda: model.encode(x, 0.3), lambda: model.at(0.3)(x)):
        with pytest.raises(ValueError, match=message):
            network()


@pytest.mark.parametrize("z", [torch.zeros(2, 5), torch.zeros(6), torch.tensor(0.0), None])
def test_a_wrong_z_is_an_error(z):
    model = make_model("mrvae_mlp", "affine")
    for decode in (lambda: model.decode(z, 0.3), lambda: model.at(0.3).decode(z)):
        with pytest.raises(ValueError, match=r"this model takes a tensor \(B, 6\)"):
            decode()
    with pytest.raises(ValueError, match="n=0 should be at least 1"):
        model.sample(0, 0.3)


def test_the_reconstruction_is_clamped_and_the_distortion_is_not():
    model = mrvae_zoo.create_model(
        "mrvae_linear", input_shape=(1, 2, 2), latent_dim=2, likelihood="gaussian", sigma=0.5
    ).eval()
    with torch.no_grad():
        model.decoder.output.weight.zero_()
        model.decoder.output.bias.copy_(torch.tensor([-1.0, 0.5, 2.0, 0.0]))
    out = model(torch.zeros(1, 1, 2, 2), 1.0)
    assert torch.equal(out.reconstruction.flatten(), torch.tensor([0.0, 0.5, 1.0, 0.0]))
    assert out.distortion.item() == pytest.approx((1 + 0.25 + 4) / (2 * 0.25))


def test_preprocess_gives_what_the_model_takes(digits):
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 28, 28), widths=(8,)).bfloat16()
    x = model.preprocess(digits)
    assert x.shape == (10, 1, 28, 28)
    assert x.dtype == torch.bfloat16
    assert model(x, 1.0).rate.shape == (10,)
    signed = mrvae_zoo.create_model(
        "mrvae_mlp", input_shape=(1, 28, 28), widths=(8,), likelihood="gaussian", sigma=1.0, data_range=(-1, 1)
    )
    assert torch.allclose(signed.preprocess(digits), 2 * model.float().preprocess(digits) - 1)


@pytest.mark.parametrize("kind", DEFAULT_KINDS, ids="-".join)
def test_a_folded_model_takes_its_own_beta_and_no_other(kind):
    model = make_model(*kind)
    plain, x = model.at(0.3), make_images(model, 2)
    z = plain.encode(x).mean
    size = {} if plain.config.input_shape[1] is not None else {"size": (16, 16)}
    own = (0.3, torch.tensor(0.3), torch.full((2,), 0.3), torch.tensor(0.3, dtype=torch.float64))
    for beta in own:
        assert torch.equal(plain(x, beta, sample=False).z, z)
        assert torch.equal(plain.encode(x, beta).mean, z)
        assert torch.equal(plain.decode(z, beta), plain.decode(z))
        assert plain.sample(2, beta, **size).shape[0] == 2
    assert plain.at(torch.tensor(0.3)) is plain
    for beta in (0.31, torch.tensor(0.31), torch.tensor([0.3, 0.31])):
        for call in (plain, plain.encode):
            with pytest.raises(ValueError, match="beta=0.31: this model was folded at β=0.3 and has no other"):
                call(x, beta)
    with pytest.raises(ValueError, match=r"beta has shape \(3,\); expected \(\) or \(2,\)"):
        plain.encode(x, torch.full((3,), 0.3))
    with pytest.raises(ValueError, match="beta=nan is outside"):
        plain.encode(x, float("nan"))
