"""A written file, read by what a user reads it with, gives the numbers of the model."""

import json
import sys
from pathlib import Path

import pytest
import torch
from helpers import DEFAULT_KINDS, KINDS, long_but, make_images, make_model, off_by

import mrvae_zoo
from mrvae_zoo import FixedRateVAE, MultiRateVAE
from mrvae_zoo.inference.export import INPUTS, OUTPUTS, export
from mrvae_zoo.models.base import pad_to_stride

pytestmark = pytest.mark.slow

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

FORMATS = ("onnx", "pt2")
PARTS = ("model", "encoder", "decoder")
BETAS = torch.tensor([0.01, 0.03, 0.5, 1.0, 2.0, 4.0, 10.0])

Tensors = dict[str, torch.Tensor]


def read_and_run(path: Path, batches: list[Tensors]) -> list[Tensors]:
    """The outputs by name, of a file of either format."""
    if path.suffix == ".pt2":
        module = torch.export.load(path).module()
        with torch.no_grad():
            return [module(*inputs.values()) for inputs in batches]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = [session.run(names, {key: value.numpy() for key, value in inputs.items()}) for inputs in batches]
    return [dict(zip(names, map(torch.from_numpy, values), strict=True)) for values in outputs]


def given(model: MultiRateVAE | FixedRateVAE, part: str, n: int) -> Tensors:
    """What a part takes, for n examples with one β each."""
    x, beta = make_images(model, n, seed=n), BETAS[:n]
    x = pad_to_stride(x, model.stride) if model.config.spatial else x
    latents = (model.encode(x, beta) if isinstance(model, MultiRateVAE) else model.encode(x)).mean.detach()
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(n))
    inputs = {"x": x, "beta": beta, "z": latents + noise, "noise": noise}
    return {name: inputs[name] for name in INPUTS[part] if name != "beta" or isinstance(model, MultiRateVAE)}


def expected(model: MultiRateVAE | FixedRateVAE, inputs: Tensors) -> Tensors:
    """What the model itself gives."""
    beta = (inputs["beta"],) if "beta" in inputs else ()
    with torch.no_grad():
        if "z" in inputs:
            return {"reconstruction": model.decode(inputs["z"], *beta)}
        mean, log_var = model.encode(inputs["x"], *beta)
        if "noise" not in inputs:
            return {"mean": mean, "log_var": log_var}
        z = mean + (log_var / 2).exp() * inputs["noise"]
        return {"reconstruction": model.decode(z, *beta), "mean": mean, "log_var": log_var}


def check_parity(model: MultiRateVAE | FixedRateVAE, path: Path, part: str) -> None:
    """Equal to 1e-4, at batch sizes that were not traced too."""
    batches = [given(model, part, n) for n in (1, 2, 3, 7)]
    for inputs, outputs in zip(batches, read_and_run(path, batches), strict=True):
        reference = expected(model, inputs)
        assert tuple(outputs) == tuple(reference) == OUTPUTS[part]
        for name, value in reference.items():
            assert outputs[name].shape == value.shape
            assert outputs[name].dtype == torch.float32
            assert off_by(outputs[name], value) <= 1e-4


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kind", long_but(KINDS, "mrvae_mlp", "mrvae_resnet_spatial"))
def test_the_whole_model(kind, suffix, tmp_path):
    model, path = make_model(*kind), tmp_path / f"m.{suffix}"
    export(model, path, format=suffix)
    check_parity(model, path, "model")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", long_but(DEFAULT_KINDS, "mrvae_mlp", "mrvae_resnet_spatial"))
def test_parts_and_folded_models(kind, part, suffix, tmp_path):
    model, path = make_model(*kind), tmp_path / f"m.{suffix}"
    models = [model.at(0.3)] if part == "model" else [model, model.at(0.3)]
    for each in models:
        export(each, path, format=suffix, part=part)
        check_parity(each, path, part)


@pytest.mark.parametrize("suffix", FORMATS)
def test_without_noise_it_is_the_mean_and_beta_is_clamped(suffix, tmp_path):
    model, path = make_model("mrvae_mlp", "affine"), tmp_path / f"m.{suffix}"
    export(model, path, format=suffix)
    x, zeros = make_images(model, 3), torch.zeros(3, model.latent_dim)
    inside, outside = ({"x": x, "beta": torch.full((3,), beta), "noise": zeros} for beta in (10.0, 99.0))
    got, clamped = read_and_run(path, [inside, outside])
    with torch.no_grad():
        reference = model(x, 10.0, sample=False)
    assert off_by(got["reconstruction"], reference.reconstruction) <= 1e-4
    assert torch.equal(got["reconstruction"], clamped["reconstruction"])


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_model_is_left_as_it_is_and_half_precision_is_widened(suffix, tmp_path):
    model, path = make_model("mrvae_mlp", "affine", dtype=torch.bfloat16).train(), tmp_path / f"m.{suffix}"
    model.compile(backend="eager")
    export(model, path, format=suffix)
    assert model.training
    assert model.dtype == torch.bfloat16
    check_parity(make_model("mrvae_mlp", "affine", dtype=torch.bfloat16).float(), path, "model")


def test_an_onnx_file_says_what_it_is(tmp_path):
    model, path = make_model("mrvae_mlp", "affine"), tmp_path / "m.onnx"
    export(model, path, format="onnx")
    onnx.checker.check_model(path, full_check=True)
    graph = onnx.load(path, load_external_data=False)
    assert not any(tensor.external_data for tensor in graph.graph.initializer)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    ends = {end.name: (end.shape, end.type) for end in (*session.get_inputs(), *session.get_outputs())}
    shape = ["batch", *model.input_shape]
    latents = ["batch", model.latent_dim]
    shapes = {"x": shape, "beta": ["batch"], "noise": latents}
    shapes |= {"reconstruction": shape, "mean": latents, "log_var": latents}
    assert ends == {name: (one, "tensor(float)") for name, one in shapes.items()}
    config = json.loads(session.get_modelmeta().custom_metadata_map["mrvae_zoo.config"])
    assert config["beta_range"] == [0.01, 10.0]


def test_a_pt2_file_says_what_it_is(tmp_path):
    path, extra = tmp_path / "m.pt2", {"config.json": ""}
    export(make_model("mrvae_mlp", "affine").at(0.3), path, format="pt2")
    torch.export.load(path, extra_files=extra)
    assert json.loads(extra["config.json"])["beta"] == 0.3


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_path_of_this_machine_is_in_the_file(suffix, tmp_path):
    path = tmp_path / f"m.{suffix}"
    export(make_model("mrvae_mlp", "affine"), path, format=suffix)
    content = path.read_bytes()
    for folder in (Path(mrvae_zoo.__file__).parent, Path(torch.__file__).parent, Path(sys.prefix)):
        assert str(folder).encode() not in content


def test_a_failed_export_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "m.pt2"
    path.write_text("precious", encoding="utf-8")
    monkeypatch.setattr(torch.export, "save", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        export(make_model("mrvae_linear", "none"), path, format="pt2")
    assert path.read_text(encoding="utf-8") == "precious"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_an_error_that_names_the_extra(package, tmp_path, monkeypatch):
    real = mrvae_zoo.inference.export.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == package else real(name, *rest))
    with pytest.raises(mrvae_zoo.MissingExtraError, match=rf"{package} is not installed; .*mrvae-zoo\[export\]"):
        export(make_model("mrvae_linear", "none"), tmp_path / "m.onnx", format="onnx")
    export(make_model("mrvae_linear", "none"), tmp_path / "m.pt2", format="pt2")


@pytest.mark.parametrize("part", [pytest.param("model", marks=pytest.mark.long), "encoder"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_x_is_clamped_to_the_data_range(suffix, part, tmp_path):
    model, path = make_model("mrvae_mlp", "affine"), tmp_path / f"m.{suffix}"
    export(model, path, format=suffix, part=part)
    inputs = given(model, part, 3)
    beyond = {**inputs, "x": 255 * inputs["x"]}
    got, clamped = read_and_run(path, [beyond, {**inputs, "x": beyond["x"].clamp(0, 1)}])
    assert all(torch.equal(got[name], clamped[name]) for name in got)


@pytest.mark.parametrize("part", ["encoder", *(pytest.param(one, marks=pytest.mark.long) for one in PARTS[::2])])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_beta_of_the_wrong_length_fails_at_the_first_operation(suffix, part, tmp_path):
    model, path = make_model("mrvae_mlp", "affine"), tmp_path / f"m.{suffix}"
    export(model, path, format=suffix, part=part)
    inputs = given(model, part, 5) | {"beta": BETAS[:3]}
    with pytest.raises(Exception, match="Guard failed: beta.size|'beta must have one value for each image'"):
        read_and_run(path, [inputs])
