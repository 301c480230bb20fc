"""sampler.safetensors: written with the weights that it belongs to, read strictly, and gone when they change."""

import math

import pytest
import safetensors.torch
import torch
from helpers import make_model

import mrvae_zoo
from mrvae_zoo import CheckpointError
from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config, save_sampler
from mrvae_zoo.common.layout import CONFIG, SAMPLER, WEIGHTS
from mrvae_zoo.models.sampler import LatentMixture, MixtureSampler

LATENTS = 6


def make_sampler(beta=1.0):
    mixture = LatentMixture(
        beta=beta,
        gain=0.5,
        weights=torch.tensor([0.25, 0.75]),
        means=torch.randn(2, LATENTS, generator=torch.Generator().manual_seed(0)),
        cholesky=0.5 * torch.eye(LATENTS).expand(2, LATENTS, LATENTS),
    )
    return MixtureSampler(mixtures=(mixture,))


@pytest.fixture
def folder(tmp_path):
    model = make_model("mrvae_mlp", "affine")
    model.sampler = make_sampler()
    mrvae_zoo.save_pretrained(model, tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder, change=lambda tensors: tensors, **metadata):
    """Write the file again with other tensors or another header."""
    with safetensors.safe_open(folder / SAMPLER, framework="pt") as file:
        header = file.metadata() | metadata
    tensors = safetensors.torch.load_file(folder / SAMPLER)
    safetensors.torch.save_file(change(tensors), folder / SAMPLER, metadata=header)


def test_it_comes_back_bit_for_bit_and_the_same_model_gives_the_same_bytes(folder, tmp_path):
    loaded = load_checkpoint(folder)
    ours, theirs = loaded.sampler.to_tensors(), make_sampler().to_tensors()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    mrvae_zoo.save_pretrained(loaded, tmp_path / "again")
    for name in (SAMPLER, WEIGHTS, CONFIG):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_it_follows_the_weights_into_another_dtype(folder, tmp_path):
    mrvae_zoo.save_pretrained(load_checkpoint(folder), tmp_path / "half", dtype="float16")
    assert load_checkpoint(tmp_path / "half").sampler.betas == (1.0,)
    assert read_config(tmp_path / "half").weights.sha256 != read_config(folder).weights.sha256


def test_it_is_added_to_a_folder_and_removed_with_the_model(folder):
    save_sampler(folder, make_sampler(beta=2.0))
    assert load_checkpoint(folder).sampler.betas == (2.0,)
    assert not list(folder.glob(".*"))
    mrvae_zoo.save_pretrained(make_model("mrvae_mlp", "affine", seed=1), folder)
    assert not (folder / SAMPLER).exists()
    assert load_checkpoint(folder).sampler is None


def test_other_weights_are_an_error(folder, tmp_path):
    other = make_model("mrvae_mlp", "affine", seed=1)
    mrvae_zoo.save_pretrained(other, tmp_path / "other")
    (tmp_path / "other" / SAMPLER).write_bytes((folder / SAMPLER).read_bytes())
    with pytest.raises(CheckpointError, match=r"sampler\.safetensors was not fitted to the weights in model\.safete.*"):
        load_checkpoint(tmp_path / "other")
    rewrite(folder, weights_sha256="")
    with pytest.raises(CheckpointError, match="was not fitted to the weights"):
        load_checkpoint(folder)


def test_a_spatial_model_has_none(tmp_path):
    spatial = make_model("mrvae_resnet_spatial", "shrinkage")
    mrvae_zoo.save_pretrained(spatial, tmp_path)
    save_sampler(tmp_path, make_sampler())
    with pytest.raises(
        CheckpointError, match="should not be there: a model with latents at many places has no sampler"
    ):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {k: v for k, v in t.items() if k != "means.0"}, r"sampler\.safetensors: tensor means\.0 is missing"),
        (lambda t: t | {"extra": torch.zeros(1)}, "tensor extra is not part of a sampler with 1 β"),
        (lambda t: t | {"means.0": torch.zeros(2, 7)}, r"tensor means\.0 has shape \(2, 7\); expected \(2, 6\)"),
        (lambda t: t | {"means.0": torch.zeros(2, 6).half()}, r"tensor means\.0 is torch\.float16"),
        (lambda t: t | {"gains": torch.tensor([math.inf])}, "tensor gains holds values that are not finite"),
        (
            lambda t: t | {"betas": torch.tensor([11.0])},
            r"tensor betas goes beyond the range of the model, \[0.01, 10\]",
        ),
    ],
)
def test_other_tensors_are_an_error_that_names_file_and_tensor(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


def test_a_damaged_file_is_an_error_and_not_ignored(folder):
    content = (folder / SAMPLER).read_bytes()
    for spoiled in (content[:-10], b"", b"\x80\x04K\x01."):
        (folder / SAMPLER).write_bytes(spoiled)
        with pytest.raises(CheckpointError, match=r"sampler\.safetensors is truncated or damaged"):
            load_checkpoint(folder)
    (folder / SAMPLER).unlink()
    (folder / SAMPLER).mkdir()
    with pytest.raises(CheckpointError, match=r"sampler\.safetensors cannot be read"):
        load_checkpoint(folder)
