"""Plug-ins: the example, built and installed as a user would, and made-up packages that are broken in many ways."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers import CHECKOUT, DEFAULT_MODEL, FINISHED, PLUGIN, Run, make_gating, ok

import mrvae_zoo
from mrvae_zoo.common import entry_points as plugins
from mrvae_zoo.common.table import Table
from mrvae_zoo.data.data_set import DataSet
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.evaluation.metrics.base import Metric
from mrvae_zoo.evaluation.metrics.latents import RATE
from mrvae_zoo.gating.base import Gating
from mrvae_zoo.gating.kinds import AffineGating
from mrvae_zoo.models.architecture_table import Architecture
from mrvae_zoo.training.objectives import GlobalBatch, Objective, beta_tcvae, beta_vae

pytestmark = pytest.mark.slow

EXAMPLE = CHECKOUT / "examples" / "plugin"
ZOO = ("mrvae_linear", "mrvae_mlp")  # a table of their own, so that tests leave the real one alone
RECORD = "from mrvae_zoo.plugins import Architecture\nA = Architecture(name='{name}', build='{module}:build')\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The example, built and installed without its dependencies into an empty folder."""
    folder = tmp_path_factory.mktemp("plugin")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(build, cwd=EXAMPLE, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, folder / "site", wheel], check=True, capture_output=True)
    return folder / "site"


@pytest.fixture
def python(tmp_path) -> Run:
    """Runs Python in a folder of its own, with this checkout and then `site` on its path."""

    def run(site: Path, *arguments: object, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(map(str, (CHECKOUT, site)))
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def site(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder on the path to put made-up packages into."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    for cached in (plugins._read, plugins.warn_once):
        cached.cache_clear()
    yield folder
    plugins._read.cache_clear()


def install(site: Path, package: str, entry_points: str, **modules: str) -> None:
    """What an installer leaves of a package: its metadata, and modules with this text."""
    metadata = site / f"{package.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[mrvae_zoo.plugins]\n{entry_points}\n", encoding="utf-8")
    for module, text in modules.items():
        (site / f"{module}.py").write_text(text, encoding="utf-8")


def install_architecture(site: Path, package: str, name: str, module: str) -> None:
    """A package with one architecture that is right, though what it builds is not."""
    text = RECORD.format(name=name, module=module) + "def build(): ...\n"
    install(site, package, f"architecture.{name} = {module}:A", **{module: text})


def architectures() -> Table[Architecture]:
    """A table as the zoo's, that has read no plug-ins yet."""
    return Table("architecture", [Architecture(name=name, build="m:f") for name in ZOO], plugins=Architecture)


# The example


def test_what_the_example_brings_is_known_without_importing_it(installed, python):
    code = (
        "import json, sys, mrvae_zoo\n"
        "from mrvae_zoo.cli import run\n"
        "names = [mrvae_zoo.list_architectures(), mrvae_zoo.list_models()]\n"
        "assert run(['list', 'mrvae_lstm*']) == 0\n"
        "print(json.dumps([*names, sorted({'torch', 'timm', 'numpy', 'mrvae_lstm'} & set(sys.modules))]))\n"
    )
    *table, names = ok(python(installed, "-c", code)).stdout.splitlines()
    known, models, imported = json.loads(names)
    assert [line.split() for line in table] == [
        ["name", "data", "weights", "MB", "rates"],
        ["mrvae_lstm.bars", "bars", "none"],
        ["mrvae_lstm.mnist", "mnist", "none"],
    ]
    assert known == sorted([*mrvae_zoo.list_architectures(), PLUGIN])
    assert models == sorted([*mrvae_zoo.list_models(), "mrvae_lstm.bars", "mrvae_lstm.mnist"])
    assert imported == []


def test_importing_the_zoo_reads_no_entry_points(installed, python):
    code = (
        "import mrvae_zoo.common.table, mrvae_zoo.data.sets, mrvae_zoo.common.entry_points as p; "
        "print(p._read.cache_info().currsize)"
    )
    assert ok(python(installed, "-c", code)).stdout == "0\n"


def test_the_example_trains_through_the_command_line(installed, python, tmp_path):
    sets = ["model.state_size=16", "training.learning_rate=0.01", "training.warmup_steps=0", "training.ema=0"]
    small = [part for one in sets for part in ("--set", one)]
    train = ["-m", "mrvae_zoo", "train", "mrvae_lstm.bars", "--data-root", ".", *small]
    ok(python(installed, *train, "-o", "first", "--set", "training.max_steps=5"))
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == FINISHED
    ok(python(installed, *train, "-o", "second", "--init", "local-dir:first", "--set", "training.max_steps=60"))
    first, second = (mrvae_zoo.RDCurve.read(tmp_path / run / "rd_curve.json") for run in ("first", "second"))
    assert first.data == {"name": "bars", "split": "test", "examples": 512}
    assert all(after.loss < before.loss - 20 for before, after in zip(first.points, second.points, strict=True))
    ok(python(installed, "-m", "mrvae_zoo", "verify", "local-dir:second", "--data-root", "."))
    ok(python(installed, "-m", "mrvae_zoo", "card", "local-dir:second", "--data-root", ".", "-o", "card"))
    page = (tmp_path / "card" / "README.md").read_text(encoding="utf-8")
    assert "trained once on the bars that mrvae_lstm draws: one network, gated by β" in page
    assert "license: apache-2.0" in page


@pytest.mark.long
def test_the_example_trains_with_its_objective(installed, python, tmp_path):
    sets = ["model.state_size=8", "training.max_steps=3", "objective.name=free_nats"]
    arguments = [part for one in sets for part in ("--set", one)]
    train = ["-m", "mrvae_zoo", "train", "mrvae_lstm.bars", "--data-root", ".", "-o", "run", *arguments]
    ok(python(installed, *train))
    assert 'name = "free_nats"' in (tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8")
    done = python(installed, *train, "--force", "--set", "objective.name=free_nat")
    assert done.returncode == 1
    assert "objective.name: unknown objective 'free_nat'; did you mean free_nats" in done.stderr.splitlines()[-1]


def test_the_first_nats_are_free(installed, monkeypatch):
    monkeypatch.syspath_prepend(installed)
    from mrvae_lstm.free_nats import FREE_NATS

    nothing, rate = torch.zeros(3, 1), torch.tensor([1.0, 3.0, 7.0], requires_grad=True)
    output = mrvae_zoo.VAEOutput(nothing, mrvae_zoo.Posterior(nothing, nothing), nothing, rate, torch.full((3,), 20.0))
    loss = FREE_NATS.loss(output, torch.tensor([2.0, 2.0, 10.0]), GlobalBatch(examples=3))
    assert loss.tolist() == [26.0, 26.0, 90.0]
    loss.sum().backward()
    assert (rate.grad[0], rate.grad[2]) == (0.0, 10.0)


@pytest.mark.long
def test_the_example_trains_on_real_digits(installed, python, data_root, tmp_path):
    sets = ["model.state_size=8", "training.max_steps=5", "training.batch_size=32"]
    arguments = [part for one in sets for part in ("--set", one)]
    ok(
        python(
            installed, "-m", "mrvae_zoo", "train", "mrvae_lstm.mnist", "--data-root", data_root, "-o", "run", *arguments
        )
    )
    curve = mrvae_zoo.RDCurve.read(tmp_path / "run" / "rd_curve.json")
    assert (curve.data["name"], curve.data["examples"]) == ("mnist", 10_000)


def test_the_example_has_every_property_of_an_architecture(installed, python):
    """Folded is gated, one β per example is one call an example, gradients, files: the tests of the zoo's own."""
    options = ["-q", "-p", "no:cacheprovider", "-m", "not long", "-k", PLUGIN, "--ignore", "tests/test_plugins.py"]
    done = ok(python(installed, "-m", "pytest", *options, "tests", cwd=CHECKOUT))
    passed = int(done.stdout.splitlines()[-1].split()[0])
    assert passed >= 50


def test_the_lstm_without_gates_is_an_lstm(installed, monkeypatch):
    monkeypatch.syspath_prepend(installed)
    from mrvae_lstm.lstm import GatedLSTM

    torch.manual_seed(0)
    ours = GatedLSTM(5, 7, make_gating("none"), side="encoder").double()
    theirs = torch.nn.LSTM(5, 7, batch_first=True).double()
    with torch.no_grad():
        i, f, o, u = torch.cat([ours.step.weight, ours.step.bias.unsqueeze(1)], dim=1).chunk(4)
        ordered = torch.cat([i, f, u, o])
        theirs.weight_ih_l0.copy_(ordered[:, :5])
        theirs.weight_hh_l0.copy_(ordered[:, 5:12])
        theirs.bias_ih_l0.copy_(ordered[:, 12])
        theirs.bias_hh_l0.zero_()
        rows = torch.randn(3, 11, 5, dtype=torch.float64)
        assert torch.allclose(ours(rows, None), theirs(rows)[0], rtol=1e-12, atol=1e-12)


def test_the_bars_are_bars_and_always_the_same(installed, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(installed)
    from mrvae_lstm.bars import BARS

    train, test = BARS.load(tmp_path, "train"), BARS.load(tmp_path, "test")
    assert (train.dtype, train.shape, test.shape) == (torch.uint8, (4096, 1, 16, 16), (512, 1, 16, 16))
    assert torch.equal(train, BARS.load(tmp_path, "train"))
    assert not torch.equal(train[:512], test)
    horizontal = (test == test[..., :1]).flatten(1).all(1)
    vertical = (test == test[..., :1, :]).flatten(1).all(1)
    assert (horizontal | vertical).all()
    assert 0.4 < horizontal.float().mean() < 0.65


def test_a_model_of_a_plug_in_that_is_not_there_is_of_an_unknown_architecture(installed, python, tmp_path):
    code = (
        "import mrvae_zoo\n"
        "model = mrvae_zoo.create_model('mrvae_lstm', input_shape=(1, 4, 4), state_size=4)\n"
        "mrvae_zoo.save_pretrained(model, 'saved')\n"
        "assert mrvae_zoo.load_pretrained('local-dir:saved').config == model.config\n"
    )
    ok(python(installed, "-c", code))
    with pytest.raises(
        mrvae_zoo.CheckpointError, match=r"config.json: unknown architecture 'mrvae_lstm'; did you mean"
    ):
        mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / 'saved'}")


@pytest.mark.long
def test_the_example_trains_with_its_gating(installed, python, tmp_path):
    shared = ("model.gating=fourier", "model.input_shape=[1,16,16]", "data.name=bars", "training.max_steps=3")
    for name, own in (("mrvae_lstm.bars", "model.state_size=8"), ("mrvae_resnet.mnist", "model.widths=[4, 4]")):
        arguments = [part for one in (*shared, own) for part in ("--set", one)]
        ok(python(installed, "-m", "mrvae_zoo", "train", name, "--data-root", ".", "-o", name, *arguments))
        code = (
            "import sys, torch, mrvae_zoo\n"
            "model = mrvae_zoo.load_pretrained(f'local-dir:{sys.argv[1]}')\n"
            "assert type(model.gating).__name__ == 'FourierGating' and model.gating.gates\n"
            "x = torch.rand(3, 1, 16, 16)\n"
            "gated = model.encode(x, 0.3)\n"
            "torch.testing.assert_close(model.encode(x, torch.full((3,), 0.3)), gated)\n"
            "torch.testing.assert_close(model.at(0.3).encode(x), gated)\n"
            "other = model.encode(x, 3.0)\n"
            "assert not torch.allclose(other.mean, gated.mean)\n"
        )
        ok(python(installed, "-c", code, name))
    with pytest.raises(mrvae_zoo.CheckpointError, match=r"config.json: gating='fourier' is not one of shrinkage, "):
        mrvae_zoo.load_pretrained(f"local-dir:{tmp_path / 'mrvae_resnet.mnist'}")


def test_the_cosines_are_orthonormal_in_log_beta(installed, monkeypatch):
    monkeypatch.syspath_prepend(installed)
    from mrvae_lstm.fourier import FourierGating

    position = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    features = FourierGating(beta_range=(0.01, 10.0), degree=3).features(0.01 * 1000**position)
    assert torch.allclose(features.T @ features / 1000, torch.eye(3, dtype=torch.float64), atol=1e-9)


def test_the_example_imports_one_module_of_the_zoo():
    files = sorted((EXAMPLE / "mrvae_lstm").glob("*.py"))
    imported = re.findall(
        r"^(?:from|import) (mrvae_zoo\S*)", "\n".join(file.read_text("utf-8") for file in files), re.MULTILINE
    )
    assert set(imported) == {"mrvae_zoo.plugins"}


# What a plug-in brings


def test_a_gating_of_a_plug_in_is_known_by_name(site, monkeypatch):
    text = (
        "from mrvae_zoo.plugins import AffineGate, Gating\n"
        "class Mine(Gating):\n"
        "    name = 'mine'\n"
        "    def features(self, beta): return beta.log().unsqueeze(-1)\n"
        "    def gate(self, place): return AffineGate(place.channels, 1)\n"
        "class Half(Gating):\n"
        "    name = 'half'\n"
        "    def features(self, beta): return beta\n"
        "class Other: name = 'other'\n"
    )
    points = "gating.mine = gating_pkg:Mine\ngating.half = gating_pkg:Half\ngating.other = gating_pkg:Other"
    install(site, "gating-pkg", f"{points}\ngating.affine = gating_pkg:Mine", gating_pkg=text)
    table = Table("gating", (AffineGating,), plugins=Gating)
    assert table["mine"](beta_range=(0.1, 1.0)).name == "mine"
    for name, message in (
        ("half", "gating 'half' of the plug-in gating-pkg: gating_pkg:Half has no gate, which a Gating needs"),
        ("other", "gating 'other' of the plug-in gating-pkg: gating_pkg:Other is not the Gating of that name"),
        ("affine", "gating 'affine' of the plug-in gating-pkg: mrvae_zoo brings that name too"),
        ("mime", "unknown gating 'mime'; did you mean mine"),
    ):
        with pytest.raises(ValueError, match=message):
            table[name]
    monkeypatch.setattr("mrvae_zoo.models.gating_table.gatings", table)
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 4, 4), widths=(5,), gating="mine")
    assert model.gating.name == "mine"


def test_the_weights_of_a_plug_in_are_pretrained_models(site):
    shutil.copytree(CHECKOUT / "registry" / DEFAULT_MODEL, site / "copy_pkg" / "inner" / "models" / "mrvae_mlp.copy")
    (site / "copy_pkg" / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    install(site, "copy-pkg", "registry.copy = copy_pkg.inner:models")
    assert mrvae_zoo.list_models("*.copy", pretrained=True) == ["mrvae_mlp.copy"]
    assert mrvae_zoo.load_pretrained("mrvae_mlp.copy").config == mrvae_zoo.load_pretrained(DEFAULT_MODEL).config


def test_a_record_of_a_plug_in_keeps_what_it_says_of_itself(site):
    text = """
from mrvae_zoo.plugins import Architecture
A = Architecture(name='one', build=dict, gatings=('affine',))
"""
    install(site, "affine-pkg", "architecture.one = affine_pkg:A", affine_pkg=text)
    assert architectures()["one"].gatings == ("affine",)


def test_the_first_of_two_copies_of_a_package_counts(site, monkeypatch):
    install_architecture(site, "Twice.Installed", "twice", "twice_new")
    older = site.parent / "older"
    install_architecture(older, "twice-installed", "twice", "twice_old")
    monkeypatch.setattr(sys, "path", [*sys.path, str(older)])
    assert architectures()["twice"].build == "twice_new:build"


def test_what_a_data_set_gives_is_checked(site, monkeypatch):
    text = "from mrvae_zoo.plugins import DataSet\nD = DataSet(name='floats', load=lambda root, split: {})\n"
    for given, message in (
        ("__import__('torch').zeros(2, 1, 4, 4)", r"gave torch.float32 \(2, 1, 4, 4\); expected a uint8 tensor"),
        ("[1, 2]", r"gave list; expected a uint8 tensor \(N, C, H, W\)"),
    ):
        shutil.rmtree(site / "floats_pkg-1.0.dist-info", ignore_errors=True)
        install(site, "floats-pkg", "data_set.floats = floats_pkg:D", floats_pkg=text.format(given))
        sys.modules.pop("floats_pkg", None)
        plugins._read.cache_clear()
        monkeypatch.setattr("mrvae_zoo.data.sets.data_sets", Table("data set", plugins=DataSet))
        with pytest.raises(ValueError, match=message):
            load_data(DataRecipe(name="floats"), "train", site, (1, 4, 4))


def test_an_objective_of_a_plug_in_is_known_by_name(site):
    text = (
        "from mrvae_zoo.plugins import Objective\n"
        "A = Objective(name='mine', loss=lambda output, beta, batch: output.distortion, lowest_beta=2.0)\n"
    )
    points = "objective.mine = mine_pkg:A\nobjective.other = mine_pkg:A\nobjective.beta_vae = mine_pkg:A"
    install(site, "mine-pkg", points, mine_pkg=text)
    table = Table("objective", (beta_vae, beta_tcvae), plugins=Objective)
    assert list(table) == ["beta_tcvae", "mine", "other"]
    assert table["mine"].lowest_beta == 2.0
    for name, message in (
        ("other", "objective 'other' of the plug-in mine-pkg: mine_pkg:A is not the Objective of that name"),
        ("beta_vae", "objective 'beta_vae' of the plug-in mine-pkg: mrvae_zoo brings that name too"),
        ("mime", "unknown objective 'mime'; did you mean mine"),
    ):
        with pytest.raises(ValueError, match=message):
            table[name]


def test_a_metric_of_a_plug_in_is_known_by_name(site):
    text = (
        "from mrvae_zoo.plugins import Metric\n"
        "A = Metric(name='mine', title='mine', prepare=lambda fit: lambda part: part.rate)\n"
        "def f(): ...\n"
    )
    install(site, "metric-pkg", "metric.mine = metric_pkg:A\nmetric.other = metric_pkg:f", metric_pkg=text)
    table = Table("metric", (RATE,), plugins=Metric)
    assert list(table) == ["mine", "other", "rate"]
    assert table["mine"].title == "mine"
    with pytest.raises(ValueError, match="metric 'other' of the plug-in metric-pkg: metric_pkg:f is not the Metric of"):
        table["other"]


# Broken plug-ins


def test_a_data_set_that_is_broken_is_not_looked_for_as_a_folder(site, monkeypatch):
    install(site, "broken-pkg", "data_set.broken = broken_pkg:missing", broken_pkg="")
    monkeypatch.setattr("mrvae_zoo.data.sets.data_sets", Table("data set", plugins=DataSet))
    with pytest.raises(ValueError, match="broken-pkg"):
        load_data(DataRecipe(name="broken"), "train", site, (1, 4, 4))


@pytest.mark.parametrize(
    ("entry_points", "message"),
    [
        ("architecture.x = nowhere_pkg:A", "architecture 'x' of the plug-in bad-pkg is skipped: there is no module"),
        ("architecture.x = json", "'json' should be module:attribute"),
        ("architecture.x = json:", "'json:' should be module:attribute"),
        ("architecture.x = json:a b", "'json:a b' should be module:attribute"),
        ("architecture.x = json:load [extra]", "should be module:attribute"),
        ("architecture.x = ", "'' should be module:attribute"),
        ("data_set.x = ../bars:BARS", "data set 'x' of the plug-in bad-pkg is skipped: '../bars:BARS' should be"),
        ("objective.x = nowhere_pkg:A", "objective 'x' of the plug-in bad-pkg is skipped: there is no module nowhere"),
        ("registry.x = json", "registry 'x' of the plug-in bad-pkg is skipped: 'json' should be package:folder"),
        ("registry.x = json:nothing", "json:nothing is no folder"),
        ("registry.x = json.tool:nothing", "json.tool:nothing is no folder"),
        ("registry.x = nowhere_pkg:models", "there is no module nowhere_pkg"),
        ("x = json:load", "the plug-in bad-pkg has an entry point 'x' that is skipped; expected architecture.NAME"),
        ("modell.x = json:load", "entry point 'modell.x' that is skipped"),
        ("architecture. = json:load", "entry point 'architecture.' that is skipped"),
        ("architecture.x.y = json:load", "entry point 'architecture.x.y' that is skipped"),
        ("no equals sign", "bad-pkg has entry points that cannot be read, and is skipped"),
    ],
)
def test_what_is_seen_to_be_broken_is_reported_once_and_skipped(site, caplog, entry_points, message):
    install(site, "bad-pkg", entry_points)
    install_architecture(site, "good-pkg", "good", "good_pkg_a")
    for _ in range(2):
        assert list(architectures()) == ["good", *ZOO]
        assert mrvae_zoo.list_models(DEFAULT_MODEL) == [DEFAULT_MODEL]
    (record,) = caplog.records
    assert (record.levelno, record.name.split(".")[0]) == (logging.WARNING, "mrvae_zoo")
    assert message in record.getMessage()


def test_files_that_cannot_be_read_are_reported_and_skipped(site, caplog):
    install(site, "bad-pkg", "")
    (site / "bad_pkg-1.0.dist-info" / "entry_points.txt").write_bytes(b"[mrvae_zoo.plugins]\n\xff = \xff")
    install(site, "nameless", "architecture.x = json")
    (site / "nameless-1.0.dist-info" / "METADATA").write_bytes(b"\xff")
    assert list(architectures()) == list(ZOO)
    messages = sorted(record.getMessage() for record in caplog.records)
    assert messages[0] == (
        f"architecture 'x' of the plug-in a package without a name in {site} is skipped: "
        "'json' should be module:attribute"
    )
    assert messages[1].startswith("bad-pkg has entry points that cannot be read, and is skipped: UnicodeDecodeError")


@pytest.mark.parametrize(
    ("target", "text", "message"),
    [
        (
            "late_a.inner:A",
            "",
            r"late_a.inner:A cannot be imported \(ModuleNotFoundError: No module named 'late_a.inner'",
        ),
        ("late_b:A", "", r"late_b:A cannot be imported \(AttributeError: module 'late_b' has no attribute 'A'\)"),
        ("late_c:A", "import not_there_at_all", r"\(ModuleNotFoundError: No module named 'not_there_at_all'\)"),
        ("late_d:A", "A = (", r"late_d:A cannot be imported \(SyntaxError: "),
        ("late_e:A", "raise RuntimeError('two\\nlines')", r"\(RuntimeError: two lines\)"),
        ("late_f:A", "def A(): ...", "late_f:A is not the Architecture of that name"),
        ("late_g:A", RECORD.format(name="other", module="m"), "late_g:A is not the Architecture of that name"),
        ("late_h A", "", "'late_h A' should be module:attribute"),
    ],
)
def test_a_broken_architecture_is_an_error_that_names_its_package_once_it_is_asked_for(site, target, text, message):
    install(site, "late-pkg", f"architecture.late = {target}", **{target[:6]: text})
    install_architecture(site, "good-pkg", "good", "good_pkg_b")
    table = architectures()
    with pytest.raises(ValueError, match=f"architecture 'late' of the plug-in late-pkg: .*{message}") as caught:
        table["late"]
    assert "\n" not in str(caught.value)
    assert table["good"].build == "good_pkg_b:build"
    assert table["mrvae_mlp"].build == "m:f"


def test_broken_plug_ins_hold_up_no_command(python, tmp_path):
    site = tmp_path / "site"
    shelf = site / "shelf_pkg" / "models"
    (shelf / "late.model").mkdir(parents=True)
    (shelf / "late.model" / "recipe.toml").write_text("[model]\narchitecture = 'late'\n", encoding="utf-8")
    install(site, "late-pkg", "architecture.late = late_pkg:A\nregistry.a = shelf_pkg:models", late_pkg="import nope")
    install(site, "bad-pkg", "architecture.x = json\ndata_set.y = json\nregistry.z = json:nothing\nw = json:load")
    listed = ok(python(site, "-m", "mrvae_zoo", "list", "--json"))
    assert [model["name"] for model in json.loads(listed.stdout)] == sorted([*mrvae_zoo.list_models(), "late.model"])
    lines = listed.stderr.splitlines()
    assert len(lines) == 4
    assert all("bad-pkg" in line for line in lines)
    ok(python(site, "-m", "mrvae_zoo", "info", DEFAULT_MODEL))
    done = python(site, "-m", "mrvae_zoo", "train", "late.model", "--data-root", ".", "-o", "run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "mrvae: architecture 'late' of the plug-in late-pkg: late_pkg:A cannot be imported "
        "(ModuleNotFoundError: No module named 'nope')"
    )
    assert not (tmp_path / "run").exists()


# Names that two packages bring


def test_an_architecture_of_two_packages_is_an_error_that_names_both(site, caplog):
    install_architecture(site, "a-pkg", "twin", "twin_a")
    install_architecture(site, "b-pkg", "twin", "twin_b")
    install_architecture(site, "c-pkg", "mrvae_mlp", "twin_c")
    table = architectures()
    assert list(table) == ["mrvae_linear"]
    assert table["mrvae_linear"].build == "m:f"
    for name, packages in (("twin", {"a-pkg", "b-pkg"}), ("mrvae_mlp", {"c-pkg", "mrvae_zoo"})):
        with pytest.raises(ValueError, match="uninstall one of them, or rename it there") as caught:
            table[name]
        assert f"architecture {name!r} of the plug-in" in str(caught.value)
        assert all(package in str(caught.value) for package in packages)
        assert str(caught.value) in {record.getMessage() for record in caplog.records}
    assert len(caplog.records) == 2


def test_a_broken_plug_in_takes_no_name_from_anyone(site):
    install(site, "bad-pkg", "architecture.mrvae_mlp = json\narchitecture.good = json")
    install_architecture(site, "good-pkg", "good", "good_pkg_c")
    table = architectures()
    assert list(table) == ["good", *ZOO]
    assert table["good"].build == "good_pkg_c:build"
    assert table["mrvae_mlp"].build == "m:f"


def test_a_name_of_a_plug_in_cannot_be_registered(site):
    install_architecture(site, "a-pkg", "taken", "taken_a")
    table = architectures()
    with pytest.raises(
        ValueError, match="architecture 'taken' is registered already by a-pkg; mine should choose another"
    ):
        table.add(Architecture(name="taken", build="m:f"), package="mine")
    assert table["taken"].build == "taken_a:build"


def test_a_model_of_two_packages_is_an_error_that_names_both(site, caplog):
    for package, names in (("shelf_a", ("x.twin", DEFAULT_MODEL)), ("shelf_b", ("x.twin", "x.one"))):
        for name in names:
            (site / package / "models" / name).mkdir(parents=True)
            (site / package / "models" / name / "recipe.toml").touch()
        install(site, package, f"registry.all = {package}:models")
    for _ in range(2):
        assert mrvae_zoo.list_models(["x.*", DEFAULT_MODEL]) == ["x.one"]
    assert len(caplog.records) == 2
    for name, message in (
        ("x.twin", "the model 'x.twin' is brought by shelf_a and shelf_b|the model 'x.twin' is brought by shelf_b and"),
        (DEFAULT_MODEL, f"the model '{DEFAULT_MODEL}' is brought by mrvae_zoo and shelf_a; uninstall one of them"),
    ):
        with pytest.raises(ValueError, match=message):
            mrvae_zoo.load_pretrained(name)
