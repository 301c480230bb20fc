import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import CHECKOUT, DEFAULT_MODEL

import mrvae_zoo
from mrvae_zoo.cards.subject import read_subject
from mrvae_zoo.checkpoints import registry
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
def test_no_published_figure_is_that_of_one_draw(name):
    for point in mrvae_zoo.RDCurve.read(registry.model_folder(name) / "rd_curve.json").points:
        assert point.standard_error < 3e-4 * point.loss, point.beta


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


def test_the_wheel_holds_the_registry_and_one_model(installed):
    inside = installed / "mrvae_zoo" / "_registry"
    assert [path.parent.name for path in installed.rglob("*.safetensors")] == [DEFAULT_MODEL]
    for path in CHECKOUT.glob("registry/*/*"):
        copy = inside / path.relative_to(CHECKOUT)
        assert path.suffix == ".safetensors" or copy.read_bytes() == path.read_bytes()
    cards = list(CHECKOUT.glob("cards/*/*"))
    assert CHECKOUT / "cards" / DEFAULT_MODEL / "README.md" in cards
    for path in cards:
        assert (inside / path.relative_to(CHECKOUT)).read_bytes() == path.read_bytes()
    assert (installed / "mrvae_zoo" / "py.typed").exists()


def test_the_default_model_loads_from_the_wheel(installed, tmp_path):
    code = (
        "import json, mrvae_zoo, torch\n"
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
