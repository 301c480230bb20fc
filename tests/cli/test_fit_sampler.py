"""`mrvae fit-sampler` and `mrvae sample --sampler`, as a user runs them."""

import json

import pytest
from helpers import DEFAULT_MODEL, failed, make_model, ok

import mrvae_zoo
from mrvae_zoo.models.sampler import MixtureSampler

pytestmark = pytest.mark.slow


@pytest.fixture
def own(tmp_path):
    """A folder with a model, and no recipe."""
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 8, 8), latent_dim=3, widths=(12,))
    mrvae_zoo.save_pretrained(model.eval(), tmp_path / "own")
    return tmp_path / "own"


def test_a_model_of_ones_own_gets_its_sampler_and_is_drawn_from(mrvae, own, own_root, tmp_path):
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    fit = ("fit-sampler", "own", "--data-root", own_root)
    failed(mrvae(*fit), "own has no recipe.toml that says what the model was trained on; name a data set (--data)")
    failed(mrvae("sample", "own", "--sampler", "mixture", "-o", "x.png"), "use sampler='prior'; fit one with")
    assert not (tmp_path / "x.png").exists()
    done = ok(mrvae(*fit, "--data", "mine", "--betas", 3, "--components", 2))
    assert done.stderr.splitlines()[-1] == "wrote own/sampler.safetensors"
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["beta", "components", "gain", "(nats)"]
    assert [row[0] for row in rows[1:]] == ["0.01", "0.3162", "10"]
    assert all(1 <= int(row[1]) <= 2 for row in rows[1:])
    assert {path.name for path in own.iterdir()} == {*before, "sampler.safetensors"}
    assert all((own / name).read_bytes() == content for name, content in before.items())
    written = (own / "sampler.safetensors").read_bytes()
    assert "sampler          3 mixtures, fitted at β from 0.01 to 10" in ok(mrvae("info", "own")).stdout
    told = json.loads(ok(mrvae("info", "own", "--json")).stdout)["sampler"]
    assert [(round(each["beta"], 4), each["components"]) for each in told] == [
        (float(row[0]), int(row[1])) for row in rows[1:]
    ]

    failed(mrvae(*fit, "--data", "mine"), "own/sampler.safetensors exists; pass --force to overwrite it")
    told = json.loads(ok(mrvae(*fit, "--data", "mine", "--betas", 1, "--force", "--json")).stdout)
    assert told["bytes"] == len((own / "sampler.safetensors").read_bytes()) < len(written)
    assert [point["beta"] for point in told["points"]] == pytest.approx([0.3162])

    for sampler, options in (("mixture", ()), ("mixture", ("--sampler", "mixture")), ("prior", ("--sampler", "prior"))):
        arguments = ("sample", "own", "--beta", 0.02, "-n", 4, "-o", "new.png", "--force", "--json", *options)
        done = ok(mrvae(*arguments))
        assert f"4 images at β = 0.02, drawn from the {sampler}" in done.stderr
        assert json.loads(done.stdout)["sampler"] == sampler
    assert mrvae("sample", "own", "-o", "y.png", "--sampler", "normal").returncode == 2


def test_the_data_are_those_of_the_recipe(mrvae, bars, tmp_path):
    (tmp_path / "r.toml").write_text(
        '[model]\narchitecture = "mrvae_mlp"\ninput_shape = [1, 8, 8]\nlatent_dim = 4\nwidths = [16]\n'
        '[data]\nname = "binarized_mnist"\n[training]\nepochs = 1\nbatch_size = 64\n',
        encoding="utf-8",
    )
    ok(mrvae("train", "r.toml", "--data-root", bars, "-o", "run"))
    ok(mrvae("fit-sampler", "run", "--data-root", bars, "--components", 1))
    model = mrvae_zoo.load_pretrained(tmp_path / "run")
    assert isinstance(model.sampler, MixtureSampler)
    assert model.sampler.betas == pytest.approx(model.curve.betas, rel=1e-6)
    ok(mrvae("train", "r.toml", "--data-root", bars, "-o", "run", "--force"))
    assert not (tmp_path / "run" / "sampler.safetensors").exists()  # it belonged to the earlier weights


def test_what_cannot_be_fitted_is_one_line(mrvae, own, own_root, default_model, tmp_path):
    mrvae_zoo.save_pretrained(make_model("mrvae_resnet_spatial", "shrinkage"), tmp_path / "spatial")
    folded = default_model.at(0.1)
    folded.sampler = None
    mrvae_zoo.save_pretrained(folded, tmp_path / "folded")
    data = ("--data-root", own_root, "--data", "mine")
    failed(mrvae("fit-sampler", "spatial", *data), "spatial has latents at many places of an image")
    failed(mrvae("fit-sampler", "folded", *data, "--betas", 3), "--betas 3: this model was folded at β=0.1")
    failed(mrvae("fit-sampler", "own", "--data-root", own_root, "--data", "none"), "none")
    failed(mrvae("fit-sampler", "own", "--data-root", tmp_path / "no", "--data", "mine"), "no such folder")
    failed(mrvae("fit-sampler", "hf-hub:org/name", *data), "is in the cache of the Hub")
    failed(mrvae("fit-sampler", "mrvae_mlp.mnits", *data), DEFAULT_MODEL)
    for options in (("--betas", 0), ("--components", 0), ("--examples", 3)):
        assert mrvae("fit-sampler", "own", *data, *options).returncode == 2
    assert not list(tmp_path.rglob("sampler.safetensors"))
