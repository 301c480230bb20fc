"""Cards of models of other kinds, of runs, and of what cannot have one."""

import json
import re
import shutil
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import BARS_RECIPE, DEFAULT_MODEL, RECORD, python_of, run_snippets
from matplotlib.figure import Figure
from PIL import Image

import mrvae_zoo
from mrvae_zoo import CheckpointError, MissingExtraError, RDCurve, RDPoint
from mrvae_zoo.cards.card import make_card
from mrvae_zoo.cards.metadata import metadata
from mrvae_zoo.cards.subject import read_comparison, read_subject
from mrvae_zoo.cards.tables import comparison_table
from mrvae_zoo.cards.text import text
from mrvae_zoo.checkpoints.folder import save_curve
from mrvae_zoo.checkpoints.registry import model_folder
from mrvae_zoo.comparison.record import SeedGap
from mrvae_zoo.data.sets import data_facts, data_sets
from mrvae_zoo.training.recipe import recipe_from_table
from mrvae_zoo.training.run_folder import write_recipe
from mrvae_zoo.training.train import train

pytestmark = pytest.mark.slow

COLOUR = {"architecture": "mrvae_conv", "input_shape": [3, 16, 12], "latent_dim": 4, "widths": [4]}
SPATIAL = {"architecture": "mrvae_resnet_spatial", "input_shape": [3, "any", "any"], "latent_dim": 4}
SPATIAL |= {"widths": [4, 4, 4], "depth": 1, "bottleneck": 4}
GAUSSIAN = {"likelihood": "gaussian", "sigma": 0.25, "beta_range": [0.5, 2.0]}
POINTS = (
    RDPoint(beta=0.5, rate=9.0, distortion=5.0, active_units=4, psnr=21.0),
    RDPoint(beta=1.0, rate=8.0, distortion=4.0, active_units=3, psnr=20.0),
    RDPoint(beta=2.0, rate=1.0, distortion=30.0, active_units=1, psnr=10.0),
)


def folder_of(folder, model, *, points=POINTS, data=None, beta=None):
    """A folder as a training leaves it, of a network that was not trained and points that nobody measured."""
    recipe = recipe_from_table({"model": model, "data": {"name": "mine"}, "training": {"epochs": 2}}, where="test")
    torch.manual_seed(0)
    network = mrvae_zoo.models.factory.build_model(recipe.model).eval()
    network = network if beta is None else network.at(beta)
    network.curve = RDCurve(points=points, data=data or {"name": "mine", "split": "test", "examples": 3})
    mrvae_zoo.save_pretrained(network, folder)
    write_recipe(folder, recipe)
    return folder


@pytest.fixture
def own_data(tmp_path):
    """A data root with the set "mine": RGB images of 16×12."""
    for split, count in (("train", 4), ("test", 3)):
        (tmp_path / "data" / "mine" / split).mkdir(parents=True)
        for i in range(count):
            pixels = np.random.default_rng(i).integers(0, 256, (16, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / "mine" / split / f"{i}.png")
    return tmp_path / "data"


def test_a_gaussian_of_colour_images_of_ones_own(own_data, digits, tmp_path):
    card = make_card(folder_of(tmp_path / "run", COLOUR | GAUSSIAN), name="run", data_root=own_data)
    page = card.files["README.md"].decode()
    # D + R = 12 nats and the constant of the Gaussian, (576/2) log 2πσ², over 576 values
    bits = (12 + 288 * np.log(2 * np.pi * 0.0625)) / (576 * np.log(2))
    assert f"| 1 | 8.00 | 4.00 | 12.00 | {bits:.4f} | 3 | 20.00 |" in page
    assert "| β | rate | distortion | loss | bits per dimension | active latents of 4 | PSNR (dB) |" in page
    assert "σ = 0.25" in page
    assert "| gates | `shrinkage` of 3 strengths |" in page
    assert "Bernoulli" not in page
    assert (
        "It is short of the optimum at β = 0.5: another β has both a lower rate and a lower distortion (β = 1 " in page
    )
    assert "β = 1 beside β = 0.5: rate 8.00 for 9.00, distortion 4.00 for 5.00)" in page
    assert "at β = 2, 1 of 4 are active" in page
    assert "How long that took, and on what, was not recorded" in page
    assert f'load_pretrained("local-dir:{tmp_path / "run"}")' in page
    assert run_snippets(page, tmp_path, digits) == "(2, 4) (2, 3, 16, 12) (16, 3, 16, 12)"
    block = page.split("---\n")[1]
    assert "license" not in block
    assert "datasets" not in block
    assert "What licence `mine` is under is not known" in page
    with Image.open(own_data / "mine" / "test" / "0.png") as first, image_of(card, "reconstructions.png") as drawn:
        scale = -(-56 // 12)
        left = drawn.width - 16 - 3 * (12 * scale + 4) + 4
        tile = np.asarray(drawn.crop((left, 16, left + 12 * scale, 16 + 16 * scale)))
        assert (tile[::scale, ::scale] == np.asarray(first)).all()


def image_of(card, name):
    return Image.open(BytesIO(card.files[name]))


def test_a_spatial_model(own_data, digits, tmp_path):
    points = [replace(point, psnr=None) for point in POINTS]
    card = make_card(folder_of(tmp_path / "run", SPATIAL, points=tuple(points)), name="run", data_root=own_data)
    page = card.files["README.md"].decode()
    assert "bits per dimension" not in page
    assert "PSNR" not in page
    assert "3 channels, any size" in page
    assert run_snippets(page, tmp_path, digits) == "(2, 4, 4, 4) (2, 3, 32, 32) (16, 3, 64, 64)"


def test_a_folded_model(own_data, digits, tmp_path):
    folder = folder_of(tmp_path / "run", COLOUR, points=POINTS[1:2], beta=1.0)
    page = make_card(folder, name="run", data_root=own_data).files["README.md"].decode()
    assert "it is a plain VAE, at β = 1" in page
    assert "beta_for" not in page
    assert run_snippets(page, tmp_path, digits) == "(2, 4) (2, 3, 16, 12) (16, 3, 16, 12)"


def test_images_that_cannot_be_drawn_leave_the_curve(tmp_path):
    folder = folder_of(tmp_path / "run", COLOUR | {"input_shape": [2, 8, 8]})
    card = make_card(folder, name="run")
    assert set(card.files) == {"README.md", "rd_curve.png"}
    assert re.findall(r"!\[.*?\]\((.*?)\)", card.files["README.md"].decode()) == ["rd_curve.png"]


def test_the_card_of_a_run_says_how_it_was_trained(mrvae, bars, tmp_path):
    table = BARS_RECIPE | {"training": BARS_RECIPE["training"] | {"max_steps": 3}}
    train(recipe_from_table(table, where="test"), bars, tmp_path / "run")
    done = mrvae("card", "local-dir:run", "-o", "card", "--data-root", bars, "--repo", "org/bars")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "wrote card: README.md, rd_curve.png, reconstructions.png, samples.png"
    page = (tmp_path / "card" / "README.md").read_text(encoding="utf-8")
    assert page.split("---\n")[2].startswith("\n# run\n")
    record = mrvae_zoo.training.recipe.read_recipe(tmp_path / "run" / "recipe.toml").trained
    assert f"on {record.hardware} with `mrvae_zoo` {record.version}" in page
    assert f", on {record.date}." in page
    assert (f"(commit `{record.commit}`)" in page) == (record.commit is not None)
    assert "12 epochs, 3 steps at most, in batches of 32" in page
    assert 'load_pretrained("hf-hub:org/bars")' in page
    before = {path: path.read_bytes() for path in (tmp_path / "card").iterdir()}
    assert mrvae("card", "local-dir:run", "-o", "card", "--data-root", bars).returncode == 1
    done = mrvae("card", "local-dir:run", "-o", "card", "--data-root", bars, "--repo", "org/bars", "--force")
    assert done.returncode == 0
    assert {path: path.read_bytes() for path in (tmp_path / "card").iterdir()} == before


@pytest.fixture
def comparison(tmp_path):
    """A file of made-up figures, with what else such a file may hold."""
    figures = {
        "betas": [1.0, 0.1],
        "mrvae": {"L": [91.5, 48.4], "rate": [28.7, 75.6], "distortion": [62.8, 40.84], "seeds": 1},
        "dedicated": {"L": [100.0, 44.0], "rate": [30.0, 80.0], "distortion": [70.0, 36.0]},
        "hardware": "none",
    }
    path = tmp_path / f"compare_{DEFAULT_MODEL}_made_up.json"
    path.write_text(json.dumps(figures), encoding="utf-8")
    return path


def test_dedicated_models_are_laid_beside_the_curve(comparison, monkeypatch):
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: drawn.append(self) or save(self, *a, **k))
    card = make_card(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL, compare=comparison)
    page = card.files["README.md"].decode()
    assert "| 0.1 | 48.40 | 44.00 | +10.00% |\n| 1 | 91.50 | 100.00 | -8.50% |" in page
    assert "and of β-VAEs trained for one β each](rd_curve.png)" in page
    assert "How far it is" not in page
    left, right = drawn[0].axes
    assert left.lines[1].get_xydata().tolist() == [[80.0, 36.0], [30.0, 70.0]]
    assert right.lines[1].get_xydata().tolist() == [[0.1, 44.0], [1.0, 100.0]]
    assert [one.get_text() for one in right.get_legend().get_texts()][1] == "β-VAEs, one training each"


@pytest.mark.parametrize(
    ("seed", "loss", "gap"), [(0, "48.00", "-2.04%"), (7, "48.00", "-2.04%"), (1, "48.50", "-1.02%")]
)
def test_a_comparison_is_of_the_model_on_offer(tmp_path, seed, loss, gap):
    second = replace(RECORD.per_seed[0], seed=1, mrvae=SeedGap(L=(48.5, 181.0), gap=(-0.02, 0.03)))
    record = replace(RECORD, per_seed=(*RECORD.per_seed, second), budget=3.0, budgets=None)
    (tmp_path / "compare.json").write_text(record.to_json(), encoding="utf-8")
    comparison = read_comparison(tmp_path / "compare.json", seed=seed)
    assert f"| 0.1 | {loss} | 49.00 | {gap} | -1.00% ± 1.00% |" in comparison_table(comparison)
    assert "gap over 2 seeds" in comparison_table(comparison)
    assert (comparison.budget, comparison.seeds, comparison.regime, comparison.draws) == (3.0, 2, "converged", 2)


def test_a_page_says_how_the_comparison_was_made(tmp_path):
    (tmp_path / "compare.json").write_text(replace(RECORD, budget=3.0, budgets=None).to_json(), encoding="utf-8")
    card = make_card(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL, compare=tmp_path / "compare.json")
    page = card.files["README.md"].decode()
    assert "each trained for one β (means of 2 trainings)." in page
    assert "with 3 times the operations of one of them (trainings: converged). Both were measured with 2 draws" in page
    assert "It is one training with one seed" not in page


def test_a_page_says_how_many_draws_were_taken_and_what_others_would_change(tmp_path):
    folder = Path(shutil.copytree(model_folder(DEFAULT_MODEL), tmp_path / "model"))
    curve = RDCurve.read(folder / "rd_curve.json")
    points = [replace(p, samples=i + 2, standard_error=p.loss * 1e-4) for i, p in enumerate(curve.points)]
    save_curve(folder, replace(curve, points=tuple(points), samples=14))
    page = make_card(folder, name=DEFAULT_MODEL).files["README.md"].decode()
    assert "with 2 to 14 draws of z per image:" in page
    assert "Other draws would change L by 0.010% at most (one standard error)." in page
    assert "| draws of z |" in page


def test_a_comparison_beside_the_benchmarks_is_found(comparison, tmp_path, monkeypatch):
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    comparison.rename(results / comparison.name)
    monkeypatch.setattr("mrvae_zoo.cards.subject.root", lambda: tmp_path)
    folder = model_folder(DEFAULT_MODEL)
    found = read_subject(folder, name=DEFAULT_MODEL, repo_id=None, compare=None).comparison
    assert found == read_comparison(results / comparison.name)
    assert read_subject(folder, name="mrvae_mlp", repo_id=None, compare=None).comparison is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("dedicated"), "dedicated is missing"),
        (lambda data: data["mrvae"].pop("rate"), "mrvae.rate is missing"),
        (lambda data: data["dedicated"]["rate"].pop(), "dedicated should hold as many values"),
        (lambda data: data.update(betas="all"), "betas='all' should be a list"),
    ],
)
def test_a_wrong_comparison_is_named(comparison, change, message):
    data = json.loads(comparison.read_text(encoding="utf-8"))
    change(data)
    comparison.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        read_comparison(comparison)
    assert str(comparison) in str(error.value)


@pytest.fixture(scope="module")
def subject():
    return read_subject(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL, repo_id=None, compare=None)


@pytest.mark.parametrize("name", [*data_sets, "datasets:org/name:config", "datasets:/a/folder"])
def test_the_licence_is_that_which_the_data_allow(subject, name):
    recipe = replace(subject.recipe, data=replace(subject.recipe.data, name=name))
    one = replace(subject, data=data_facts(name), recipe=recipe)
    block, page = metadata(one), text(one, ())
    facts = data_sets[name].facts if name in data_sets else None
    if facts is None:
        assert "license" not in block
        assert ("datasets:\n- org/name\n" in block) == (name == "datasets:org/name:config")
        assert f"What licence `{name}` is under is not known" in page
    elif facts.non_commercial:
        assert f"license: other\nlicense_name: {name}-non-commercial\nlicense_link: {facts.url}" in block
        assert "and so are these weights" in page
        assert "Apache" not in page
    else:
        assert "license: apache-2.0" in block
        assert "The weights are under Apache-2.0." in page
        assert (facts.licence or "no licence that their authors state") in page
    assert page.count("@") == (2 if facts is not None and facts.citation is not None else 1)


def test_data_that_it_was_trained_and_measured_on_may_differ(subject):
    curve = replace(subject.curve, data={"name": "binarized_mnist", "split": "test", "examples": 5})
    other = replace(subject, curve=curve, measured_on=data_facts("binarized_mnist"))
    page, block = text(other, ()), metadata(other)
    assert "trained once on MNIST, and" in page
    assert "On the 5 images of the test split of MNIST as binarised by Larochelle, with" in page
    assert "| bits per dimension |" in page
    assert "datasets:\n- ylecun/mnist\n" in block
    assert "type: binarized_mnist\n" in block
    grey = replace(subject, curve=replace(curve, data={"name": "mnist", "split": "test"}))
    assert "bits per dimension" not in text(grey, ())  # a cross-entropy of grey values is no probability of theirs


def test_every_data_set_of_the_zoo_has_its_facts():
    for name in data_sets:
        assert data_sets[name].facts is not None, name


def test_a_recipe_cannot_break_out_of_its_block(subject):
    page = text(replace(subject, recipe_text="# ```\n# # heading\n", name="a|b*c_d"), ())
    assert "````toml\n# ```\n# # heading\n````" in page
    assert page.startswith("# a\\|b\\*c_d\n")


def test_what_has_no_card_is_an_error_that_says_why(tmp_path, own_data):
    folder = folder_of(tmp_path / "run", COLOUR)
    with pytest.raises(ValueError, match="images of mine; pass --data-root"):
        make_card(folder, name="run")
    (tmp_path / "run" / "recipe.toml").rename(tmp_path / "recipe.toml")
    page = make_card(folder, name="run", data_root=own_data).files["README.md"].decode()
    assert "In a training loop of its author's own" in page
    other = recipe_from_table(BARS_RECIPE, where="test")
    write_recipe(folder, other)
    with pytest.raises(ValueError, match="describes another model than config.json"):
        make_card(folder, name="run", data_root=own_data)
    (tmp_path / "run" / "rd_curve.json").unlink()
    with pytest.raises(ValueError, match="rd_curve.json is missing; a card shows the measured curve"):
        make_card(folder, name="run", data_root=own_data)
    with pytest.raises(CheckpointError, match="no such folder"):
        make_card(tmp_path / "none", name="none")
    folder_of(tmp_path / "bare", COLOUR, data={"images": 3})
    with pytest.raises(ValueError, match="does not say what the curve was measured on"):
        make_card(tmp_path / "bare", name="bare", data_root=own_data)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"mrvae-zoo\[plots\]"):
        make_card(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL)


def test_a_source_is_a_string_whatever_the_folder_is_called(own_data, tmp_path):
    folder = folder_of(tmp_path / 'a "run"', COLOUR)
    page = make_card(folder, name='a "run"', data_root=own_data).files["README.md"].decode()
    compile(python_of(page)[0], "snippet", "exec")
