import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import CHECKOUT, DEFAULT_MODEL

import mrvae_zoo
from mrvae_zoo.cards.subject import read_subject
from mrvae_zoo.checkpoints import registry
from mrvae_zoo.checkpoints.pins import Pin, read_pins, write_pins
from mrvae_zoo.evaluation.published import TOLERANCE, deviation, measured_split
from mrvae_zoo.evaluation.rate_distortion import rate_distortion

pytestmark = pytest.mark.slow


def test_the_checkout_is_the_registry():
    """An editable install has no copy, so an edited recipe is seen at once."""
    assert registry.root() == CHECKOUT
    assert not (Path(mrvae_zoo.__file__).parent / "_registry").exists()
    recipes = sorted(path.parent.name for path in CHECKOUT.glob("registry/*/recipe.toml"))
    assert mrvae_zoo.list_models() == recipes


def test_models_are_listed_by_pattern_and_by_weights(tmp_path, monkeypatch):
    for name in ("mrvae_mlp.mnist", "mrvae_mlp.omniglot", "mrvae_linear.mnist"):
        (tmp_path / "registry" / name).mkdir(parents=True)
        (tmp_path / "registry" / name / "recipe.toml").touch()
    (tmp_path / "registry" / "notes").mkdir()
    for file in ("config.json", "model.safetensors"):
        (tmp_path / "registry" / "mrvae_mlp.mnist" / file).touch()
    monkeypatch.setattr(registry, "root", lambda: tmp_path)
    assert mrvae_zoo.list_models() == ["mrvae_linear.mnist", "mrvae_mlp.mnist", "mrvae_mlp.omniglot"]
    assert mrvae_zoo.list_models("*.mnist") == ["mrvae_linear.mnist", "mrvae_mlp.mnist"]
    assert mrvae_zoo.list_models(["*linear*", "*omni*"]) == ["mrvae_linear.mnist", "mrvae_mlp.omniglot"]
    assert mrvae_zoo.list_models(pretrained=True) == ["mrvae_mlp.mnist"]
    assert mrvae_zoo.list_models("nothing") == []
    with pytest.raises(ValueError, match="mrvae_linear.mnist has no weights here; train it with: mrvae train"):
        mrvae_zoo.load_pretrained("mrvae_linear.mnist")


@pytest.mark.parametrize("name", mrvae_zoo.list_models(pretrained=True))
def test_a_published_curve_is_what_its_weights_give(name, data_root):
    """At both ends and in the middle, with one draw; `mrvae verify` measures all of it with all draws."""
    model = mrvae_zoo.load_pretrained(name)
    points = model.curve.points
    chosen = (points[0], points[len(points) // 2], points[-1])
    measured = rate_distortion(model, measured_split(model, data_root), [point.beta for point in chosen])
    assert max(deviation(*pair) for pair in zip(chosen, measured.points, strict=True)) <= TOLERANCE


@pytest.mark.parametrize("name", mrvae_zoo.list_models(pretrained=True))
def test_no_range_begins_where_rate_buys_nothing(name):
    """At its lowest β, a nat of rate buys at least half of the β nats of distortion that it is worth."""
    curve = mrvae_zoo.RDCurve.read(registry.model_folder(name) / "rd_curve.json")
    assert curve.exchange[0] > 0.5


@pytest.mark.parametrize("name", mrvae_zoo.list_models(pretrained=True))
def test_no_published_figure_is_that_of_one_draw(name):
    """Of few images other ones would change a figure by far more than the draws, whose error may then be larger."""
    curve = mrvae_zoo.RDCurve.read(registry.model_folder(name) / "rd_curve.json")
    bound = 3e-4 if curve.data["examples"] >= 1000 else 5e-3
    for point in curve.points:
        assert point.standard_error < bound * point.loss, point.beta


@pytest.mark.parametrize("name", mrvae_zoo.list_models(pretrained=True))
def test_a_comparison_on_a_page_is_of_the_model_on_offer(name):
    """Its L is that of the curve, where both were measured, but for the draws."""
    subject = read_subject(registry.model_folder(name), name=name, repo_id=None, compare=None)
    if subject.comparison is None:
        pytest.skip("no comparison")
    pairs = zip(subject.comparison.dedicated, subject.comparison.losses, strict=True)
    shared = {point.beta: loss for point, loss in pairs if point.beta in subject.curve.betas}
    assert len(shared) >= 2
    for beta, loss in shared.items():
        point = subject.curve.at(beta)
        assert abs(loss - point.loss) < 5 * point.standard_error, beta


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The wheel, built from the checkout and installed without its dependencies into an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, folder / "site", wheel], check=True, capture_output=True)
    return folder / "site"


def test_the_wheel_holds_the_registry_and_all_weights_without_a_pin(installed):
    inside = installed / "mrvae_zoo" / "_registry"
    weights = {path.parent.name: path for path in installed.rglob("*.safetensors")}
    assert set(weights) == set(mrvae_zoo.list_models(pretrained=True)) - (set(read_pins()) - {DEFAULT_MODEL})
    assert sum(path.stat().st_size for path in weights.values()) <= 60e6
    for path in [*CHECKOUT.glob("registry/*/*"), CHECKOUT / "registry" / "index.json"]:
        if path.suffix != ".safetensors" or path.parent.name in weights:
            assert (inside / path.relative_to(CHECKOUT)).read_bytes() == path.read_bytes()
    cards = list(CHECKOUT.glob("cards/*/*"))
    assert CHECKOUT / "cards" / DEFAULT_MODEL / "README.md" in cards
    for path in cards:
        assert (inside / path.relative_to(CHECKOUT)).read_bytes() == path.read_bytes()
    assert (installed / "mrvae_zoo" / "py.typed").exists()


def test_the_wheel_holds_what_a_page_is_made_of(installed):
    page = CHECKOUT / "mrvae_zoo" / "page"
    paths = [path for path in page.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert page / "assets" / "dial" / "index.html" in paths
    for path in paths:
        assert (installed / path.relative_to(CHECKOUT)).read_bytes() == path.read_bytes()


@pytest.fixture
def hook():
    """The build hook, as a module."""
    spec = importlib.util.spec_from_file_location("hatch_build", CHECKOUT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shelf(tmp_path) -> Path:
    """A checkout of three models with weights of 20 MB each, and their cards."""
    for name in (DEFAULT_MODEL, "mrvae_mlp.a", "mrvae_mlp.b"):
        folder = tmp_path / "registry" / name
        folder.mkdir(parents=True)
        (folder / "recipe.toml").touch()
        with (folder / "model.safetensors").open("wb") as file:
            file.truncate(20_000_000)
        card = tmp_path / "cards" / name
        card.mkdir(parents=True)
        (card / "README.md").touch()
    return tmp_path


def weights_in_wheel(hook, root: Path) -> list[str]:
    build_data: dict[str, dict[str, str]] = {"force_include": {}}
    hook.RegistryHook(str(root), {}, None, None, "", "wheel").initialize("standard", build_data)
    assert len([path for path in build_data["force_include"] if path.endswith(".md")]) == 3
    return sorted(Path(path).parent.name for path in build_data["force_include"] if path.endswith(".safetensors"))


def test_weights_with_a_pin_stay_out_of_the_wheel_but_for_the_default_model(hook, shelf):
    assert weights_in_wheel(hook, shelf) == ["mrvae_mlp.a", "mrvae_mlp.b", DEFAULT_MODEL]
    pin = Pin(repo="org/a", revision="0" * 40, sha256="0" * 64)
    write_pins({DEFAULT_MODEL: pin, "mrvae_mlp.a": pin}, shelf / "registry" / "pins.toml")
    assert weights_in_wheel(hook, shelf) == ["mrvae_mlp.b", DEFAULT_MODEL]


def test_a_wheel_with_too_many_weights_is_not_built(hook, shelf):
    with (shelf / "registry" / "mrvae_mlp.a" / "model.safetensors").open("ab") as file:
        file.write(b"0")
    with pytest.raises(ValueError, match=r"take 60.0 MB, and at most 60 MB may go in; publish models"):
        weights_in_wheel(hook, shelf)
    write_pins({"mrvae_mlp.b": Pin(repo="o/b", revision="0" * 40, sha256="0" * 64)}, shelf / "registry" / "pins.toml")
    assert weights_in_wheel(hook, shelf) == ["mrvae_mlp.a", DEFAULT_MODEL]


def test_every_model_loads_from_the_wheel(installed, tmp_path):
    code = (
        "import json, mrvae_zoo, torch\n"
        "names = mrvae_zoo.list_models(pretrained=True)\n"
        "assert all(mrvae_zoo.load_pretrained(name).curve for name in names)\n"
        f"model = mrvae_zoo.load_pretrained('{DEFAULT_MODEL}')\n"
        "out = model(torch.zeros(1, 1, 28, 28), 1.0, sample=False)\n"
        "print(json.dumps([mrvae_zoo.__file__, mrvae_zoo.list_models(), out.rate.item()]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    file, names, rate = json.loads(done.stdout)
    assert Path(file).parent == installed / "mrvae_zoo"
    assert names == mrvae_zoo.list_models()
    import torch

    here = mrvae_zoo.load_pretrained(DEFAULT_MODEL)(torch.zeros(1, 1, 28, 28), 1.0, sample=False).rate.item()
    assert rate == pytest.approx(here, rel=1e-5)
