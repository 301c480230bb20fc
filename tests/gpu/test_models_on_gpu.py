"""Models on a GPU: the numbers of the CPU, folded and gated, in half precision, compiled, and from several threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from helpers import DEFAULT_MODEL, KINDS, make_images, make_model, off_by

import mrvae_zoo
from mrvae_zoo.common.devices import find_device
from mrvae_zoo.common.noise import Noise, Purpose

BETAS = (0.01, 0.3, 10.0)


def test_the_gpu_is_what_auto_means(device):
    assert find_device("auto").type == device


@pytest.mark.parametrize(("architecture", "gating"), KINDS)
def test_gated_folded_and_the_cpu_agree(device, architecture, gating):
    model = make_model(architecture, gating)
    x = make_images(model, 6)
    expected = [model(x, beta, sample=False) for beta in BETAS]
    model.to(device)
    x = x.to(device)
    low, high = model.beta_range
    each = torch.tensor(BETAS, device=device).clamp(low, high).repeat(2)
    mixed = model(x, each, sample=False)
    for number, (beta, reference) in enumerate(zip(BETAS, expected, strict=True)):
        gated, folded = model(x, beta, sample=False), model.at(beta)(x, sample=False)
        for out in (gated, folded):
            assert off_by(out.reconstruction.cpu(), reference.reconstruction) < 1e-4
            assert off_by(out.rate.cpu(), reference.rate) < 1e-4
        for at in (number, number + 3):
            assert off_by(mixed.rate[at], gated.rate[at]) < 1e-4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("architecture", "gating"), KINDS)
def test_half_precision_is_finite_and_near(device, architecture, gating, dtype):
    model = make_model(architecture, gating).to(device)
    x = make_images(model, 6).to(device)
    reference = model(x, 0.3, sample=False)
    out = model.to(dtype)(x.to(dtype), 0.3, sample=False)
    assert out.distortion.isfinite().all()
    assert out.rate.isfinite().all()
    assert off_by(out.reconstruction.float(), reference.reconstruction) < 0.1


@pytest.mark.parametrize("mode", [True, "reduce-overhead"])
@pytest.mark.parametrize("gating", ["shrinkage", "affine"])
def test_compiled_it_gives_the_same(device, gating, mode):
    torch._dynamo.reset()
    model = make_model("mrvae_mlp", gating).to(device)
    x = make_images(model, 6).to(device)
    betas = [*BETAS, torch.tensor(0.5, device=device), torch.full((6,), 0.5, device=device)]
    expected = [model(x, beta, sample=False) for beta in betas]
    model.compile(mode="default" if mode is True or device == "cpu" else mode)
    with torch.no_grad():
        outs = [model(x, beta, sample=False) for beta in betas for _ in range(2)]
    for out, reference in zip(outs[1::2], expected, strict=True):
        assert off_by(out.reconstruction, reference.reconstruction) < 1e-3


def test_eight_threads_call_one_model(device):
    model = make_model("mrvae_mlp", "shrinkage").to(device)
    x = make_images(model, 6).to(device)
    betas = [0.01 * 1000 ** (i / 7) for i in range(8)]
    expected = [model(x, beta, sample=False).reconstruction for beta in betas]

    def call(number):
        return [model(x, betas[number], sample=False).reconstruction for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        for results, reference in zip(pool.map(call, range(8)), expected, strict=True):
            assert all(torch.equal(result, reference) for result in results)


def test_a_generator_on_the_device_makes_a_draw_repeatable(device):
    model = mrvae_zoo.load_pretrained(DEFAULT_MODEL, device=device)
    drawn = [model.sample(4, 1.0, generator=torch.Generator(device).manual_seed(3)) for _ in range(2)]
    assert torch.equal(*drawn)
    assert drawn[0].device.type == device


def test_noise_of_a_training_is_that_of_the_cpu(device):
    def draw(on):
        noise = Noise(torch.tensor(5, device=on), torch.tensor(70_000, device=on), 16, 112)
        return noise.words(Purpose.ORDER, 7).cpu(), noise.normal(Purpose.LATENTS, 9).cpu()

    (words, normal), (expected_words, expected_normal) = draw(device), draw("cpu")
    assert torch.equal(words, expected_words)
    assert torch.allclose(normal, expected_normal, atol=1e-5)
