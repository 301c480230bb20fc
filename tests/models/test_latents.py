import json
import math
from dataclasses import replace

import pytest
import torch
from helpers import make_images, make_model

import mrvae_zoo
from mrvae_zoo.errors import CheckpointError
from mrvae_zoo.models.latents import LatentStatistics, LatentTable


@pytest.fixture
def model():
    model = make_model("mrvae_mlp", "shrinkage")
    model.curve = mrvae_zoo.rate_distortion(model, make_images(model, 300), [0.1, 1.0])
    return model


@pytest.mark.parametrize("architecture", ["mrvae_mlp", "mrvae_resnet_spatial"])
def test_they_are_those_of_the_posteriors_of_all_examples(architecture):
    """Against draws from the posteriors, and against torch.distributions."""
    model = make_model(architecture, "shrinkage")
    x = make_images(model, 300)
    measured = mrvae_zoo.rate_distortion(model, x, [0.3], batch_size=70)
    (found,) = measured.latents.points
    with torch.no_grad():
        posterior = model.encode(x, 0.3)
        flat = [each.movedim(1, -1).flatten(0, -2).double() for each in posterior]
        drawn = flat[0] + (flat[1] / 2).exp() * torch.randn(2000, *flat[0].shape).double()
        each = torch.distributions.Normal(flat[0], (flat[1] / 2).exp())
        kl = torch.distributions.kl_divergence(each, torch.distributions.Normal(0.0, 1.0)).mean(0)
    assert found.mean == pytest.approx(flat[0].mean(0).tolist(), abs=1e-6)
    assert found.kl == pytest.approx(kl.tolist(), rel=1e-5, abs=1e-7)
    assert found.std == pytest.approx(drawn.flatten(0, 1).std(0).tolist(), rel=5e-3)
    places = flat[0].shape[0] / 300
    assert sum(found.kl) * places == pytest.approx(measured.points[0].rate, rel=1e-6)


def test_between_two_beta_they_are_interpolated_in_log_beta(model):
    low, high = model.curve.latents.points
    middle = model.latent_statistics(math.sqrt(0.1))
    assert middle.kl == pytest.approx([(a + b) / 2 for a, b in zip(low.kl, high.kl, strict=True)])
    assert middle.std == pytest.approx([(a + b) / 2 for a, b in zip(low.std, high.std, strict=True)])
    assert model.latent_statistics(1.0) is high
    with pytest.raises(ValueError, match=r"beta=2.0 is outside of \[0.1, 1\]"):
        model.latent_statistics(2.0)


def test_the_order_begins_with_the_latent_that_carries_most():
    figures = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    assert LatentStatistics(beta=1.0, kl=(0.1, 3.0, 2.0), **figures).order == (1, 2, 0)


def test_they_are_stored_beside_the_curve_and_read_again(model, tmp_path):
    mrvae_zoo.save_pretrained(model, tmp_path)
    assert "latents" not in json.loads((tmp_path / "rd_curve.json").read_text())
    loaded = mrvae_zoo.load_pretrained(f"local-dir:{tmp_path}")
    for name in ("mean", "std", "kl"):
        stored, measured = (getattr(each.latent_statistics(0.1), name) for each in (loaded, model))
        assert stored == pytest.approx(measured, rel=1e-5)
    model.curve = replace(model.curve, latents=None)
    mrvae_zoo.save_pretrained(model, tmp_path)
    assert not (tmp_path / "latents.json").exists()
    with pytest.raises(ValueError, match=r"were not measured with its curve; measure both with model\.curve ="):
        mrvae_zoo.load_pretrained(f"local-dir:{tmp_path}").latent_statistics(0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r"latents\.json should hold an object, with points"),
        ("{", r"latents\.json is not JSON"),
        ('{"points": []}', "points should be at least one, sorted by rising beta"),
        ('{"points": [{"beta": 1.0, "mean": [0.0], "std": [1.0], "kl": [0.5]}]}', "has 1 latents; the model has 6"),
        ('{"points": [{"beta": 1.0, "mean": [0.0], "std": [1.0, 1.0], "kl": [0.5]}]}', "finite mean, std and kl each"),
        ('{"points": [{"beta": 1.0, "mean": [0.0], "std": [-1.0], "kl": [0.5]}]}', "no negative std"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(model, tmp_path, text, message):
    mrvae_zoo.save_pretrained(model, tmp_path)
    (tmp_path / "latents.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        mrvae_zoo.load_pretrained(f"local-dir:{tmp_path}")


def test_a_table_of_different_numbers_of_latents_is_an_error():
    points = [LatentStatistics(beta=b, mean=(0.0,) * n, std=(1.0,) * n, kl=(1.0,) * n) for b, n in ((0.1, 2), (1.0, 3))]
    with pytest.raises(ValueError, match="the same number of latents"):
        LatentTable(points=tuple(points))
