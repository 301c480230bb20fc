"""`mrvae list`: what is known of the models, in order, and where their weights are."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from helpers import CHECKOUT, DEFAULT_MODEL, failed, ok
from typer.testing import CliRunner

import mrvae_zoo
from mrvae_zoo.checkpoints import registry
from mrvae_zoo.checkpoints.index import Gap, Index, IndexEntry, Speed, Training, read_index
from mrvae_zoo.checkpoints.pins import Pin, write_pins
from mrvae_zoo.cli import app, listing
from mrvae_zoo.cli.list_ import SortKey
from mrvae_zoo.common.schema import to_plain
from mrvae_zoo.models.curve import RDCurve, RDPoint

ENTRY = IndexEntry(
    data="mnist",
    licence=None,
    architecture="mrvae_mlp",
    gating="affine",
    parameters=1000,
    flops=2_000_000,
    image=(1, 28, 28),
    bytes=1_000_000,
    sha256="0" * 64,
    beta_range=(0.01, 10.0),
    rates=(4.0, 100.0),
    loss_at_beta_1=90.0,
    points=(),
    training=None,
    gap=None,
)
LARGE = replace(
    ENTRY,
    data="cifar10",
    parameters=5000,
    flops=1_000_000,
    bytes=3_000_000,
    rates=(2.0, 170.0),
    loss_at_beta_1=80.0,
    training=Training(seconds=100.0, hardware="1 CPU thread", version="0.1.0"),
    gap=Gap(mean=-0.02, worst=0.01),
    speeds=(
        Speed(device="A", batch_size=1, folded=900.0, gated=800.0),
        Speed(device="A", batch_size=256, folded=500.0, gated=400.0),
    ),
)
FAST = replace(
    ENTRY,
    data="omniglot",
    bytes=2_000_000,
    loss_at_beta_1=None,
    rates=(3.0, 120.0),
    training=Training(seconds=50.0, hardware="1 CPU thread", version="0.1.0"),
    gap=Gap(mean=0.03, worst=0.05),
    speeds=(Speed(device="B", batch_size=256, folded=700.0),),
)
ENTRIES = {"mrvae_mlp.a": LARGE, "mrvae_mlp.b": ENTRY, "mrvae_mlp.c": FAST}


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A registry of three models in the index, and one that is not trained; only the first has its weights here."""
    for name in (*ENTRIES, "mrvae_mlp.new"):
        folder = tmp_path / "registry" / name
        folder.mkdir(parents=True)
        (folder / "recipe.toml").write_text('[data]\nname = "svhn"\n', encoding="utf-8")
    for file in ("config.json", "model.safetensors"):
        (tmp_path / "registry" / "mrvae_mlp.a" / file).touch()
    text = json.dumps(to_plain(Index(models=ENTRIES)))
    (tmp_path / "registry" / "index.json").write_text(text, encoding="utf-8")
    for module in (registry, sys.modules["mrvae_zoo.checkpoints.index"], sys.modules["mrvae_zoo.checkpoints.pins"]):
        monkeypatch.setattr(module, "root", lambda: tmp_path)
    return tmp_path


def listed(*arguments):
    """The lines of the table, without the heading."""
    done = CliRunner().invoke(app, ["list", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()[1:]


def names(*arguments):
    return [line.split()[0].removeprefix("mrvae_mlp.") for line in listed(*arguments)]


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("name", "a b c new"),
        ("data", "a b c new"),
        ("size", "b c a new"),
        ("rate", "b c a new"),
        ("loss", "a b c new"),
        ("parameters", "b c a new"),
        ("flops", "a b c new"),
        ("training", "c a b new"),
        ("gap", "a c b new"),
        ("speed", "c a b new"),
    ],
)
def test_every_key_sorts_and_what_lacks_the_figure_comes_last(shelf, key, order):
    assert names("--sort", key) == order.split()


def test_every_key_is_tested_above():
    (mark,) = test_every_key_sorts_and_what_lacks_the_figure_comes_last.pytestmark
    assert [key for key, _ in mark.args[1]] == [*SortKey]


def test_the_last_column_shows_what_it_is_sorted_by(shelf):
    shown = {key: listed("--sort", key)[0].split()[-1] for key in ("loss", "flops", "training", "gap", "speed")}
    assert shown == {"loss": "80.00", "flops": "1.0", "training": "s", "gap": "-2.00%", "speed": "700"}
    assert listed()[0].split() == ["mrvae_mlp.a", "cifar10", "package", "3.0", "2.0", "to", "170.0"]


def test_a_figure_that_no_model_has_is_told(shelf):
    done = CliRunner().invoke(app, ["list", "*b", "--sort", "speed"])
    assert done.stdout.splitlines()[1].split() == ["mrvae_mlp.b", "mnist", "none", "1.0"]
    assert done.stderr == "none of these models has this figure: images/s\n"
    assert CliRunner().invoke(app, ["list", "--sort", "speed"]).stderr == ""


def test_models_are_chosen_by_data_and_by_size(shelf):
    assert names("--data", "omniglot") == ["c"]
    assert names("--data", "svhn") == ["new"]
    assert names("--max-size", 2) == ["b", "c"]  # ends included; without weights there is no size
    assert names("--max-size", 2, "--data", "mnist", "*b") == ["b"]
    assert names("--pretrained") == ["a"]


def test_the_index_is_read_and_no_folder_is_opened(shelf):
    curve = RDCurve(points=(RDPoint(beta=1.0, rate=7.0, distortion=9.0),))
    for name in ("mrvae_mlp.b", "mrvae_mlp.new"):
        (shelf / "registry" / name / "rd_curve.json").write_text(curve.to_json(), encoding="utf-8")
    plain = {model.name: model.to_plain() for model in listing.read_listed()}
    assert plain["mrvae_mlp.b"]["rates"] == [4.0, 100.0]
    assert plain["mrvae_mlp.new"] == {
        "name": "mrvae_mlp.new",
        "data": "svhn",
        "weights": None,
        "hub": None,
        "bytes": None,
        "rates": [7.0, 7.0],
        "loss_at_beta_1": 16.0,
    }


def test_json_gives_everything(shelf):
    done = CliRunner().invoke(app, ["list", "*a", "--json"])
    (model,) = json.loads(done.stdout)
    assert model == {"name": "mrvae_mlp.a", "weights": "package", "hub": None, **to_plain(LARGE)}


def test_the_place_of_the_weights(shelf, monkeypatch):
    """In the package, in the cache of the Hub, on the Hub alone, nowhere."""
    pins = {name: Pin(repo=f"org/{name}", revision=str(n) * 40, sha256="0" * 64) for n, name in enumerate(ENTRIES)}
    write_pins(pins, shelf / "registry" / "pins.toml")
    cache = shelf / "cache"
    snapshot = cache / "models--org--mrvae_mlp.b" / "snapshots" / ("1" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(cache), raising=False)
    places = {model.name.rpartition(".")[2]: model.weights for model in listing.read_listed()}
    assert places == {"a": "package", "b": "cache", "c": "Hub", "new": None}
    assert [line.split()[2] for line in listed()] == ["package", "cache", "Hub", "none"]
    assert names("--pretrained") == ["a", "b"]
    (model,) = [model for model in listing.read_listed() if model.name == "mrvae_mlp.b"]
    assert model.hub == f"hf-hub:org/mrvae_mlp.b@{'1' * 40}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "index.json is not JSON"),
        ("[]", "index.json should hold an object"),
        ('{"models": {"m": {"dat": "mnist"}}}', "unknown key models.m.dat; did you mean data?"),
    ],
)
def test_a_damaged_index_is_told(tmp_path, text, message):
    path = tmp_path / "index.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as caught:
        read_index(path)
    assert "\n" not in str(caught.value)
    assert read_index(tmp_path / "none.json") == {}


@pytest.mark.slow
def test_the_real_table_is_readable_at_80_columns(mrvae):
    for key in SortKey:
        lines = ok(mrvae("list", "--sort", key)).stdout.splitlines()
        assert max(map(len, lines)) <= 80, key
        assert sorted(line.split()[0] for line in lines[1:]) == mrvae_zoo.list_models()
    (model,) = json.loads(ok(mrvae("list", DEFAULT_MODEL, "--json")).stdout)
    assert model["bytes"] == (CHECKOUT / "registry" / DEFAULT_MODEL / "model.safetensors").stat().st_size


@pytest.mark.slow
def test_sorting_and_choosing_need_no_torch():
    code = (
        "import sys; from mrvae_zoo.cli import run; "
        "assert run(['list', '--sort', 'flops', '--data', 'mnist', '--max-size', '3', '--json']) == 0; "
        "print('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.slow
def test_wrong_input_is_one_line(mrvae):
    failed(mrvae("list", "--data", "mnits"), "no model of the registry is for the data set 'mnits'; did you mean mnist")
    failed(mrvae("list", "--sort", "colour"), "'colour' is not one of 'name', 'data', 'size'")
    failed(mrvae("list", "--max-size", "-1"), "--max-size -1: should be at least 0.0. See: mrvae list --help")
    failed(mrvae("list", "--max-size", "big"), "--max-size big: should be a number. See: mrvae list --help")
    for option in (("--sort", "size"), ("--data", "mnist"), ("--max-size", "1"), ("--pretrained",)):
        failed(mrvae("list", "--hub", *option), f"{option[0]} is for models that are here; leave out it or --hub.")
    done = ok(mrvae("list", "--max-size", "0"))
    assert (done.stdout, done.stderr) == ("", "no model of the registry matches '*' and the other options\n")
