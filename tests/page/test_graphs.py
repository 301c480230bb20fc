"""The networks of a page give the numbers of the model, hold every weight once, and come out the same every time."""

import json
import sys
from pathlib import Path

import pytest
import torch
from helpers import KINDS, long_but, make_images, make_model, off_by

import mrvae_zoo
from mrvae_zoo.inference.export import onnx_bytes, trace
from mrvae_zoo.models.base import pad_to_stride
from mrvae_zoo.page.graphs import decoder_bytes, encoder_bytes

pytestmark = pytest.mark.slow

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

BETAS = torch.tensor([0.01, 0.07, 0.5, 3.0, 10.0])


def run(content, **inputs):
    """The outputs of an ONNX file by name; a folded model takes no beta."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    known = {each.name for each in session.get_inputs()}
    names = [each.name for each in session.get_outputs()]
    values = session.run(names, {name: value.numpy() for name, value in inputs.items() if name in known})
    return dict(zip(names, map(torch.from_numpy, values), strict=True))


def check(model, *, encoder, decoder):
    """Posterior, output and distortion are those of the model, at five β."""
    x = make_images(model, len(BETAS))
    x = pad_to_stride(x, model.stride) if model.config.spatial else x
    beta = (BETAS,) if isinstance(model, mrvae_zoo.MultiRateVAE) else ()
    with torch.no_grad():
        expected = model(x, *beta, sample=False)
    posterior = run(encoder, x=x, beta=BETAS)
    assert off_by(posterior["mean"], expected.posterior.mean) <= 1e-4
    assert off_by(posterior["log_var"], expected.posterior.log_var) <= 1e-4
    (output,) = run(decoder, z=expected.z, beta=BETAS).values()
    if model.likelihood == "bernoulli":
        mean, nats = output.sigmoid(), torch.nn.functional.softplus(output) - x * output
    else:
        bounds = model.config.data_range
        mean = output if bounds is None else output.clamp(*bounds)
        nats = (output - x).square() / (2 * model.config.sigma**2)
    assert off_by(mean, expected.reconstruction) <= 1e-4
    assert off_by(nats.double().flatten(1).sum(1), expected.distortion.double()) <= 1e-4


@pytest.mark.parametrize("kind", long_but(KINDS, "mrvae_mlp"))
def test_the_numbers_of_every_architecture(kind):
    model = make_model(*kind)
    check(model, encoder=encoder_bytes(model), decoder=decoder_bytes(model))


@pytest.mark.parametrize("data_range", [pytest.param(None, marks=pytest.mark.long), (-1.0, 1.0)])
def test_a_gaussian_output_is_not_clamped(data_range):
    model = make_gaussian(data_range)
    z = 30 * torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    (output,) = run(decoder_bytes(model), z=z, beta=BETAS).values()
    assert output.abs().max() > 1.5
    with torch.no_grad():
        expected = model.decode(z, BETAS)
    assert off_by(output if data_range is None else output.clamp(*data_range), expected) <= 1e-4
    check(model, encoder=encoder_bytes(model), decoder=decoder_bytes(model))


def make_gaussian(data_range):
    torch.manual_seed(0)
    options = {"likelihood": "gaussian", "sigma": 0.3, "data_range": data_range}
    return mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 5, 4), latent_dim=4, widths=(16,), **options).eval()


@pytest.mark.parametrize("kind", [("mrvae_mlp", "shrinkage"), ("mrvae_resnet_spatial", "shrinkage")])
def test_a_folded_model_takes_no_beta(kind):
    model = make_model(*kind).at(0.3)
    encoder, decoder = encoder_bytes(model), decoder_bytes(model)
    check(model, encoder=encoder, decoder=decoder)
    for content in (encoder, decoder):
        assert [each.name for each in onnx.load_model_from_string(content).graph.input] in (["x"], ["z"])


def test_the_trained_model_and_its_size(default_model):
    encoder, decoder = encoder_bytes(default_model), decoder_bytes(default_model)
    check(default_model, encoder=encoder, decoder=decoder)
    stored = 2 * sum(tensor.numel() for tensor in default_model.state_dict().values())  # in half precision
    assert len(encoder) + len(decoder) < 1.02 * stored
    plain = onnx_bytes(trace(default_model, "encoder"), "encoder", "{}")
    assert len(encoder) < 0.51 * len(plain)
    (reference,), (halved,) = (
        run(content, x=make_images(default_model, 5), beta=BETAS)["mean"][None] for content in (plain, encoder)
    )
    assert torch.equal(reference, halved)


def test_weights_that_half_precision_does_not_hold_stay_as_they_are():
    half = onnx.TensorProto.FLOAT16
    rounded = make_model("mrvae_mlp", "affine", dtype=torch.float16).float()
    kinds = [
        {each.data_type for each in onnx.load_model_from_string(encoder_bytes(model)).graph.initializer}
        for model in (make_model("mrvae_mlp", "affine"), rounded)
    ]
    assert half not in kinds[0]
    assert half in kinds[1]


def test_a_file_says_what_it_is_and_nothing_of_this_machine():
    model = make_model("mrvae_mlp", "affine")
    for content, ends in (
        (encoder_bytes(model), (["x", "beta"], ["mean", "log_var"])),
        (decoder_bytes(model), (["z", "beta"], ["output"])),
    ):
        onnx.checker.check_model(content, full_check=True)
        file = onnx.load_model_from_string(content)
        assert tuple([each.name for each in side] for side in (file.graph.input, file.graph.output)) == ends
        (config,) = (each.value for each in file.metadata_props if each.key == "mrvae_zoo.config")
        assert json.loads(config)["likelihood"] == "bernoulli"
        for folder in (Path(mrvae_zoo.__file__).parent, Path(torch.__file__).parent, Path(sys.prefix)):
            assert str(folder).encode() not in content
