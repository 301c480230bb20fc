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
from helpers import BARS_RECIPE, DEFAULT_MODEL, RECORD, python_of
from huggingface_hub import ModelCard
from matplotlib.figure import Figure
from PIL import Image

import mrvae_zoo
from mrvae_zoo import CheckpointError, MissingExtraError, RDCurve, RDPoint
from mrvae_zoo.cards.card import make_card
from mrvae_zoo.cards.metadata import metadata
from mrvae_zoo.cards.subject import Comparison, read_comparison, read_subject
from mrvae_zoo.cards.tables import comparison_table
from mrvae_zoo.cards.text import text
from mrvae_zoo.checkpoints.folder import save_curve
from mrvae_zoo.checkpoints.registry import model_folder
from mrvae_zoo.comparison.record import SeedGap
from mrvae_zoo.data.sets import data_facts, data_sets
from mrvae_zoo.training.recipe import ObjectiveRecipe, recipe_from_table
from mrvae_zoo.training.run_folder import write_recipe
from mrvae_zoo.training.train import train

pytestmark = pytest.mark.slow

COLOUR = {"architecture": "mrvae_conv", "input_shape": [3, 16, 12], "latent_dim": 4, "widths": [4]}
SPATIAL = {"architecture": "mrvae_resnet_spatial", "input_shape": [3, "any", "any"], "latent_dim": 4}
SPATIAL |= {"width": 4, "depth": 1, "bottleneck": 4}
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


@pytest.fixture(scope="module")
def subject():
    return read_subject(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL, repo_id=None, compare=None)


@pytest.mark.long
def test_a_gaussian_of_colour_images_of_ones_own(own_data, write_card, run_code, tmp_path):
    folder = folder_of(tmp_path / "colours", COLOUR | GAUSSIAN)
    card = make_card(folder, name="colours", data_root=own_data, page="card")
    page = card.files["README.md"].decode()
    # D + R = 12 nats and the constant of the Gaussian, (576/2) log 2πσ², over 576 values
    bits = (12 + 288 * np.log(2 * np.pi * 0.0625)) / (576 * np.log(2))
    assert "| 1 | 8.00 | 4.00 | 12.00 | 3 | 20.00 |" in page
    assert "| β | R | D | L | active latents of 4 | PSNR (dB) |" in page
    assert (
        f"L bounds −log p(x): {bits:.4f} bits per dimension (a density of the values as the model takes them)" in page
    )
    assert "σ = 0.25" in page
    assert "| gates | `shrinkage` of 3 strengths |" in page
    assert "Bernoulli" not in page
    assert "The model is not optimal at β = 0.5, where another β gives a lower rate and a lower distortion." in page
    assert "β = 1 beside β = 0.5: rate 8.00 instead of 9.00, distortion 4.00 instead of 5.00." in page
    assert "at β = 2, 1 of 4 are active" in page
    assert "How long that took, and on which hardware, was not recorded" in page
    assert 'load_pretrained("colours")' in page
    assert str(tmp_path) not in page
    write_card(card, tmp_path / "card")
    assert run_code(page, tmp_path)[-1] == "(2, 4) (2, 3, 16, 12) (8, 3, 16, 12)"
    assert (tmp_path / "reconstructed.png").is_file()
    block = page.split("---\n")[1]
    assert "license" not in block
    assert "datasets" not in block
    assert "No licence is given for these weights yet: the licence of the data, `mine`, is not known here." in page
    assert "add a line such as `license: apache-2.0` to the metadata at the top of this file" in page
    assert (np.asarray(image_of(card, "example_1.png")) == np.asarray(Image.open(own_data / "mine/test/0.png"))).all()
    with Image.open(own_data / "mine" / "test" / "0.png") as first, image_of(card, "reconstructions.png") as drawn:
        scale = -(-56 // 12)
        left = drawn.width - 16 - 3 * (12 * scale + 4) + 4
        tile = np.asarray(drawn.crop((left, 16, left + 12 * scale, 16 + 16 * scale)))
        assert (tile[::scale, ::scale] == np.asarray(first)).all()


def image_of(card, name):
    return Image.open(BytesIO(card.files[name]))


@pytest.mark.long
def test_a_spatial_model(own_data, write_card, run_code, tmp_path):
    points = [replace(point, psnr=None) for point in POINTS]
    card = make_card(folder_of(tmp_path / "big", SPATIAL, points=tuple(points)), name="big", data_root=own_data)
    page = card.files["README.md"].decode()
    assert "bits per dimension" not in page
    assert "PSNR" not in page
    assert "3 channels, any size" in page
    assert "- Images of other sizes than those that it was trained on." in page
    write_card(card, tmp_path)
    assert run_code(page, tmp_path)[-1] == "(2, 4, 2, 2) (2, 3, 16, 12) (8, 3, 64, 64)"


def test_a_folded_model(own_data, write_card, run_code, tmp_path):
    folder = folder_of(tmp_path / "plain", COLOUR, points=POINTS[1:2], beta=1.0)
    card = make_card(folder, name="plain", data_root=own_data)
    page = card.files["README.md"].decode()
    assert "A plain VAE for β = 1: a [Multi-Rate VAE]" in page
    assert "beta_for" not in page
    write_card(card, tmp_path)
    assert run_code(page, tmp_path)[-1] == "(2, 4) (2, 3, 16, 12) (8, 3, 16, 12)"


def test_a_model_of_one_beta_and_one_that_is_told_log_beta(subject):
    page = text(replace(subject, recipe=replace(subject.recipe, objective=ObjectiveRecipe(beta=0.1))), ())
    assert "A VAE that was trained on MNIST at β = 0.1 alone, to be compared with" in page
    assert "    beta = 0.1\n" in page
    assert "which is an error" not in page
    told = replace(subject.record, model=replace(subject.record.model, gating="concat"))
    page = text(replace(subject, record=told), ())
    assert "one network that receives log β as an input, that you can call with any β" in page


@pytest.mark.long
def test_values_without_a_range_are_drawn_too(own_data, write_card, run_code, tmp_path):
    folder = folder_of(tmp_path / "free", COLOUR | GAUSSIAN | {"data_range": None})
    (folder / "recipe.toml").unlink()  # TOML has no word for None
    card = make_card(folder, name="free", data_root=own_data)
    write_card(card, tmp_path)
    assert run_code(card.files["README.md"].decode(), tmp_path)[-1].startswith("(2, 4)")


@pytest.mark.long
def test_images_that_cannot_be_drawn_leave_the_curve(run_code, tmp_path):
    folder = folder_of(tmp_path / "two", COLOUR | {"input_shape": [2, 8, 8]})
    card = make_card(folder, name="two")
    assert set(card.files) == {"README.md", "rd_curve.png"}
    assert run_code(card.files["README.md"].decode(), tmp_path)[-1] == "(2, 4) (2, 2, 8, 8) (8, 2, 8, 8)"
    assert not list(tmp_path.glob("*.png"))
    assert re.findall(r"!\[.*?\]\((.*?)\)", card.files["README.md"].decode()) == ["rd_curve.png"]


def test_the_card_of_a_run_says_how_it_was_trained(mrvae, bars, tmp_path):
    table = BARS_RECIPE | {"training": BARS_RECIPE["training"] | {"max_steps": 3}}
    train(recipe_from_table(table, where="test"), bars, tmp_path / "run")
    done = mrvae("card", "local-dir:run", "-o", "card", "--data-root", bars, "--repo", "org/bars")
    assert done.returncode == 0, done.stderr
    files = "README.md, rd_curve.png, reconstructions.png, samples.png, example_1.png, example_2.png"
    assert done.stderr.splitlines()[-1] == f"wrote card: {files}"
    page = (tmp_path / "card" / "README.md").read_text(encoding="utf-8")
    assert page.split("---\n")[2].startswith("\n# Multi-Rate VAE trained on MNIST as binarised by Larochelle\n")
    record = mrvae_zoo.training.recipe.read_recipe(tmp_path / "run" / "recipe.toml").trained
    assert f"on {record.hardware}, on {record.date}, with version {record.version} of the package" in page
    assert "12 epochs (3 steps at most) in batches of 32" in page
    assert 'load_pretrained("hf-hub:org/bars")' in page
    assert 'hf_hub_download("org/bars", file)' in page
    before = {path: path.read_bytes() for path in (tmp_path / "card").iterdir()}
    assert mrvae("card", "local-dir:run", "-o", "card", "--data-root", bars).returncode == 1
    done = mrvae("card", "local-dir:run", "-o", "card", "--data-root", bars, "--repo", "org/bars", "--force")
    assert done.returncode == 0
    assert {path: path.read_bytes() for path in (tmp_path / "card").iterdir()} == before


def test_the_page_of_a_run_works_where_the_command_was_run(mrvae, own_data, run_code, tmp_path):
    folder_of(tmp_path / "runs" / "RUN", COLOUR)
    assert mrvae("card", "runs/RUN", "-o", "page", "--data-root", own_data).returncode == 0
    page = (tmp_path / "page" / "README.md").read_text(encoding="utf-8")
    assert "\n# Multi-Rate VAE trained on mine\n" in page
    assert "Run the code below in the folder that holds `RUN`." in page
    assert str(tmp_path) not in page
    assert run_code(page, tmp_path / "runs")[-1] == "(2, 4) (2, 3, 16, 12) (8, 3, 16, 12)"
    assert "`mrvae verify RUN --data-root DIR`" in page


def test_a_folder_that_is_called_like_a_model_is_the_folder(own_data, tmp_path):
    folder = folder_of(tmp_path / DEFAULT_MODEL, COLOUR)
    page = make_card(folder, name=DEFAULT_MODEL, data_root=own_data).files["README.md"].decode()
    assert f'load_pretrained("local-dir:{DEFAULT_MODEL}")' in page


@pytest.mark.parametrize(
    ("commit", "said"),
    [
        (None, "of the package.\n"),
        ("a" * 40, f"of the package (commit `{'a' * 40}`).\n"),
        ("a" * 40 + "-dirty", "of the package (a working copy with uncommitted changes).\n"),
    ],
)
def test_a_commit_is_named_where_it_can_be_trusted(subject, commit, said):
    trained = replace(subject.recipe.trained, commit=commit)
    assert said in text(replace(subject, recipe=replace(subject.recipe, trained=trained)), ())


@pytest.mark.parametrize(
    ("init", "base"),
    [("hf-hub:org/name", "org/name"), ("hf-hub:org/name@v1", "org/name"), ("local-dir:RUN", None), (None, None)],
)
def test_the_model_that_a_training_began_with_is_named(subject, init, base):
    trained = replace(subject.recipe.trained, init=init, init_sha256=None if init is None else "0" * 64)
    other = replace(subject, recipe=replace(subject.recipe, trained=trained))
    assert ModelCard(metadata(other)).data.get("base_model") == base
    page = text(other, ())
    assert (f"It began with the weights of `{init}`" in page) == (init is not None)
    assert ("--init" in page) == (init is not None)


def test_a_curve_that_rises_is_not_said_to_fall(subject):
    points = (RDPoint(beta=0.01, rate=1.0, distortion=90.0), RDPoint(beta=10.0, rate=9.0, distortion=50.0))
    page = text(replace(subject, curve=replace(subject.curve, points=points)), ())
    assert "the rate is 1.00 nats per image at β = 0.01 and 9.00 at β = 10." in page
    assert "down to" not in page


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
    assert "How far the model is" not in page
    for unknown in ("budget", "The regime", "There was", "There were", "learning rates", "draws of z, hence"):
        assert unknown not in page.partition("### Beside")[2].partition("## Pictures")[0]
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
    assert comparison.seed == (None if seed == 7 else seed)


@pytest.mark.parametrize(
    ("tuned_at", "said"),
    [
        (RECORD.betas, "The learning rates of the β-VAEs were chosen at every β.\n"),
        (RECORD.betas[:1], "were chosen at 1 values of β and interpolated in between, so the gaps there flatter"),
        (None, "were chosen at the two ends of the β range and interpolated in between, so the gaps there flatter"),
    ],
)
def test_a_page_says_where_learning_rates_were_chosen(tmp_path, tuned_at, said):
    record = replace(RECORD, dedicated=replace(RECORD.dedicated, tuned_at=tuned_at), budget=3.0, budgets=None)
    (tmp_path / "compare.json").write_text(record.to_json(), encoding="utf-8")
    page = make_card(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL, compare=tmp_path / "compare.json")
    beside = page.files["README.md"].decode().partition("### Beside dedicated β-VAEs")[2]
    assert said in beside
    assert beside.count("The learning rates of the β-VAEs") == 1


def test_a_page_says_how_the_comparison_was_made(tmp_path):
    (tmp_path / "compare.json").write_text(replace(RECORD, budget=3.0, budgets=None).to_json(), encoding="utf-8")
    card = make_card(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL, compare=tmp_path / "compare.json")
    page = card.files["README.md"].decode()
    beside = page.partition("### Beside dedicated β-VAEs")[2].partition("## Pictures")[0]
    assert "trained with 3 times the compute of one β-VAE run (budget 3)." in beside
    assert "The regime is converged: twice the epochs would improve the β-VAEs by less than 0.5%." in beside
    assert "There were 2 seeds" in beside
    assert "L of this model is that of its own seed, 0" in beside
    assert "chosen at the two ends of the β range and interpolated in between" in beside
    assert "L was measured with 2 draws of z, hence small differences from the table above." in beside
    assert "one seed" not in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"budget": 1.0}, "with the compute of one β-VAE run (budget 1)"),
        ({"regime": "short"}, "The regime is short: neither side was trained until it stopped improving."),
        ({"regime": "not converged"}, "The regime was meant to be converged, and is not"),
        ({"seeds": 1, "gaps": None}, "There was one seed on either side."),
        ({"seed": None}, "There were 2 seeds, and figures are means over them"),
    ],
)
def test_other_comparisons_are_told_as_they_were(subject, change, said):
    one = Comparison(
        dedicated=POINTS,
        losses=(9.0, 12.0, 32.0),
        gaps=((0.1, 0.2),) * 3,
        seeds=2,
        seed=0,
        budget=2.0,
        regime="converged",
        draws=4,
    )
    assert said in text(replace(subject, comparison=replace(one, **change)), ())


def test_a_page_says_how_many_draws_were_taken_and_what_others_would_change(tmp_path):
    folder = Path(shutil.copytree(model_folder(DEFAULT_MODEL), tmp_path / "model"))
    curve = RDCurve.read(folder / "rd_curve.json")
    points = [replace(p, samples=i + 2, standard_error=p.loss * 1e-4) for i, p in enumerate(curve.points)]
    save_curve(folder, replace(curve, points=tuple(points), samples=14))
    page = make_card(folder, name=DEFAULT_MODEL).files["README.md"].decode()
    assert "with 2 to 14 draws of z per image." in page
    assert "Other draws of z would change L by at most 0.010% (one standard error)." in page
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


@pytest.mark.parametrize("name", [*data_sets, "datasets:org/name:config", "datasets:/a/folder"])
def test_the_licence_is_that_which_the_data_allow(subject, name):
    recipe = replace(subject.recipe, data=replace(subject.recipe.data, name=name))
    one = replace(subject, data=data_facts(name), recipe=recipe)
    block, page = metadata(one), text(one, ())
    facts = data_sets[name].facts if name in data_sets else None
    if facts is None:
        assert "license" not in block
        assert ("datasets:\n- org/name\n" in block) == (name == "datasets:org/name:config")
        assert (
            f"No licence is given for these weights yet: the licence of the data, `{name}`, is not known here." in page
        )
    elif facts.non_commercial:
        assert f"license: other\nlicense_name: {name}-non-commercial\nlicense_link: {facts.url}" in block
        assert "and so are these weights" in page
        assert "Apache" not in page
    else:
        assert "license: apache-2.0" in block
        assert "The weights are under Apache-2.0." in page
        assert (facts.licence or "no licence that their authors state") in page
    assert len(re.findall(r"^@", page, re.MULTILINE)) == (2 if facts is not None and facts.citation is not None else 1)


def test_data_that_it_was_trained_and_measured_on_may_differ(subject):
    curve = replace(subject.curve, data={"name": "binarized_mnist", "split": "test", "examples": 5})
    other = replace(subject, curve=curve, measured_on=data_facts("binarized_mnist"))
    page, block = text(other, ()), metadata(other)
    assert "trained once on MNIST: one network" in page
    assert "on the test split of MNIST as binarised by Larochelle, the rate is" in page
    assert "On the 5 images of the test split of MNIST as binarised by Larochelle, with" in page
    assert "bits per dimension" in page
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
    assert "trained in a training loop of its author's own" in page
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


@pytest.mark.parametrize(("package", "extra"), [("matplotlib", "plots"), ("jinja2", "hub")])
def test_without_a_package_the_extra_is_named(monkeypatch, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package} is not installed; .*mrvae-zoo\[{extra}\]"):
        make_card(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL)


def test_a_source_is_a_string_whatever_the_folder_is_called(own_data, tmp_path):
    folder = folder_of(tmp_path / 'a "run"', COLOUR)
    page = make_card(folder, name='a "run"', data_root=own_data).files["README.md"].decode()
    compile(python_of(page)[0], "snippet", "exec")
