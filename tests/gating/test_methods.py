"""Methods other than the call, gated: `with gated.bound(beta)` and gate(..., methods=...)."""

import copy
import threading

import pytest
import torch
from helpers import off_by, opened
from torch import nn
from torch.utils.checkpoint import checkpoint

from mrvae_zoo import gate

BETAS = torch.tensor([0.01, 0.5, 10.0])


class Pair(nn.Module):
    """An autoencoder as people write them: methods, options, attributes, a tuple of what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4)), nn.Linear(2, 6)
        self.sliced, self.size = False, 6

    def slice(self, on=True):
        self.sliced = on

    def encode(self, x, scale=1.0):
        rows = x.split(1) if self.sliced else [x]
        return {"mean": torch.cat([scale * self.encoder(row) for row in rows])[:, :2]}

    def decode(self, z):
        return (self.decoder(z),)

    def first_weight(self):
        return self.encoder[0].weight.dtype

    def forward(self, x):
        return self.decode(self.encode(x)["mean"])[0]


@pytest.fixture
def x():
    return torch.rand(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_methods_in_a_block_are_gated_as_the_call_is(x):
    gated = opened(Pair())
    for beta in (0.01, 3.0, torch.tensor(0.5), BETAS):
        with gated.bound(beta) as pair:
            assert isinstance(pair, Pair)
            z = pair.encode(x=x)["mean"]
            assert torch.equal(pair.decode(z)[0], gated(x, beta))
            assert torch.equal(pair(x), gated(x, beta))
            assert torch.equal(pair.forward(x), gated(x, beta))
        if isinstance(beta, float):
            assert off_by(z, gated.at(beta).encode(x)["mean"]) < 1e-12
    with gated.bound(BETAS) as pair:
        each = pair.encode(x, scale=2.0)["mean"]
    for i, beta in enumerate(BETAS):
        with gated.bound(beta.item()) as pair:
            assert off_by(each[i : i + 1], pair.encode(x[i : i + 1], 2.0)["mean"]) < 1e-12
        with gated.bound(beta[None]) as pair:
            assert off_by(each[i : i + 1], pair.encode(x[i : i + 1], 2.0)["mean"]) < 1e-12


def test_named_methods_take_beta_behind_their_first_argument(x):
    gated = opened(Pair(), methods=("encode", "decode"))
    for beta in (0.3, BETAS):
        z = gated.encode(x, beta, scale=1.0)["mean"]
        assert torch.equal(gated.decode(z, beta)[0], gated(x, beta))
    assert torch.equal(copy.deepcopy(gated).encode(x, 0.3)["mean"], gated.encode(x, 0.3)["mean"])
    with pytest.raises(ValueError, match="beta=11"):
        gated.encode(x, 11)
    with pytest.raises(ValueError, match="x is a list"):
        gated.encode([1.0], 0.3)
    with pytest.raises(ValueError, match=r"methods: Pair has no method 'quantise'"):
        gate(Pair(), methods=("quantise",))
    with pytest.raises(ValueError, match=r"methods: a gated module has a 'train' of its own"):
        gate(Pair(), methods=("train",))


def test_what_is_set_in_a_block_is_set_on_the_module_and_slices_run_at_one_beta(x):
    gated = opened(Pair())
    expected = gated(x, 0.3)
    with gated.bound(0.3) as pair:
        pair.slice()
        assert off_by(pair.decode(pair.encode(x)["mean"])[0], expected) < 1e-12
        pair.extra = 3
    assert gated._plain.sliced
    assert gated._plain.extra == 3
    with (
        gated.bound(BETAS) as pair,
        pytest.raises(ValueError, match=r"layer 'encoder.0' .* \(1, 5\) .* batch of 3"),
    ):
        pair.encode(x)
    with gated.bound(BETAS) as pair:
        pair.slice(on=False)
        assert off_by(pair.encode(x)["mean"], pair.encode(x.clone())["mean"]) == 0


def test_blocks_nest_and_end_also_when_they_raise(x):
    gated = opened(Pair())
    with gated.bound(0.02) as outer:
        before = outer.encode(x)["mean"]
        with gated.bound(9.0) as inner:
            assert off_by(inner.encode(x)["mean"], gated.at(9.0).encode(x)["mean"]) < 1e-12
        with pytest.raises(TypeError), gated.bound(9.0) as inner:
            inner.encode(x, "scale")
        assert torch.equal(outer.encode(x)["mean"], before)
        assert torch.equal(gated(x, 9.0), gated(x, 9.0))
    with pytest.raises(RuntimeError, match=r"layer 'encoder.0' runs without the β of a call.*gated.bound"):
        outer.encode(x)
    with pytest.raises(ValueError, match="beta=20"), gated.bound(20):
        pass


def test_a_block_is_of_its_thread(x):
    gated, results, start = opened(Pair()), {}, threading.Barrier(4)

    def run(beta: float) -> None:
        with gated.bound(beta) as pair:
            start.wait()
            results[beta] = [pair.encode(x)["mean"] for _ in range(20)]
            start.wait()

    threads = [threading.Thread(target=run, args=(beta,)) for beta in (0.01, 0.1, 1.0, 10.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for beta, found in results.items():
        assert all(off_by(one, gated.at(beta).encode(x)["mean"]) < 1e-12 for one in found)
    errors = []
    with gated.bound(0.3) as pair:

        def elsewhere() -> None:
            try:
                pair.encode(x)
            except RuntimeError as error:
                errors.append(str(error))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert len(errors) == 1
    assert "runs without the β of a call" in errors[0]


class Treacherous(Pair):
    def encode(self, x):
        return {"mean": self.encoder(x.flip(0)).flip(0)[:, :2]}

    def read(self, x):
        return nn.functional.linear(self.encoder(x)[:, :2], self.decoder.weight)

    def transposed(self, x):
        return self.encoder(x)[:, :2] @ self.decoder.weight.T

    def called_and_read(self, x):
        return self.encoder(x) @ self.encoder[2].weight

    def nothing(self, x):
        return x + 1


def test_the_checks_hold_for_each_method(x):
    """Also where the sizes agree: a flipped batch has the size of the batch."""
    gated = opened(Treacherous(), methods=("encode", "decode", "read", "nothing"))
    with pytest.raises(ValueError, match=r"layer 'encoder.0' .* not known to be the batch"):
        gated.encode(x, BETAS)
    with gated.bound(BETAS) as pair, pytest.raises(ValueError, match=r"layer 'encoder.0' .* not known to be the batch"):
        pair.encode(x)
    assert gated.encode(x, 0.3)["mean"].shape == (3, 2)
    assert gated.decode(x[:, :2], BETAS)[0].shape == (3, 6)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"layers that read did not reach, .*: 'decoder'; gate without: exclude"):
            gated.read(x, 0.3)
    with gated.bound(0.3) as pair, pytest.raises(RuntimeError, match="layers that read did not reach"):
        pair.read(x)
    with gated.bound(0.3) as pair:
        with pytest.raises(RuntimeError, match="layers that transposed did not reach, .*'decoder'"):
            pair.transposed(x)
        assert pair.called_and_read(x).shape == (3, 5)
        assert pair.nothing(x).shape == x.shape
        assert pair.first_weight() == torch.float64  # to ask for a dtype is not to read
    with pytest.raises(RuntimeError, match="nothing reaches no gated layer"):
        gated.nothing(x, 0.3)


def test_parts_that_a_block_cannot_verify_are_refused_with_one_beta_per_example(x):
    gated = opened(Pair())
    with gated.bound(BETAS) as pair:
        with pytest.raises(ValueError, match="not known to be the batch of 3"):
            pair.encoder(x)
        with pytest.raises(ValueError, match="not known to be the batch of 3"):
            pair.encode(x[:2])
    with gated.bound(0.3) as pair:
        assert off_by(pair.encoder(x), gated.at(0.3).encoder(x)) < 1e-12


def test_an_unknown_attribute_says_what_to_do():
    gated = gate(Pair())
    with pytest.raises(AttributeError, match=r"'encode' is a method of the Pair inside, .*bound.*methods"):
        gated.encode  # noqa: B018
    with pytest.raises(AttributeError, match=r"'size' belongs to the Pair inside; read it from gated.at"):
        gated.size  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nowhere'"):
        gated.nowhere  # noqa: B018
    assert isinstance(gated.encoder, nn.Sequential)


def test_gradients_and_checkpoints_around_a_method(x):
    gated = opened(Pair(), methods=("encode",))
    gated.encode(x, BETAS)["mean"].square().sum().backward()
    expected = {name: value.grad.clone() for name, value in gated.named_parameters() if value.grad is not None}
    assert expected
    gated.zero_grad()
    checkpoint(lambda x: gated.encode(x, BETAS)["mean"], x, use_reentrant=False).square().sum().backward()
    for name, value in gated.named_parameters():
        if name in expected:
            assert off_by(value.grad, expected[name]) < 1e-12


@pytest.mark.slow
def test_a_method_compiles(x):
    gated = opened(Pair(), methods=("encode",))
    expected = gated.encode(x, BETAS)["mean"]
    compiled = torch.compile(lambda x, beta: gated.encode(x, beta)["mean"], backend="eager")
    assert off_by(compiled(x, BETAS), expected) < 1e-12
    assert off_by(compiled(x, 0.3), gated.at(0.3).encode(x)["mean"]) < 1e-12
