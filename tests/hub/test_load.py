import subprocess
import sys

import pytest
import torch
from helpers import CHECKOUT, DEFAULT_MODEL

import mrvae_zoo
from mrvae_zoo.checkpoints import registry
from mrvae_zoo.checkpoints.pins import Pin, write_pins
from mrvae_zoo.hub import load as hub

pytestmark = pytest.mark.slow


def test_the_default_model_loads_with_its_curve():
    model = mrvae_zoo.load_pretrained(DEFAULT_MODEL)
    assert isinstance(model, mrvae_zoo.MultiRateVAE)
    assert not model.training
    assert model.dtype == torch.float32
    assert model.curve is not None
    assert model.curve.betas[0] == model.beta_range[0]
    assert model.curve.betas[-1] == model.beta_range[1]
    assert model.curve.beta_for(rate=model.curve.points[3].rate) == pytest.approx(model.curve.points[3].beta)


def test_no_network_is_touched(monkeypatch):
    def refuse(*arguments):
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    mrvae_zoo.load_pretrained(DEFAULT_MODEL)
    mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 4, 4))


def test_a_folder_is_a_source(tmp_path, monkeypatch):
    mrvae_zoo.save_pretrained(mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 2, 2)), tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (tmp_path / "m", "m", "./m", "~/m"):
        assert mrvae_zoo.load_pretrained(f"local-dir:{path}").input_shape == (1, 2, 2)
    assert mrvae_zoo.load_pretrained(f"local-dir:{CHECKOUT / 'registry' / DEFAULT_MODEL}").latent_dim == 32


def test_a_path_a_dtype_by_name_and_the_words_of_timm():
    folder = CHECKOUT / "registry" / DEFAULT_MODEL
    model = mrvae_zoo.load_pretrained(folder, dtype="float16")
    assert model.dtype == torch.float16
    assert mrvae_zoo.load_pretrained(DEFAULT_MODEL, dtype="torch.bfloat16").dtype == torch.bfloat16
    for dtype in ("float8", 16):
        with pytest.raises(ValueError, match="dtype=.* one of float64, float32, float16, bfloat16"):
            mrvae_zoo.load_pretrained(folder, dtype=dtype)
    assert mrvae_zoo.create_model(DEFAULT_MODEL, pretrained=True, dtype="float16").curve == model.curve
    with pytest.raises(mrvae_zoo.UnknownNameError, match="is the name of a trained model; say pretrained=True"):
        mrvae_zoo.create_model(DEFAULT_MODEL)
    with pytest.raises(ValueError, match=r'name a trained model of it, see list_models\("mrvae_mlp.\*"'):
        mrvae_zoo.create_model("mrvae_mlp", pretrained=True)


def test_a_model_is_saved_in_a_dtype_by_name(tmp_path):
    model = mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 2, 2))
    mrvae_zoo.save_pretrained(model, tmp_path, dtype="float16")
    assert '"dtype": "float16"' in (tmp_path / "config.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", ["org/name", "./folder", "C:\\folder", "s3:thing", "hf-hub/x"])
def test_a_name_with_a_path_in_it_names_both_prefixes(source):
    with pytest.raises(ValueError, match=r"for a folder write local-dir:path, for the Hub hf-hub:org/name"):
        mrvae_zoo.load_pretrained(source)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(
        mrvae_zoo.UnknownNameError, match=rf"unknown model 'mrvae_mpl.mnist'; did you mean .*{DEFAULT_MODEL}"
    ):
        mrvae_zoo.load_pretrained("mrvae_mpl.mnist")
    with pytest.raises(mrvae_zoo.UnknownNameError, match="unknown model ''"):
        hub.locate_checkpoint("")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("source", "revision", "expected"),
    [
        ("hf-hub:org/name", None, ("org/name", None)),
        ("hf-hub:Org_1/mrvae_mlp.mnist", None, ("Org_1/mrvae_mlp.mnist", None)),
        ("hf-hub:org/name@v1.0", None, ("org/name", "v1.0")),
        ("hf-hub:org/name@refs/pr/1", None, ("org/name", "refs/pr/1")),
        (f"hf-hub:org/name@{COMMIT}", COMMIT, ("org/name", COMMIT)),
        ("hf-hub:org/name", "dev", ("org/name", "dev")),
    ],
)
def test_a_source_of_the_hub_has_parts(source, revision, expected):
    parts = hub.parse_hub_source(source, revision)
    assert (parts.repo_id, parts.revision) == expected
    assert hub.parse_hub_source(str(parts)) == parts


@pytest.mark.parametrize(
    "repo_id",
    ["", "name", "/name", "org/", "a/b/c", "org/../x", "-o/name", "org/na me", "org/n--m", "ö/n", "o/" + 99 * "n"],
)
def test_what_is_no_repository_is_told(repo_id):
    with pytest.raises(ValueError, match="is not a repository of the Hub"):
        mrvae_zoo.load_pretrained(f"hf-hub:{repo_id}")


@pytest.mark.parametrize("revision", ["", "..", "a/../b", "/etc", "a b", "a@b", ".hidden", "a/"])
def test_what_is_no_revision_is_told(revision):
    for arguments in ((f"hf-hub:org/name@{revision}", None), ("hf-hub:org/name", revision)):
        with pytest.raises(ValueError, match="is not a revision; expected a branch, a tag or a commit"):
            hub.parse_hub_source(*arguments)


def test_two_revisions_that_differ_are_an_error():
    with pytest.raises(ValueError, match="revision='v2' differ; give one of them"):
        mrvae_zoo.load_pretrained("hf-hub:org/name@v1", revision="v2")


@pytest.mark.parametrize("source", [DEFAULT_MODEL, "local-dir:somewhere"])
def test_a_revision_is_of_the_hub(source):
    for call in (mrvae_zoo.load_pretrained, hub.exact):
        with pytest.raises(ValueError, match="revision='v1' is for hf-hub:org/name"):
            call(source, revision="v1")


def test_an_exact_source_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hub.exact("local-dir:m") == f"local-dir:{tmp_path / 'm'}"
    assert hub.exact(DEFAULT_MODEL) == DEFAULT_MODEL
    assert hub.exact(f"hf-hub:org/name@{COMMIT}") == f"hf-hub:org/name@{COMMIT}"


def test_a_model_that_is_here_does_not_import_the_client(tmp_path):
    code = (
        "import sys, mrvae_zoo\n"
        f"mrvae_zoo.load_pretrained('{DEFAULT_MODEL}')\n"
        "assert 'huggingface_hub' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


@pytest.fixture
def recipe_only(tmp_path, monkeypatch):
    """A registry with a model that has a recipe alone; its folder."""
    folder = tmp_path / "registry" / "mrvae_mlp.far"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").touch()
    monkeypatch.setattr(registry, "root", lambda: tmp_path)
    monkeypatch.setattr("mrvae_zoo.checkpoints.pins.root", lambda: tmp_path)
    return folder


def test_a_model_without_weights_and_pin_says_how_to_train_it(recipe_only):
    for call in (mrvae_zoo.load_pretrained, hub.exact):
        with pytest.raises(
            ValueError, match="mrvae_mlp.far has no weights here; train it with: mrvae train mrvae_mlp.far"
        ):
            call("mrvae_mlp.far")


def test_a_pinned_model_comes_from_its_commit_with_its_checksum(recipe_only, monkeypatch, tmp_path):
    from mrvae_zoo.hub import download as hub_download

    folder = tmp_path / "cache"
    mrvae_zoo.save_pretrained(mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 2, 2)), folder)
    checksum = hub_download.sha256(folder / "model.safetensors")
    fetched = hub_download.Fetched(folder, checksum)
    asked = []
    monkeypatch.setattr(hub_download, "fetch", lambda *arguments: asked.append(arguments) or fetched)
    pins = recipe_only.parent / "pins.toml"
    write_pins({"mrvae_mlp.far": Pin(repo="org/far", revision=COMMIT, sha256=checksum)}, pins)
    assert mrvae_zoo.load_pretrained("mrvae_mlp.far").input_shape == (1, 2, 2)
    assert hub.exact("mrvae_mlp.far") == f"hf-hub:org/far@{COMMIT}"
    assert {arguments[:2] for arguments in asked} == {("org/far", COMMIT)}

    write_pins({"mrvae_mlp.far": Pin(repo="org/far", revision=COMMIT, sha256=64 * "0")}, pins)
    with pytest.raises(mrvae_zoo.HubError, match=r"differs from the one in .*pins.toml; it is removed from the cache"):
        mrvae_zoo.load_pretrained("mrvae_mlp.far")
    assert not (folder / "model.safetensors").exists()


def test_verify_compares_with_the_pin(monkeypatch, tmp_path):
    from mrvae_zoo.cli.verify import verify

    pins = {DEFAULT_MODEL: Pin(repo="org/name", revision=COMMIT, sha256=64 * "0")}
    monkeypatch.setattr("mrvae_zoo.checkpoints.pins.read_pins", lambda: pins)
    with pytest.raises(ValueError, match=f"its published weights: the checksum is [0-9a-f]{{64}}, and {64 * '0'} in"):
        verify(DEFAULT_MODEL, data_root=tmp_path)
