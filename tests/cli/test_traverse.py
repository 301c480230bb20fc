"""`mrvae traverse` and `mrvae interpolate`: the pictures, what is printed, and one line for wrong input."""

import json

import numpy as np
import pytest
import torch
from helpers import DEFAULT_MODEL, failed, make_model, ok
from PIL import Image

import mrvae_zoo

pytestmark = pytest.mark.slow


def test_a_traversal_is_drawn_and_its_latents_are_printed(mrvae, digits, tmp_path, default_model):
    arguments = ("traverse", DEFAULT_MODEL, digits[3], "--beta", 0.5, "--latents", 3, "--steps", 5)
    done = ok(mrvae(*arguments, "-o", "a.png"))
    statistics = default_model.latent_statistics(0.5)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows == [["latent", "nats"], *([str(i), f"{statistics.kl[i]:.2f}"] for i in statistics.order[:3])]
    assert done.stderr.splitlines() == [
        "KL divergence over the data of the curve, in nats:",
        "wrote a.png: 3 of 32 latents at β = 0.5",
    ]
    with torch.no_grad():
        picture = default_model.traverse(default_model.preprocess(digits[3]), 0.5, latents=3, steps=5).picture()
    with Image.open(tmp_path / "a.png") as image:
        assert np.abs(np.asarray(image, dtype=int) - np.asarray(picture, dtype=int)).max() <= 1
    told = json.loads(ok(mrvae(*arguments, "-o", "b.png", "--json")).stdout)
    assert told == {
        "output": "b.png",
        "beta": 0.5,
        "latents": list(statistics.order[:3]),
        "kl": pytest.approx([statistics.kl[i] for i in statistics.order[:3]]),
        "measured": True,
        "values": [-3.0, -1.5, 0.0, 1.5, 3.0],
    }
    failed(mrvae(*arguments, "-o", "a.png"), "a.png exists; pass --force to overwrite it")


def test_a_model_without_a_curve_orders_them_by_the_image(mrvae, digits, tmp_path, default_model):
    mrvae_zoo.save_pretrained(default_model.at(0.5), tmp_path / "plain")
    done = ok(mrvae("traverse", "plain", digits[3], "--latents", 99, "-o", "a.png"))
    assert len(done.stdout.splitlines()) == 33
    assert "KL divergence over this image, in nats:" in done.stderr
    assert "wrote a.png: 32 of 32 latents at β = 0.5" in done.stderr


def test_a_way_stands_between_its_two_images(mrvae, digits, tmp_path, default_model):
    done = ok(mrvae("interpolate", DEFAULT_MODEL, digits[3], digits[8], "--steps", 4, "-o", "way.png", "--json"))
    assert json.loads(done.stdout) == {"output": "way.png", "beta": 1.0, "steps": 4}
    assert done.stderr == "wrote way.png: 4 images at β = 1\n"
    a, b = default_model.preprocess([digits[3], digits[8]]).split(1)
    with torch.no_grad():
        expected = torch.cat([a, default_model.interpolate(a, b, 1.0, steps=4), b])[:, 0].numpy()
    with Image.open(tmp_path / "way.png") as image:
        row = np.asarray(image.convert("L"), dtype=float)[-16 - 56 : -16] / 255
    for number, tile in enumerate(expected[::-1]):
        right = row.shape[1] - 16 - number * 60
        assert np.abs(row[::2, right - 56 : right : 2] - tile).max() < 0.01


def test_large_images_of_a_spatial_model_show_their_middle_and_must_match(mrvae, tmp_path):
    mrvae_zoo.save_pretrained(make_model("mrvae_resnet_spatial", "shrinkage"), tmp_path / "m")
    rng = np.random.default_rng(0)
    for name, side in (("a.png", 160), ("b.png", 160), ("c.png", 64)):
        Image.fromarray(rng.integers(0, 255, (side, 160, 3), dtype=np.uint8)).save(tmp_path / name)
    ok(mrvae("interpolate", "m", "a.png", "b.png", "--steps", 2, "-o", "way.png"))
    with Image.open(tmp_path / "way.png") as image:
        assert image.size[0] == 2 * 16 + 4 * (128 + 4) - 4
    failed(mrvae("interpolate", "m", "a.png", "c.png", "-o", "x.png"), "pass two of one shape")
    assert "in nats per place:" in ok(mrvae("traverse", "m", "c.png", "--latents", 1, "-o", "t.png")).stderr
    assert not (tmp_path / "x.png").exists()
