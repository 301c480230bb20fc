import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from helpers import KINDS, make_images, make_model, off_by

import mrvae_zoo
from mrvae_zoo import CheckpointError, RDCurve, RDPoint
from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config
from mrvae_zoo.common.layout import CONFIG, CURVE, WEIGHTS

CURVE_OF_TWO = RDCurve(
    points=(RDPoint(beta=0.1, rate=60.0, distortion=52.0), RDPoint(beta=1.0, rate=25.0, distortion=68.0)),
    data={"name": "mnist"},
)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A checkpoint of a small model with a curve."""
    model = make_model("mrvae_mlp", "affine")
    model.curve = CURVE_OF_TWO
    mrvae_zoo.save_pretrained(model, tmp_path / "model")
    return tmp_path / "model"


def edit_config(folder: Path, **changes) -> None:
    """Change keys of config.json; a dotted key reaches into a table."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    for key, value in changes.items():
        *path, last = key.split("__")
        table = config
        for part in path:
            table = table[part]
        table[last] = value
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")


def edit_weights(folder: Path, change) -> None:
    """Change the tensors, and the checksum with them, so that only the fault itself can be noticed."""
    tensors = safetensors.torch.load_file(folder / WEIGHTS)
    content = safetensors.torch.save(change(tensors))
    (folder / WEIGHTS).write_bytes(content)
    edit_config(folder, weights__sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_model_comes_back_bit_for_bit(tmp_path, kind, folded, dtype):
    model = make_model(*kind, dtype=dtype)
    model.curve = CURVE_OF_TWO
    if folded:
        model = model.at(0.3)
    mrvae_zoo.save_pretrained(model, tmp_path / "model")
    again = mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / 'model'}", dtype=dtype)
    assert type(again) is type(model)
    assert again.config == model.config
    assert again.curve == model.curve
    assert not again.training
    assert list(again.state_dict()) == list(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert again.state_dict()[name].dtype == (dtype if tensor.is_floating_point() else tensor.dtype)
        assert torch.equal(again.state_dict()[name], tensor), name
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_half_precision_is_widened_unless_asked_for(tmp_path):
    model = make_model("mrvae_mlp", "affine")
    mrvae_zoo.save_pretrained(model, tmp_path / "model", dtype=torch.float16)
    assert (tmp_path / "model" / WEIGHTS).stat().st_size < 2.5 * sum(p.numel() for p in model.parameters()) + 5000
    loaded = load_checkpoint(tmp_path / "model")
    assert loaded.dtype == torch.float32
    assert torch.equal(loaded.decoder.layers[0].weight, model.decoder.layers[0].weight.half().float())
    assert load_checkpoint(tmp_path / "model", dtype=torch.bfloat16).dtype == torch.bfloat16
    x = make_images(model, 4)
    assert off_by(loaded(x, 0.3, sample=False).rate, model(x, 0.3, sample=False).rate) < 1e-2


def test_saving_over_another_model_leaves_nothing_of_it(folder):
    model = make_model("mrvae_linear", "linear")
    mrvae_zoo.save_pretrained(model, folder)
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]
    assert load_checkpoint(folder).curve is None


def test_a_write_that_was_cut_off_is_noticed(folder):
    """New weights beside the old config: what is left when the writer dies in between."""
    before = (folder / CONFIG).read_bytes()
    model = make_model("mrvae_mlp", "affine", seed=1)
    mrvae_zoo.save_pretrained(model, folder)
    (folder / CONFIG).write_bytes(before)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: the checksum differs"):
        load_checkpoint(folder)


def test_a_checksum_that_is_known_is_compared_too(folder):
    load_checkpoint(folder, weights_sha256=read_config(folder).weights.sha256)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: the checksum differs"):
        load_checkpoint(folder, weights_sha256="0" * 64)


def rename_tensor(tensors):
    return {name.replace("encoder.layers.0.weight", "encoder.layers.0.wait"): t for name, t in tensors.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename_tensor, "tensor encoder.layers.0.weight is missing"),
        (lambda t: t | {"extra": torch.zeros(1)}, "tensor extra is not part of the model"),
        (lambda t: {k: v for k, v in t.items() if "gate" not in k}, "tensor .*gate.coefficients is missing"),
        (
            lambda t: t | {"decoder.layers.0.bias": torch.zeros(17)},
            r"tensor decoder.layers.0.bias has shape \(17,\); the config asks for \(16,\)",
        ),
        (
            lambda t: {k: v.half() if "bias" in k else v for k, v in t.items()},
            "tensor .*bias is F16; the config says F32",
        ),
        (lambda t: {k: v.double() for k, v in t.items()}, "is F64; the config says F32"),
    ],
)
def test_wrong_tensors_are_named(folder, change, message):
    edit_weights(folder, change)
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(folder)
    assert str(folder / WEIGHTS) in str(error.value)


def flip(position: int):
    def change(content: bytes) -> bytes:
        return content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :]

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content[:4],
        lambda content: content[:200],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: struct.pack("<Q", 1 << 60) + content[8:],
        *(flip(position) for position in (0, 3, 7, 8, 20, 60, 150, 400)),
    ],
)
def test_damaged_weights_are_an_error_that_names_the_file(folder, change):
    path = folder / WEIGHTS
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    assert str(path) in str(error.value)


def test_any_flipped_bit_is_noticed(folder):
    path = folder / WEIGHTS
    content = path.read_bytes()
    for position in range(0, len(content), len(content) // 40):
        path.write_bytes(flip(position)(content))
        with pytest.raises(CheckpointError):
            load_checkpoint(folder)
    path.write_bytes(content)
    load_checkpoint(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "format_version 2; this mrvae_zoo .* reads up to 1. Upgrade with"),
        ({"format_version": "1"}, "format_version is missing"),
        ({"colour": "red"}, "unknown key colour"),
        ({"model__colour": "red"}, "unknown key model.colour"),
        ({"model__latent_dims": 3}, "unknown key model.latent_dims; did you mean latent_dim"),
        ({"model__arguments": {"widhts": [3]}}, "unknown argument widhts for mrvae_mlp; did you mean widths"),
        ({"model__architecture": "mrvae_mpl"}, "unknown architecture 'mrvae_mpl'; did you mean mrvae_mlp"),
        ({"model__beta_range": [10, 0.01]}, "0 < low < high"),
        ({"model__gating": "linear"}, "gating='linear' is not one of"),
        ({"model__beta": 0.5}, "says that the gates are folded, but gating='affine'"),
        ({"weights__dtype": "int8"}, "weights.dtype='int8' is not one of"),
        ({"weights__sha256": "0" * 64}, "the checksum differs"),
        ({"model__latent_dim": 7}, r"has shape \(12, 16\); the config asks for \(14, 16\)"),
        ({"model__arguments": {"widths": [24]}}, "has shape .* the config asks for"),
        ({"model__arguments": {"widths": [24, 16, 8]}}, "is missing|has shape"),
    ],
)
def test_a_wrong_config_is_an_error_that_says_why(folder, changes, message):
    edit_config(folder, **changes)
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, "\ufffe", " " * (1 << 21)])
def test_a_config_that_is_none(folder, text):
    (folder / CONFIG).write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_config(folder)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        load_checkpoint(folder)


def test_no_folder_and_a_folder_for_a_file(folder, tmp_path):
    with pytest.raises(CheckpointError, match="none: no such folder"):
        load_checkpoint(tmp_path / "none")
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        load_checkpoint(folder)


def test_a_damaged_curve_is_an_error(folder):
    (folder / CURVE).write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"rd_curve\.json: points is missing"):
        load_checkpoint(folder)


@pytest.mark.slow
@pytest.mark.parametrize("widths", [[10**12], [10**12, 10**12], [2**63], [10**30], [4 * 10**6], [24] * 5000])
def test_a_config_that_asks_for_too_much_allocates_nothing(folder, widths):
    """In a process whose memory would not hold a fraction of it."""
    edit_config(folder, model__arguments={"widths": widths})
    code = (
        "import sys, resource, mrvae_zoo, mrvae_zoo.checkpoints.folder, mrvae_zoo.models.architectures.mlp\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: mrvae_zoo.load_pretrained('local-dir:' + sys.argv[1])\n"
        "except mrvae_zoo.CheckpointError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    message, grown = done.stdout.strip().split("\n")
    assert "config.json" in message or "model.safetensors" in message
    unit = 1024 if sys.platform != "darwin" else 1
    assert int(grown) * unit < 300 << 20


def test_a_pickle_is_not_opened(folder):
    """A torch.save file under the name of the weights is no checkpoint, and runs nothing."""

    class Bomb:
        def __reduce__(self):
            return (open, (str(folder / "ran"), "w"))

    torch.save({"encoder.layers.0.weight": Bomb()}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="is truncated or damaged"):
        load_checkpoint(folder)
    assert not (folder / "ran").exists()


WRAPPERS = {
    "compiled": torch.compile,
    "DataParallel": torch.nn.DataParallel,
    "averaged": torch.optim.swa_utils.AveragedModel,
    "compiled and averaged": lambda model: torch.compile(torch.optim.swa_utils.AveragedModel(model)),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapped_model_is_saved_as_what_it_wraps(wrapper, tmp_path):
    model = make_model("mrvae_mlp", "affine")
    mrvae_zoo.save_pretrained(WRAPPERS[wrapper](model), tmp_path / "saved")
    expected = model.state_dict()
    found = load_checkpoint(tmp_path / "saved").state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_cannot_be_saved_leaves_nothing(tmp_path):
    meta = make_model("mrvae_mlp", "affine").to("meta")
    for given, message in (
        (meta, "this model has no weights to save: it is on the meta device"),
        (torch.nn.Linear(2, 2), "Linear is no model of the zoo; pass a MultiRateVAE or a FixedRateVAE"),
        (torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), "Sequential is no model of the zoo"),
        ("a/folder", "str is no model of the zoo"),
    ):
        with pytest.raises(ValueError, match=message):
            mrvae_zoo.save_pretrained(given, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
