"""`mrvae encode` with a β for each image or some of the latents, and `mrvae decode` of what it writes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors
import torch
from helpers import DEFAULT_MODEL, failed, make_model, ok
from PIL import Image

import mrvae_zoo
from mrvae_zoo import RDCurve, RDPoint
from mrvae_zoo.models.latents import LatentStatistics, LatentTable

pytestmark = pytest.mark.slow


def read(path):
    """The metadata and the tensors of a latents file."""
    with safetensors.safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["info"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"), dtype=float) / 255


def test_every_image_costs_the_same_and_is_decoded_at_its_own_beta(mrvae, digits, tmp_path, default_model):
    done = ok(mrvae("encode", DEFAULT_MODEL, *digits, "--rate-each", 15, "-o", "l", "--json"))
    told = json.loads(done.stdout)
    info, tensors = read(tmp_path / "l")
    x = default_model.preprocess(digits)
    with torch.no_grad():
        posterior = default_model.encode(x, tensors["beta"])
        expected = default_model.decode(tensors["mean"], tensors["beta"])[:, 0]
    assert info["beta"] is None
    assert posterior.kl().tolist() == pytest.approx([15.0] * 10, rel=1e-3)
    assert torch.allclose(posterior.mean, tensors["mean"], atol=1e-5)
    assert (told["beta"], told["not_reached"]) == (None, 0)
    assert told["betas"] == pytest.approx(tensors["beta"].tolist())
    assert told["rate"] == pytest.approx(15, rel=1e-3)
    low, high = tensors["beta"].min().item(), tensors["beta"].max().item()
    assert high > 2 * low
    assert done.stderr == f"wrote l: 10 images, 15.00 nats each on average\nβ from {low:.4g} to {high:.4g}\n"
    told = json.loads(ok(mrvae("decode", "l", "-o", "out", "--json")).stdout)
    assert told["betas"] == pytest.approx(tensors["beta"].tolist())
    for number, image in enumerate(expected.numpy()):
        assert np.abs(pixels(tmp_path / "out" / f"{number}.png") - image).max() < 0.01


def test_what_cannot_be_reached_is_counted(mrvae, digits, tmp_path, default_model):
    x = default_model.preprocess(digits)
    with torch.no_grad():
        least = default_model.encode(x, 0.01).kl()
    missed = int((least < 110).sum())
    assert 0 < missed < 10
    done = ok(mrvae("encode", DEFAULT_MODEL, *digits, "--rate-each", 110, "-o", "l", "--json"))
    line = f"{missed} of 10 images cannot have this rate at a β in [0.01, 10]; they get the nearer end"
    assert done.stderr.splitlines()[-1] == line
    assert json.loads(done.stdout)["not_reached"] == missed
    assert (read(tmp_path / "l")[1]["beta"][least < 110] == torch.tensor(0.01)).all()


def test_a_distortion_of_every_image_is_reported_with_its_rate(mrvae, digits):
    done = ok(mrvae("encode", DEFAULT_MODEL, *digits[2:], "--distortion-each", 95, "-o", "l", "--json"))
    told = json.loads(done.stdout)
    assert told["distortion"] == pytest.approx(95, rel=0.01 if told["not_reached"] == 0 else 0.5)
    assert f"; mean distortion {told['distortion']:.2f} nats" in done.stderr
    assert told["rate"] < 40


def test_some_of_the_latents_are_kept_and_the_others_decoded_as_zero(mrvae, digits, tmp_path, default_model):
    done = ok(mrvae("encode", DEFAULT_MODEL, *digits[:3], "--beta", 0.5, "--dims", 8, "-o", "l", "--json"))
    info, tensors = read(tmp_path / "l")
    kept = list(default_model.latent_statistics(0.5).order[:8])
    x = default_model.preprocess(digits[:3])
    with torch.no_grad():
        posterior = default_model.encode(x, 0.5)
        z = torch.zeros_like(posterior.mean)
        z[:, kept] = posterior.mean[:, kept]
        expected = default_model.decode(z, 0.5)[:, 0].numpy()
    assert info["latents"] == kept
    assert torch.allclose(tensors["mean"], posterior.mean[:, kept], atol=1e-5)
    assert tensors["log_var"].shape == (3, 8)
    told = json.loads(done.stdout)
    assert told["latents"] == kept
    assert told["rate"] == pytest.approx(posterior.kl_of_each()[:, kept].sum(1).mean().item(), rel=1e-4)
    assert told["rate_of_all_latents"] == pytest.approx(posterior.kl().mean().item(), rel=1e-4)
    assert f"kept 8 latents: {', '.join(map(str, kept))}; all 32 have " in done.stderr
    ok(mrvae("decode", "l", "-o", "out"))
    for number, image in enumerate(expected):
        assert np.abs(pixels(tmp_path / "out" / f"{number}.png") - image).max() < 0.01


def test_with_a_beta_each_the_order_is_that_at_the_median(mrvae, digits, tmp_path, default_model):
    ok(mrvae("encode", DEFAULT_MODEL, *digits, "--rate-each", 10, "--dims", 5, "-o", "l"))
    info, tensors = read(tmp_path / "l")
    assert info["latents"] == list(default_model.latent_statistics(tensors["beta"].median().item()).order[:5])
    ok(mrvae("decode", "l", "-o", "out"))


def test_a_spatial_model_keeps_channels_and_decodes_each_image_at_its_beta(mrvae, tmp_path):
    model = make_model("mrvae_resnet_spatial", "shrinkage")
    table = [LatentStatistics(beta=b, mean=(0.0,) * 6, std=(1.0,) * 6, kl=(1, 2, 3, 9, 5, 6)) for b in (0.01, 10.0)]
    points = tuple(RDPoint(beta=beta, rate=1.0, distortion=2.0) for beta in (0.01, 10.0))
    model.curve = RDCurve(points=points, latents=LatentTable(points=tuple(table)))
    mrvae_zoo.save_pretrained(model, tmp_path / "m")
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 255, (19, 13, 3), dtype=np.uint8)).save(tmp_path / name)
    x = model.preprocess([tmp_path / "a.png", tmp_path / "b.png"])
    with torch.no_grad():
        rate = model.encode(x, 0.3).kl().mean().item()
    ok(mrvae("encode", "m", "a.png", "b.png", "--rate-each", rate, "--dims", 2, "-o", "l"))
    info, tensors = read(tmp_path / "l")
    assert info["latents"] == [3, 5]
    assert tensors["mean"].shape == (2, 2, 3, 2)
    ok(mrvae("decode", "l", "-o", "out"))
    with torch.no_grad():
        z = torch.zeros(2, 6, 3, 2)
        z[:, [3, 5]] = model.encode(x, tensors["beta"]).mean[:, [3, 5]]
        expected = model.decode(z, tensors["beta"])[..., :19, :13].permute(0, 2, 3, 1).numpy()
    for name, image in zip(("a.png", "b.png"), expected, strict=True):
        with Image.open(tmp_path / "out" / name) as picture:
            assert np.abs(np.asarray(picture, dtype=float) / 255 - image).max() < 0.01


def test_models_that_lack_what_it_takes(mrvae, digits, tmp_path, default_model):
    mrvae_zoo.save_pretrained(default_model.at(0.5), tmp_path / "plain")
    failed(
        mrvae("encode", "plain", digits[0], "--rate-each", 9, "-o", "l"),
        "this model was folded at β=0.5 and has no other; take one with a range of β",
    )
    failed(mrvae("encode", "plain", digits[0], "--beta", 0.5, "--dims", 2, "-o", "l"), "has no rate-distortion curve")
    bare = mrvae_zoo.load_pretrained(DEFAULT_MODEL)
    bare.curve = RDCurve(points=bare.curve.points)
    mrvae_zoo.save_pretrained(bare, tmp_path / "bare")
    failed(
        mrvae("encode", "bare", digits[0], "--beta", 0.5, "--dims", 2, "-o", "l"),
        "bare were not measured with its curve",
    )
    assert not (tmp_path / "l").exists()


def test_two_processes_find_the_same_beta(mrvae, digits, tmp_path):
    ok(mrvae("encode", DEFAULT_MODEL, *digits[:3], "--rate-each", 15, "-o", "one"))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "mrvae_zoo"]
    arguments = ["encode", DEFAULT_MODEL, *map(str, digits[:3]), "--rate-each", "15", "-o", "two", "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, *arguments]
    ok(subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False))
    (one, first), (two, second) = (read(tmp_path / name) for name in ("one", "two"))
    assert one == two
    for name in ("beta", "mean", "log_var"):
        assert torch.allclose(first[name], second[name], rtol=1e-3, atol=1e-3)
