import copy
import io
import itertools
import threading
import warnings

import pytest
import timm
import torch
import torchvision
from helpers import off_by
from timm.models.swin_transformer import SwinTransformer
from torch import nn
from torch.utils.checkpoint import checkpoint

import mrvae_zoo
from mrvae_zoo import gate
from mrvae_zoo.gating import gated_module
from mrvae_zoo.gating.calls import Call
from mrvae_zoo.gating.sites import GATEABLE

BETAS = (0.01, 0.05, 0.5, 3.0, 10.0)
PRECISIONS = [(torch.float64, 1e-10), (torch.float32, 1e-5)]


class Convolutions(nn.Module):
    """Every kind of layer that the other modules lack: 1 and 3 axes, transposed, groups, instance and RMS norms."""

    def __init__(self) -> None:
        super().__init__()
        self.volume = nn.Conv3d(1, 4, 3, padding=1, bias=False)
        self.up = nn.ConvTranspose3d(4, 6, 2, groups=2)
        self.instance = nn.InstanceNorm3d(6, affine=True)
        self.squeeze = nn.ConvTranspose2d(6, 4, 2, groups=2)
        self.lines = nn.Sequential(nn.ConvTranspose1d(4, 6, 3, groups=2), nn.GELU(), nn.Conv1d(6, 8, 3, bias=False))
        self.group = nn.GroupNorm(2, 8)
        self.norm = nn.RMSNorm(8)
        self.head = nn.Linear(8, 3, bias=False)

    def forward(self, x):
        y = self.instance(self.up(self.volume(x[:, None]))).relu().mean(2)
        y = self.group(self.lines(self.squeeze(y).relu().mean(2)))
        return self.head(self.norm(y.mean(-1)))


def transformer() -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 24, batch_first=True), 2)


MODULES = {
    "resnet18": (torchvision.models.resnet18, (3, 32, 32)),
    "vit": (lambda: timm.create_model("test_vit", img_size=32), (3, 32, 32)),
    "convnext": (lambda: timm.create_model("test_convnext"), (3, 32, 32)),
    "efficientnet": (lambda: timm.create_model("test_efficientnet"), (3, 32, 32)),
    "transformer": (transformer, (7, 16)),
    "convolutions": (Convolutions, (5, 6, 7)),
    "linear": (lambda: nn.Linear(6, 3), (6,)),
}


@pytest.fixture(autouse=True)
def _without_the_fused_attention():
    """Its numbers differ in the last digits; which of them runs depends on gradients being on."""
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(True)


def make(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    build, shape = MODULES[name]
    return build().eval(), torch.rand(len(BETAS), *shape)


def opened(gated: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
    """With every gate away from the identity."""
    with torch.no_grad():
        for name, parameter in gated.named_parameters():
            if "gate" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return gated.to(dtype).eval()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_at_first_it_computes_what_the_module_does(name, training):
    module, x = make(name)
    plain, gated = copy.deepcopy(module).train(training), gate(module).train(training)
    for beta in (0.01, 0.7, torch.tensor(2.0), torch.tensor(BETAS)):
        torch.manual_seed(1)
        expected = plain(x)
        torch.manual_seed(1)
        assert torch.equal(gated(x, beta), expected)
    buffers = dict(plain.named_buffers())
    for buffer, value in gated.named_buffers():
        assert torch.equal(value, buffers[buffer]), buffer


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_the_gradient_reaches_every_gate(name, training):
    module, x = make(name)
    gated = gate(module).train(training)
    (gated(x, torch.tensor(BETAS)) * torch.randn(())).square().sum().backward()
    for parameter, value in gated.named_parameters():
        if "gate" in parameter:
            assert value.grad is not None, parameter
            assert value.grad.isfinite().all(), parameter


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", MODULES)
def test_folded_gated_and_per_example_are_equal(name, dtype, tolerance):
    module, x = make(name)
    gated, x = opened(gate(module), dtype), x.to(dtype)
    with torch.no_grad():
        together = gated(x, torch.tensor(BETAS, dtype=dtype))
        for i, beta in enumerate(BETAS):
            alone = gated(x[i : i + 1], beta)
            assert off_by(together[i : i + 1], alone) <= tolerance
            assert off_by(gated.at(beta)(x[i : i + 1]), alone) <= tolerance
        assert off_by(gated(x, 0.01), gated(x, 10.0)) > 1e-2


@pytest.mark.parametrize("name", MODULES)
def test_a_folded_module_is_of_the_class_and_has_the_names_of_the_original(name):
    module, x = make(name)
    gated = gate(module)
    plain = gated.at(0.3)
    assert [type(part) for part in plain.modules()] == [type(part) for part in module.modules()]
    shapes = {key: value.shape for key, value in module.state_dict().items()}
    assert {key: value.shape for key, value in plain.state_dict().items()} == shapes
    for part in plain.modules():
        assert not part._forward_hooks
        assert not part._forward_pre_hooks
    new = set(gated.state_dict()) - set(shapes)
    assert set(shapes) < set(gated.state_dict())
    assert new
    assert all("gate" in key for key in new)
    assert torch.equal(plain(x), module(x))


@pytest.mark.parametrize("name", ["resnet18", "linear", "efficientnet"])
def test_the_original_and_copies_are_untouched(name):
    module, x = make(name)
    before = copy.deepcopy(module.state_dict())
    gated = opened(gate(module), torch.float32)
    twin = copy.deepcopy(gated)
    expected = gated(x, torch.tensor(BETAS))
    assert torch.equal(twin(x, torch.tensor(BETAS)), expected)
    with torch.no_grad():
        for parameter in (*twin.parameters(), *gated.at(0.3).parameters()):
            parameter.zero_()
    twin.double()
    assert torch.equal(gated(x, torch.tensor(BETAS)), expected)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert not any(part._forward_hooks for part in module.modules())


def test_it_moves_loads_and_pickles_as_one_module():
    module, x = make("resnet18")
    gated, other = opened(gate(module), torch.float32), gate(module).eval()
    assert not torch.equal(gated(x, 0.3), other(x, 0.3))
    other.load_state_dict(gated.state_dict(), strict=True, assign=True)
    assert torch.equal(gated(x, 0.3), other(x, 0.3))
    file = io.BytesIO()
    torch.save(gated, file)
    file.seek(0)
    read = torch.load(file, weights_only=False)  # written by the line above
    assert torch.equal(gated(x, torch.tensor(BETAS)), read(x, torch.tensor(BETAS)))
    assert read.double()(x.double(), 0.3).dtype == torch.float64
    assert all(parameter.is_meta for parameter in gated.to("meta")._plain.parameters())
    root = opened(gate(nn.Linear(6, 3)), torch.float32)
    assert root.to(torch.bfloat16)(torch.rand(2, 6).bfloat16(), 0.3).dtype == torch.bfloat16
    assert root.train().at(1.0).training
    assert not root.eval().at(1.0).training


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "vit", "convnext", "transformer"])
@pytest.mark.parametrize("training", [False, True])
def test_eight_threads_get_what_each_gets_alone(name, training):
    module, _ = make(name)
    for part in module.modules():  # what threads share by their own doing: the generator and the running statistics
        if isinstance(part, nn.Dropout | nn.MultiheadAttention):
            part.p = part.dropout = 0.0
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0.0
    gated = opened(gate(module), torch.float32).train(training)
    inputs = [torch.rand(2 + i % 3, *MODULES[name][1]) for i in range(8)]
    betas = [torch.linspace(0.01, 10.0, len(x)).roll(i) if i % 2 else 0.01 * 2**i for i, x in enumerate(inputs)]
    alone = [copy.deepcopy(gated)(x, beta) for x, beta in zip(inputs, betas, strict=True)]
    together, start = [[] for _ in inputs], threading.Barrier(8)

    def call(i: int) -> None:
        start.wait()
        together[i] = [gated(inputs[i], betas[i]) for _ in range(3)]

    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for expected, results in zip(alone, together, strict=True):
        assert len(results) == 3
        assert all(torch.equal(expected, result) for result in results)


def test_padded_sequences_take_the_unfused_path_and_the_plain_module_its_own():
    torch.backends.mha.set_fastpath_enabled(True)
    encoder, x = make("transformer")
    gated = opened(gate(encoder), torch.float32)
    padded = torch.arange(7).expand(5, 7) > torch.tensor([6, 5, 4, 3, 6])[:, None]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The PyTorch API of nested tensors")
        plain = gated.at(0.3)(x, src_key_padding_mask=padded)
    assert gated.at(0.3).use_nested_tensor
    with torch.no_grad():
        one = gated(x, 0.3, src_key_padding_mask=padded)
        several = gated(x, torch.full((5,), 0.3), src_key_padding_mask=padded)
    assert off_by(one[~padded], plain[~padded]) < 1e-5
    assert off_by(several[~padded], plain[~padded]) < 1e-5


# ---- which layers


def test_a_convolution_that_feeds_a_norm_is_gated_at_the_norm():
    names = gate(torchvision.models.resnet18()).layer_names
    assert set(names) == {
        *(f"layer{i}.{j}.bn{k}" for i, j, k in itertools.product((1, 2, 3, 4), (0, 1), (1, 2))),
        *(f"layer{i}.0.downsample.1" for i in (2, 3, 4)),
        "bn1",
        "fc",
    }
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(), nn.BatchNorm2d(4, affine=False), nn.Linear(4, 4))
    assert gate(plain).layer_names == ("0", "3")
    unknown = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.LayerNorm(4), nn.Linear(4, 5), nn.LayerNorm(5))
    assert gate(unknown).layer_names == ("0", "2", "4")


def test_layers_are_chosen_by_type_and_name():
    module, x = make("resnet18")
    assert gate(module, types=(nn.Linear,)).layer_names == ("fc",)
    assert set(gate(module, types=(nn.Conv2d,)).layer_names) == {
        name for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)
    }
    assert gate(module, include="layer1.0.*").layer_names == tuple(
        f"layer1.0.{name}" for name in ("conv1", "bn1", "conv2", "bn2")
    )
    assert "fc" not in gate(module, exclude=["fc", "layer4*"]).layer_names
    assert gate(module, include=("conv1", "fc"), exclude="fc").layer_names == ("conv1",)
    gated = opened(gate(module, include="conv1"), torch.float32)
    assert list(gated.state_dict())[1] == "conv1.gate.coefficients"
    assert gated.state_dict()["conv1.gate.coefficients"].shape == (1, 3, 64)  # no bias, so no shift
    assert off_by(gated(x, 0.3), gated.at(0.3)(x)) < 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"include": "nothing.*"}, "pattern 'nothing.*' matches no layer; there are conv1"),
        ({"exclude": "nothing"}, "pattern 'nothing' matches no layer"),
        ({"exclude": "*"}, "there is no layer to gate in this ResNet"),
        ({"types": (nn.Embedding,)}, "there is no layer to gate"),
        ({"beta_range": (0, 1)}, r"beta_range=\(0, 1\) should be"),
        ({"degree": 0}, "degree=0 should be at least 1"),
    ],
)
def test_wrong_arguments_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        gate(torchvision.models.resnet18(), **options)


class OwnForward(nn.Linear):
    def forward(self, x):
        return super().forward(x).relu()


class OwnConvolution(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight / weight.norm(), bias)


class OnlyAName(nn.Linear):
    pass


def patched() -> nn.Linear:
    layer = nn.Linear(4, 4)
    layer.forward = lambda x: x
    return layer


def with_a_gate() -> nn.Linear:
    layer = nn.Linear(4, 4)
    layer.gate = nn.Identity()
    return layer


def hooked() -> nn.Linear:
    layer = nn.Linear(4, 4)
    layer.register_forward_hook(lambda *_: None)
    return layer


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: OwnForward(4, 4), r"layer '1' \(OwnForward\) has a forward of its own"),
        (lambda: OwnConvolution(4, 4, 1), r"layer '1' \(OwnConvolution\) has a forward of its own"),
        (patched, "layer '1' .* has a forward of its own"),
        (hooked, "layer '1' .* has hooks"),
        (with_a_gate, "layer '1' .* has a 'gate' of its own"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), "layer '1' .* parametrisation"),
        (lambda: nn.LayerNorm((4, 4)), r"layer '1' \(LayerNorm\) normalises 2 axes"),
        (lambda: nn.LazyLinear(4), r"layer '1' \(LazyLinear\) has no weights yet"),
        (lambda: gate(nn.Linear(4, 4)), "holds gated layers already"),
    ],
)
def test_a_layer_that_is_more_than_its_type_is_an_error(layer, message):
    with pytest.raises(ValueError, match=message):
        gate(nn.Sequential(nn.Linear(4, 4), layer()))


def test_a_subclass_may_be_left_plain_and_one_without_a_forward_is_gated():
    assert gate(nn.Sequential(nn.Linear(4, 4), OwnForward(4, 4)), exclude="1").layer_names == ("0",)
    gated = gate(nn.Sequential(OnlyAName(4, 4)))
    assert type(gated.at(0.3)[0]) is OnlyAName
    with pytest.raises(ValueError, match="layer '0' .* has no weight"):
        gate(nn.Sequential(nn.LayerNorm(4, elementwise_affine=False)), include="0")


# ---- what forward does with them


class Unreached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.read, self.idle = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return nn.functional.linear(self.used(x), self.read.weight)


def test_a_layer_that_forward_does_not_reach_is_an_error():
    with pytest.raises(
        RuntimeError, match=r"did not reach, .*: 'read', 'idle'; gate without: exclude=\['read', 'idle'\]"
    ):
        gate(Unreached())(torch.rand(2, 4), 0.3)
    assert gate(Unreached(), exclude=["read", "idle"])(torch.rand(2, 4), 0.3).shape == (2, 4)
    encoder, x = make("transformer")
    with pytest.raises(RuntimeError, match=r"'layers.0.self_attn.out_proj', 'layers.1.self_attn.out_proj'"):
        gate(encoder, include="*")(x, 0.3)


class SequenceFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return self.inner(x.transpose(0, 1)).transpose(0, 1)


class Flipped(SequenceFirst):
    def forward(self, x):
        return self.inner(x.flip(0)).flip(0)


class Mixed(SequenceFirst):
    def forward(self, x):
        return self.inner(x - x.mean(0))


class Constant(SequenceFirst):
    def forward(self, x):
        return x + self.inner(torch.ones(5, 3, 4))


@pytest.mark.parametrize("module", [SequenceFirst, Flipped, Mixed, Constant])
@pytest.mark.parametrize("batch", [2, 3, 5])
def test_one_beta_an_example_where_the_leading_axis_is_not_the_batch_is_an_error(module, batch):
    """Also when the sizes agree: (sequence, batch) is (5, 5) here, a flipped batch has the size of the batch."""
    gated = gate(module())
    x = torch.rand(batch, 5 if module is SequenceFirst else 3, 4)
    if module is Constant:
        x = torch.rand(5, 3, 4)
    for _ in range(2):  # the verdict is kept, and is the same
        with pytest.raises(ValueError, match="layer 'inner' .* not known to be the batch"):
            gated(x, torch.full((len(x),), 0.3))
    gated(x, 0.3)
    gated(x, torch.tensor(0.3))
    if module is not Constant:
        gated(x[:1], torch.full((1,), 0.3))


def swin(img_size: int) -> SwinTransformer:
    torch.manual_seed(0)
    return SwinTransformer(
        img_size=img_size, patch_size=2, window_size=4, embed_dim=16, depths=(2,), num_heads=(2,), num_classes=3
    ).eval()


def test_windows_are_no_batch():
    gated = opened(gate(swin(16)), torch.float32)
    x = torch.rand(4, 3, 16, 16)
    with pytest.raises(ValueError, match=r"layer 'layers.0.blocks.0.attn.qkv' has an output of shape \(16, 16, 48\)"):
        gated(x, torch.full((4,), 0.3))
    assert off_by(gated(x, 0.3), gated.at(0.3)(x)) < 1e-5
    excluded = opened(gate(swin(16), exclude="*.attn.*"), torch.float32)
    beta = torch.tensor(BETAS[:4])
    alone = torch.cat([excluded(x[i : i + 1], beta[i]) for i in range(4)])
    assert off_by(excluded(x, beta), alone) < 1e-5
    one_window, x = opened(gate(swin(8)), torch.float32), torch.rand(4, 3, 8, 8)
    alone = torch.cat([one_window(x[i : i + 1], beta[i]) for i in range(4)])
    assert off_by(one_window(x, beta), alone) < 1e-5


def test_looking_for_the_batch_axis_happens_once_a_shape_and_leaves_nothing_behind(monkeypatch):
    module, x = make("resnet18")
    gated, calls = gate(module).train(), []
    state = copy.deepcopy(gated.state_dict())
    found = gated_module.find_batch_axis
    monkeypatch.setattr(gated_module, "find_batch_axis", lambda *a: calls.append(a[0].x.shape[0]) or found(*a))
    verdict, mixed = gated._verdict(Call("__call__", (x,), {}))
    assert not mixed
    assert all(torch.equal(value, state[key]) for key, value in gated.state_dict().items())
    assert all(part.training for part in gated.modules())
    assert set(verdict) == set(gated.layer_names)
    for batch in (5, 4, 5, 4):
        gated(x[:batch], torch.full((batch,), 0.3))
    assert calls == [5, 4]


def test_integers_are_refused_with_one_beta_an_example():
    gated = gate(nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4)))
    tokens = torch.tensor([[1, 2], [3, 4]])
    assert gated(tokens, 0.3).shape == (2, 2, 4)
    with pytest.raises(ValueError, match="x is torch.int64: one β per example takes floats"):
        gated(tokens, torch.full((2,), 0.3))


@pytest.mark.parametrize(
    ("beta", "message"),
    [
        (25.0, "beta=25.0 is outside this model's range"),
        (torch.tensor([0.1, -1.0]), "is outside this model's range"),
        (torch.full((3,), 0.3), r"beta has shape \(3,\); expected \(\) or \(2,\)"),
        ("1", "should be a number"),
    ],
)
def test_a_wrong_beta_is_an_error(beta, message):
    gated = gate(nn.Linear(4, 4))
    with pytest.raises(ValueError, match=message):
        gated(torch.rand(2, 4), beta)
    with pytest.raises(ValueError, match="expected"):
        gated.at(torch.full((2,), 0.3))
    with pytest.raises(ValueError, match="x is a list; the first argument"):
        gated([[1.0]], 0.3)


# ---- the binding


class Raising(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x, fail=False):
        x = self.linear(x)
        if fail:
            raise KeyError("forward failed")
        return x


def test_the_binding_ends_with_the_call_also_when_it_raises():
    gated = opened(gate(Raising()), torch.float32)
    x = torch.rand(2, 4)
    expected = gated(x, 3.0)
    with pytest.raises(KeyError, match="forward failed"):
        gated(x, 0.3, fail=True)
    with pytest.raises(RuntimeError, match="layer 'linear' runs without the β of a call"):
        gated.linear(x)
    assert torch.equal(gated(x, 3.0), expected)


class Nesting(nn.Module):
    """Calls another gated module between its own layers, and itself once more at another β."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x, *calls):
        x = self.first(x)
        for gated, beta, *rest in calls:
            x = gated(x, beta, *rest)
        return self.second(x)


def test_calls_nest():
    torch.manual_seed(0)
    outer, inner, x = opened(gate(Nesting())), opened(gate(nn.Linear(4, 4))), torch.rand(3, 4, dtype=torch.float64)
    failing = gate(Raising()).double()
    plain = outer.at(5.0)
    expected = plain.second(inner.at(0.02)(plain.first(x)))
    assert off_by(outer(x, 5.0, (inner, 0.02)), expected) < 1e-12
    within = outer.at(0.1)(plain.first(x))
    assert off_by(outer(x, 5.0, (outer, 0.1)), plain.second(within)) < 1e-12
    with pytest.raises(KeyError):
        outer(x, 5.0, (failing, 0.02, True))
    assert off_by(outer(x, 5.0), plain(x)) < 1e-12


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first, self.second, self.reentrant = nn.Linear(4, 4), nn.Linear(4, 4), reentrant

    def forward(self, x):
        return checkpoint(self.second, self.first(x).tanh(), use_reentrant=self.reentrant)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_inside_a_module_is_refused_by_name(reentrant):
    gated = opened(gate(Checkpointed(reentrant)), torch.float32)
    with pytest.raises(RuntimeError, match="layer 'second' runs without the β of a call"):
        gated(torch.rand(3, 4), 0.3).sum().backward()

    def backward_within_another_call(x):
        gated(x, 0.3).sum().backward()
        return x

    outer = gate(Nesting())
    with pytest.raises(RuntimeError, match="layer 'second' runs without the β of a call"):
        outer(torch.rand(3, 4), 0.3, (lambda x, _: backward_within_another_call(x), 0.3))


class BackwardInside(nn.Module):
    """Runs the backward pass of an earlier call of the same module while a call at another β is running."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x, earlier=None):
        if earlier is not None:
            earlier.sum().backward()
        return checkpoint(self.layer, x, use_reentrant=False)


def test_a_layer_that_runs_again_never_takes_the_beta_of_another_call():
    gated = opened(gate(BackwardInside()), torch.float32)
    x = torch.rand(3, 4, requires_grad=True)
    earlier = gated(x, 0.02)
    with pytest.raises(RuntimeError, match="layer 'layer' runs without the β of a call"):
        gated(x, 9.0, earlier)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("beta", [0.3, torch.tensor([0.02, 0.3, 8.0])])
def test_checkpointing_around_the_call_gives_the_right_gradient(reentrant, beta):
    gated = opened(gate(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))))
    x = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    gated(x, beta).square().sum().backward()
    expected = [parameter.grad.clone() for parameter in gated.parameters()]
    gated.zero_grad()
    output = checkpoint(gated, x, beta, use_reentrant=reentrant)
    gated(x, 5.0)  # a later call at another β, before the first one's layers run again
    output.square().sum().backward()
    for parameter, gradient in zip(gated.parameters(), expected, strict=True):
        assert off_by(parameter.grad, gradient) < 1e-12


def test_timm_checkpointing_is_refused_by_name():
    model = timm.create_model("test_vit", img_size=32, num_classes=0)
    model.set_grad_checkpointing(True)
    gated = gate(model).train()
    with pytest.raises(RuntimeError, match="layer 'blocks.* runs without the β of a call"):
        gated(torch.rand(2, 3, 32, 32), 0.3).sum().backward()


# ---- compiled


@pytest.mark.slow
def test_it_compiles_into_one_graph_and_exports():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()
    gated, x = opened(gate(module), torch.float32), torch.rand(4, 3, 8, 8)
    compiled = torch.compile(gated, fullgraph=True, backend="eager")
    beta = torch.tensor(BETAS[:4])
    with pytest.raises(RuntimeError, match="call this gated module once in eager mode before it is compiled"):
        compiled(x, beta)
    expected = gated(x, beta)
    for value, reference in ((beta, expected), (0.3, gated(x, 0.3)), (torch.tensor(0.3), gated(x, 0.3))):
        assert off_by(compiled(x, value), reference) < 1e-6
    size = torch.export.Dim("batch")
    program = torch.export.export(gated, (x, beta), dynamic_shapes=({0: size}, {0: size}))
    more, betas = torch.rand(7, 3, 8, 8), torch.linspace(0.01, 10.0, 7)
    assert off_by(program.module()(more, betas), gated(more, betas)) < 1e-6


def test_it_is_public_and_gates_what_it_says():
    assert mrvae_zoo.gate is gate
    assert nn.Linear in GATEABLE
    assert nn.RMSNorm in GATEABLE
