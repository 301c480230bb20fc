"""`mrvae curve` and `info`: measuring, keeping, and what needs no weights."""

import json
import shutil

import pytest
import torch
from helpers import CHECKOUT, DEFAULT_MODEL, failed, ok

import mrvae_zoo
from mrvae_zoo import RDCurve

pytestmark = pytest.mark.slow


@pytest.fixture
def own(own_root, tmp_path):
    """A model of a loop of one's own: weights, and nothing else."""
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 8, 8), latent_dim=3, widths=(12,)).train()
    data = mrvae_zoo.load_data("mine", "train", own_root, model.input_shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for x in [*data.batches(64)] * 3:
        beta = mrvae_zoo.sample_beta(len(x), model.beta_range)
        out = model(x, beta)
        optimizer.zero_grad()
        (out.distortion + beta * out.rate).mean().backward()
        optimizer.step()
    mrvae_zoo.save_pretrained(model.eval(), tmp_path / "own")
    return tmp_path / "own"


def test_a_model_of_ones_own_loop_gets_its_curve_its_page_and_is_checked(mrvae, own, own_root, tmp_path):
    name = f"local-dir:{own}"
    failed(mrvae("curve", name), "has no published curve; measure one with --data-root DIR --data SET")
    failed(mrvae("card", name, "-o", "page"), "rd_curve.json is missing; a card shows the measured curve")
    failed(mrvae("curve", name, "--data-root", own_root), "name a data set (--data)")
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    measure = ("curve", name, "--data-root", own_root, "--data", "mine")
    printed = json.loads(ok(mrvae(*measure, "--json")).stdout)
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before
    done = ok(mrvae(*measure, "--save"))
    assert f"wrote {own / 'rd_curve.json'}" in done.stderr.splitlines()
    curve = RDCurve.read(own / "rd_curve.json")
    assert curve.to_plain() == printed
    assert len(curve.points) == 13
    assert curve.data == {"name": "mine", "split": "test", "examples": 100}
    assert all(point.standard_error < 3e-3 * point.loss for point in curve.points)  # few images, which matter more
    assert "off by 0.000% at most" in ok(mrvae("verify", name, "--data-root", own_root)).stderr
    ok(mrvae("card", name, "-o", "page", "--data-root", own_root))
    page = (tmp_path / "page" / "README.md").read_text(encoding="utf-8")
    assert "trained in a training loop" in page
    assert "recipe.toml" not in page
    from mrvae_zoo.hub.package import make_package

    assert {"config.json", "model.safetensors", "rd_curve.json", "README.md"} <= {
        *make_package(own, "org/own", data_root=own_root).files
    }


def test_options(mrvae, own, own_root):
    name = f"local-dir:{own}"
    for options in (("--data", "mine"), ("--save",), ("--draws", 2)):
        failed(mrvae("curve", DEFAULT_MODEL, *options), f"{options[0]} needs --data-root.")
    failed(mrvae("curve", DEFAULT_MODEL, "--data-root", own_root, "--binarize", "static"), "--binarize needs --data.")
    measured = json.loads(
        ok(
            mrvae(
                "curve", name, "--data-root", own_root, "--data", "mine", "--binarize", "static", "--draws", 3, "--json"
            )
        ).stdout
    )
    assert measured["samples"] == 3
    assert measured["data"]["binarize"] == "static"
    failed(mrvae("curve", "hf-hub:a/b", "--data-root", own_root, "--save"), "is in the cache of the Hub")


def test_what_needs_no_weights(mrvae, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in ("config.json", "rd_curve.json", "latents.json", "sampler.safetensors"):
        shutil.copy(CHECKOUT / "registry" / DEFAULT_MODEL / file, bare)
    for command in ("info", "curve"):
        whole, without = (
            json.loads(ok(mrvae(command, name, "--json")).stdout) for name in (DEFAULT_MODEL, f"local-dir:{bare}")
        )
        assert {**whole, "name": None} == {**without, "name": None}
    done = ok(mrvae("info", "mrvae_resnet.paper_cifar10"))
    assert "parameters       7,899,779" in done.stdout
    assert done.stderr.startswith("no published curve")
    failed(mrvae("curve", "mrvae_resnet.paper_cifar10"), "has no published curve")


def test_a_folded_model_is_sampled_at_its_own_beta(mrvae, default_model, tmp_path):
    mrvae_zoo.save_pretrained(default_model.at(0.1), tmp_path / "folded")
    for name in ("folded", "high"):
        if name == "high":
            high = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 8, 8), widths=(8,), beta_range=(2.0, 20.0))
            mrvae_zoo.save_pretrained(high, tmp_path / name)
        ok(mrvae("sample", f"local-dir:{tmp_path / name}", "-o", f"{name}.png"))
    failed(mrvae("sample", f"local-dir:{tmp_path / 'folded'}", "-o", "x.png", "--beta", 1), "folded at β=0.1")


def test_messages_are_not_longer_than_anyone_reads(mrvae, tmp_path):
    model = mrvae_zoo.create_model("mrvae_resnet", input_shape=(1, 28, 28), widths=(8, 8, 8), depth=4)
    mrvae_zoo.save_pretrained(model, tmp_path / "other")
    arguments = ("--data-root", CHECKOUT.parent, "--init", f"local-dir:{tmp_path / 'other'}")
    (tmp_path / "r.toml").write_text("model = " + "9" * 30_000, encoding="utf-8")
    for name in ("x" * 30_000, tmp_path / "r.toml"):
        done = mrvae("train", name, *arguments, "-o", "run")
        assert done.returncode == 1
        assert len(done.stderr) < 2500
