"""Gates in a file of their own: what is read is what was written, on the right base module and on no other."""

import json

import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

import mrvae_zoo
from mrvae_zoo import CheckpointError, gate, load_gates, save_gates

BETAS = torch.tensor([0.2, 1.0, 4.0])


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 4)

    def encode(self, x):
        return self.norm(self.conv(x)).relu().mean((2, 3))

    def forward(self, x):
        return self.head(self.encode(x))


def base(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return Base().eval()


def opened(module: nn.Module, **options) -> nn.Module:
    gated = gate(module, (0.1, 5.0), **options)
    with torch.no_grad():
        for name, parameter in gated.named_parameters():
            if "gate" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return gated


@pytest.mark.parametrize(
    "options",
    [{}, {"rank": 2, "gating": "shrinkage", "degree": 4}, {"exclude": "head", "methods": ("encode",), "rank": 1}],
)
def test_a_file_of_gates_and_the_base_make_the_same_module(tmp_path, options):
    x, gated = torch.rand(3, 3, 5, 5), opened(base(), **options)
    save_gates(gated, tmp_path / "dial.safetensors")
    read = load_gates(base(), tmp_path / "dial.safetensors")
    assert read.layer_names == gated.layer_names
    assert read.beta_range == (0.1, 5.0)
    for beta in (0.1, 2.0, BETAS):
        assert torch.equal(read(x, beta), gated(x, beta))
    assert torch.equal(read.at(2.0)(x), gated.at(2.0)(x))
    if "methods" in options:
        assert torch.equal(read.encode(x, BETAS), gated.encode(x, BETAS))
    with safetensors.safe_open(tmp_path / "dial.safetensors", "pt") as file:
        assert all("gate" in name for name in file.keys())  # noqa: SIM118
    assert not any(part._forward_hooks for part in base().modules())


def test_one_layer_is_a_module_too(tmp_path):
    layer, x = nn.Linear(3, 3), torch.rand(2, 3)
    gated = opened(layer, rank=1)
    save_gates(gated, tmp_path / "dial.safetensors")
    assert torch.equal(load_gates(layer, tmp_path / "dial.safetensors")(x, 0.3), gated(x, 0.3))


@pytest.mark.parametrize("change", ["other weights", "one number", "half precision", "other class"])
def test_another_base_is_one_clear_error(tmp_path, change):
    save_gates(opened(base()), tmp_path / "dial.safetensors")
    module = base(1 if change == "other weights" else 0)
    if change == "one number":
        module.norm.running_mean[3] += 1e-6
    if change == "half precision":
        module = module.half()
    if change == "other class":
        module = nn.Linear(3, 3)
    with pytest.raises(CheckpointError, match=r"dial.safetensors holds gates of a Base with checksum .*: take"):
        load_gates(module, tmp_path / "dial.safetensors")


def test_gates_trained_together_with_the_base_do_not_pass_for_its_gates(tmp_path):
    gated = opened(base())
    with torch.no_grad():
        gated.head.weight.add_(0.1)
    save_gates(gated, tmp_path / "dial.safetensors")
    with pytest.raises(CheckpointError, match="checksum"):
        load_gates(base(), tmp_path / "dial.safetensors")


def test_what_is_no_file_of_gates_is_one_clear_error(tmp_path):
    path = tmp_path / "dial.safetensors"
    with pytest.raises(CheckpointError, match="no such file"):
        load_gates(base(), path)
    path.write_bytes(b"not at all")
    with pytest.raises(CheckpointError, match="no safetensors file"):
        load_gates(base(), path)
    safetensors.torch.save_file(base().state_dict(), path)
    with pytest.raises(CheckpointError, match="holds no gates"):
        load_gates(base(), path)
    with pytest.raises(ValueError, match="Base is not a gated module"):
        save_gates(base(), path)
    with pytest.raises(OSError, match="missing"):
        save_gates(gate(base()), tmp_path / "missing" / "dial.safetensors")


def rewritten(path, change) -> None:
    with safetensors.safe_open(path, "pt") as file:
        record = json.loads(file.metadata()["mrvae_zoo"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(record, tensors)
    safetensors.torch.save_file(tensors, path, metadata={"mrvae_zoo": json.dumps(record)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record, _: record.update(version=2), "newer mrvae_zoo"),
        (lambda record, _: record.update(gating="paper"), "gating='paper' is not one of"),
        (lambda record, _: record.update(degree=10**9), "degree=1000000000 should be between 1 and 16"),
        (lambda record, _: record.update(beta_range=[0, 1]), "beta_range"),
        (lambda record, _: record["layers"][0].update(name="nowhere"), "does not fit this Base"),
        (lambda record, _: record.update(methods=["nothing"]), "does not fit this Base: methods"),
        (lambda _, tensors: tensors.pop("head.gate.coefficients"), "head.gate.coefficients is missing"),
        (lambda _, tensors: tensors.update(more=torch.zeros(1)), "more is not one of its gates"),
        (lambda record, _: record.update(degree=2), "has another shape"),
    ],
)
def test_a_file_that_was_changed_is_one_clear_error(tmp_path, change, message):
    path = tmp_path / "dial.safetensors"
    save_gates(opened(base()), path)
    rewritten(path, change)
    with pytest.raises(CheckpointError, match=message):
        load_gates(base(), path)


def test_nothing_is_unpickled_and_nothing_half_written_is_left(tmp_path):
    path = tmp_path / "dial.safetensors"
    torch.save(base().state_dict(), path)
    with pytest.raises(CheckpointError, match="no safetensors file"):
        load_gates(base(), path)
    save_gates(gate(base()), path)
    assert [one.name for one in tmp_path.iterdir()] == ["dial.safetensors"]
    assert mrvae_zoo.load_gates is load_gates
