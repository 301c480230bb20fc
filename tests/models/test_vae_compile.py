"""torch.compile: no graph break, no recompilation for a new β or batch size, the numbers of the eager model.

What is counted is the same for every backend, so most tests take one that costs nothing; one takes the real compiler.
"""

import copy
import math
import threading
from collections.abc import Callable

import pytest
import torch
from helpers import DEFAULT_KINDS, DEFAULT_MODEL, KINDS, long_but, make_images, make_model, off_by

import mrvae_zoo
from mrvae_zoo import FixedRateVAE, MultiRateVAE

pytestmark = pytest.mark.slow

BETAS = [0.01 * 1000 ** (i / 21) for i in range(22)]
# All on one side of 16, where torch's convolution on the CPU takes another kernel for 1×1, in a plain network too.
BATCH_SIZES = (16, 17, 18, 20, 24, 33, 40)
FORMS = {
    "float": lambda beta, n: beta,
    "0-d": lambda beta, n: torch.tensor(beta),
    "one an example": lambda beta, n: torch.full((n,), beta),
}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")


class Counter:
    """A backend that runs the graph as it is and counts how many it was given."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        self.graphs += 1
        return graph.forward


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def check_no_recompilation(call: Callable[[float, int], object], counter: Counter) -> None:
    """Two β and two batch sizes to warm up; then twenty β and five batch sizes, and batch 1 once."""
    with torch.no_grad():
        for beta, n in zip(BETAS, BATCH_SIZES[:2], strict=False):
            call(beta, n)
        warm = counter.graphs
        assert warm > 0
        for beta in BETAS[2:]:
            call(beta, BATCH_SIZES[0])
        for n in BATCH_SIZES[2:]:
            call(BETAS[0], n)
        assert counter.graphs == warm
        call(BETAS[0], 1)
        call(BETAS[1], 1)
        assert counter.graphs <= warm + warm // 2  # half of what two batch sizes took: once for each function


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", long_but(KINDS, "mrvae_mlp", "mrvae_resnet"))
def test_a_new_beta_or_batch_size_compiles_nothing(kind, form):
    model, counter = make_model(*kind), Counter()
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    images = make_images(model, max(BATCH_SIZES))

    def call(beta: float, n: int) -> None:
        given = FORMS[form](beta, n)
        out, expected = compiled(images[:n], given, sample=False), model(images[:n], given, sample=False)
        assert off_by(out.reconstruction, expected.reconstruction) <= 1e-5
        assert off_by(out.rate, expected.rate) <= 1e-5

    check_no_recompilation(call, counter)


@pytest.mark.parametrize("form", ["float", "one an example"])
@pytest.mark.parametrize("kind", long_but(DEFAULT_KINDS, "mrvae_mlp"))
def test_nor_does_any_method_of_a_model_compiled_in_place(kind, form):
    model, eager, counter = make_model(*kind), make_model(*kind), Counter()
    model.compile(backend=counter)
    images = make_images(model, max(BATCH_SIZES))
    z = torch.randn_like(eager.encode(images, 1.0).mean)

    def call(beta: float, n: int) -> None:
        given, x = FORMS[form](beta, n), images[:n]
        model(x, given)
        draws = [each(x, given, generator=torch.Generator().manual_seed(0)).z for each in (model, eager)]
        assert off_by(*draws) <= 1e-5
        assert off_by(model.encode(x, given).mean, eager.encode(x, given).mean) <= 1e-5
        assert off_by(model.decode(z[:n], given), eager.decode(z[:n], given)) <= 1e-5

    check_no_recompilation(call, counter)


@pytest.mark.parametrize("gating", ["affine", "shrinkage"])
def test_a_training_step_with_one_beta_an_example_compiles_once_for_all_betas(gating):
    model, eager, counter = make_model("mrvae_mlp", gating), make_model("mrvae_mlp", gating), Counter()
    compiled = torch.compile(model.train(), fullgraph=True, backend=counter)
    x = make_images(model, 8)
    for seed in range(5):
        beta = mrvae_zoo.sample_beta(8, generator=torch.Generator().manual_seed(seed))
        for network in (compiled, eager):
            out = network(x, beta, sample=False)
            (out.distortion + beta * out.rate).mean().backward()
    assert counter.graphs == 1
    for ours, theirs in zip(model.parameters(), eager.parameters(), strict=True):
        assert off_by(ours.grad, theirs.grad) <= 1e-5


@pytest.mark.parametrize("mode", [True, "reduce-overhead"])
def test_a_compiled_checkpoint_is_still_the_model(mode, default_model, digits, tmp_path):
    """With the real compiler."""
    model = mrvae_zoo.load_pretrained(DEFAULT_MODEL, compile=mode)
    assert isinstance(model, MultiRateVAE)
    assert not model.training
    assert list(model.state_dict()) == list(default_model.state_dict())
    assert model.curve == default_model.curve
    x, z = default_model.preprocess(digits), torch.randn(4, model.latent_dim)
    with torch.no_grad():
        outs = []
        for beta in (0.1, 1.0):
            outs.append(model(x, beta, sample=False))
            assert off_by(model.encode(x, beta).mean, default_model.encode(x, beta).mean) <= 1e-4
            assert off_by(model.decode(z, beta), default_model.decode(z, beta)) <= 1e-4
        for out, beta in zip(outs, (0.1, 1.0), strict=True):  # the second call left the first one's outputs alone
            expected = default_model(x, beta, sample=False)
            assert off_by(out.reconstruction, expected.reconstruction) <= 1e-4
            assert off_by(out.distortion, expected.distortion) <= 1e-4
        seeded = [each.sample(4, 0.5, generator=torch.Generator().manual_seed(0)) for each in (model, default_model)]
        assert off_by(*seeded) <= 1e-4
        first, second = model(x, 1.0).z, model(x, 1.0).z
        assert not torch.equal(first, second)
        assert off_by(model.at(0.5)(x, sample=False).rate, default_model(x, 0.5, sample=False).rate) <= 1e-4
    mrvae_zoo.save_pretrained(model, tmp_path / "saved")
    again = mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / 'saved'}")
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), default_model.parameters(), strict=True))


def test_a_compiled_folded_checkpoint(default_model, digits, tmp_path, monkeypatch):
    counter = Counter()
    monkeypatch.setattr(torch, "compile", lambda f, real=torch.compile, **_: real(f, fullgraph=True, backend=counter))
    mrvae_zoo.save_pretrained(default_model.at(0.5), tmp_path / "plain")
    model = mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / 'plain'}", compile=True)
    assert isinstance(model, FixedRateVAE)
    x = default_model.preprocess(digits)
    with torch.no_grad():
        expected = default_model(x, 0.5, sample=False)
        assert off_by(model(x, sample=False).reconstruction, expected.reconstruction) <= 1e-5
        assert off_by(model.decode(model.encode(x).mean), expected.reconstruction) <= 1e-5
    assert counter.graphs == 3


def test_a_mode_that_is_none_is_an_error():
    with pytest.raises(ValueError, match="compile='fast' should be True, False or one of default, reduce-overhead"):
        mrvae_zoo.load_pretrained(DEFAULT_MODEL, compile="fast")


def test_a_copy_of_a_compiled_model_is_a_model_of_its_own():
    model = make_model("mrvae_mlp", "affine")
    x = make_images(model, 2)
    model.compile(backend="eager")
    before = model(x, 0.5, sample=False).reconstruction
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(twin(x, 0.5, sample=False).reconstruction, torch.full_like(x, 0.5))
    assert torch.equal(model(x, 0.5, sample=False).reconstruction, before)


def test_a_model_compiled_in_place_checks_its_input_as_before():
    model, counter = make_model("mrvae_mlp", "affine"), Counter()
    model.compile(backend=counter)
    x = make_images(model, 2)
    for beta in (0.0, 25.0, math.nan, torch.tensor(25.0), torch.tensor([1.0, 25.0])):
        with pytest.raises(ValueError, match="is outside this model's range"):
            model(x, beta)
    with pytest.raises(ValueError, match=r"x has shape \(2, 1, 5, 4\)"):
        model.encode(x[:, :1], 1.0)
    with pytest.raises(ValueError, match=r"x lies in \[2, 2\]"):
        model(torch.full_like(x, 2.0), 1.0)
    with pytest.raises(ValueError, match=r"beta has shape \(3,\)"):
        model.decode(torch.zeros(2, model.latent_dim), torch.ones(3))
    assert counter.graphs == 0


def test_shapes_are_checked_in_a_graph():
    model = make_model("mrvae_mlp", "affine")
    compiled = torch.compile(model, backend="eager")  # fullgraph=True has torch wrap whatever is raised
    with pytest.raises(ValueError, match=r"x has shape \(2, 1, 5, 4\); this model takes \(B, 2, 5, 4\)"):
        compiled(torch.zeros(2, 1, 5, 4), 0.3)


def test_eight_threads_call_one_compiled_model_at_different_betas():
    model, eager = make_model("mrvae_mlp", "affine"), make_model("mrvae_mlp", "affine")
    model.compile(backend="eager")
    betas = BETAS[:16:2]
    x, results = make_images(model, 3), [[] for _ in betas]
    with torch.no_grad():
        for beta in betas[:2]:
            model(x, beta, sample=False)

    def call(i: int) -> None:
        with torch.no_grad():
            results[i] = [model(x, betas[i], sample=False).rate for _ in range(20)]

    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for beta, rates in zip(betas, results, strict=True):
        assert len(rates) == 20
        expected = eager(x, beta, sample=False).rate
        assert all(off_by(rate, expected) <= 1e-6 for rate in rates)


@pytest.mark.parametrize("how", ["autocast", "weights"])
@pytest.mark.parametrize("kind", long_but(KINDS, "mrvae_mlp", "mrvae_resnet"))
def test_bfloat16(kind, how):
    """Close to float32, nats in float32, and gates no coarser than the rest: compiled as in eager mode."""
    reference, model = make_model(*kind), make_model(*kind)
    x = make_images(model, 6).bfloat16().float()  # what both can hold
    if how == "weights":
        model = model.bfloat16()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        for beta in (0.05, 0.5, torch.tensor(BETAS[:6])):
            expected = reference(x, beta, sample=False)
            for network in (model, compiled):
                with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
                    out = network(x.to(model.dtype), beta, sample=False)
                assert out.rate.dtype == out.distortion.dtype == torch.float32
                assert off_by(out.reconstruction.float(), expected.reconstruction) <= 0.03
                assert off_by(out.rate, expected.rate) <= 0.05
                assert off_by(out.distortion, expected.distortion) <= 0.03


@needs_gpu
@pytest.mark.parametrize("mode", [True, "reduce-overhead"])
def test_a_compiled_checkpoint_on_a_gpu(mode, default_model, digits):
    model = mrvae_zoo.load_pretrained(DEFAULT_MODEL, device="cuda", compile=mode)
    x = model.preprocess(digits)
    with torch.no_grad():
        outs = [model(x, beta, sample=False) for beta in (0.1, 1.0, 5.0) for _ in range(3)]
        for out, beta in zip(outs, [beta for beta in (0.1, 1.0, 5.0) for _ in range(3)], strict=True):
            expected = default_model(x.cpu(), beta, sample=False)
            assert off_by(out.reconstruction.cpu(), expected.reconstruction) <= 1e-2
