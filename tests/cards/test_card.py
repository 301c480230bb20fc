"""Cards, and that the one in git is what the command makes."""

import math
import re
from io import BytesIO

import numpy as np
import pytest
from helpers import CHECKOUT, DEFAULT_MODEL, python_of
from huggingface_hub import ModelCard
from huggingface_hub.repocard import metadata_load
from markdown_it import MarkdownIt
from PIL import Image

from mrvae_zoo.cards.card import make_card
from mrvae_zoo.checkpoints.registry import list_models, model_folder
from mrvae_zoo.common.grids import GAP, MARGIN
from mrvae_zoo.hub.client import LIBRARY

pytestmark = pytest.mark.slow

OTHERS = [name for name in list_models(pretrained=True) if name != DEFAULT_MODEL]


@pytest.fixture(scope="module")
def card():
    return make_card(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL)


@pytest.fixture(scope="module")
def readme(card):
    return card.files["README.md"].decode()


def pixels(content):
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"), dtype=float)


def check_committed(name, card):
    folder = CHECKOUT / "cards" / name
    remedy = f"make it again: python -m mrvae_zoo card {name} -o cards/{name} --force (--data-root for other images)"
    assert sorted(path.name for path in folder.iterdir()) == sorted(card.files), remedy
    for file, content in card.files.items():
        committed = (folder / file).read_bytes()
        if file.endswith(".md"):
            assert committed.decode() == content.decode(), remedy
            continue
        ours, theirs = pixels(content), pixels(committed)
        assert ours.shape == theirs.shape
        # Letters may differ from one Pillow or matplotlib to the next, images and lines not.
        assert np.abs(ours - theirs).mean() < 0.5, f"{file}: {remedy}"


def test_the_card_in_git_is_what_the_command_makes(card):
    check_committed(DEFAULT_MODEL, card)


@pytest.mark.parametrize("name", OTHERS)
def test_so_is_that_of_every_model_of_the_registry(name, data_root):
    check_committed(name, make_card(model_folder(name), name=name, data_root=data_root))


def test_the_code_runs_as_pasted_in_the_root_of_a_checkout(readme, card, write_card, run_code, tmp_path):
    """With the files of the page as the only images: nothing is downloaded, and nothing else is read."""
    write_card(card, tmp_path / "cards" / DEFAULT_MODEL)
    rates = run_code(readme, tmp_path)
    assert rates.pop() == "(2, 32) (2, 1, 28, 28) (8, 1, 28, 28)"
    assert [line.split(":")[0] for line in rates] == ["β = 0.01", "β = 0.1", "β = 1", "β = 10"]
    assert all(line.endswith(" nats per image") for line in rates)
    assert pixels((tmp_path / "reconstructed.png").read_bytes()).std() > 10
    assert pixels((tmp_path / "new.png").read_bytes()).std() > 10


def test_the_examples_are_the_first_images_that_are_reconstructed(card):
    drawn = pixels(card.files["reconstructions.png"])
    top, scale = MARGIN, 2  # of the grid, which enlarges images below 56 pixels
    left = drawn.shape[1] - MARGIN - 10 * (scale * 28 + GAP) + GAP
    for i, name in enumerate(("example_1.png", "example_2.png")):
        start = left + i * (scale * 28 + GAP)
        tile = drawn[top : top + scale * 28 : scale, start : start + scale * 28 : scale]
        assert (pixels(card.files[name]) == tile).all()


def test_the_metadata_is_what_the_hub_reads(readme, default_model, tmp_path):
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    loaded = ModelCard.load(tmp_path / "README.md")
    data = loaded.data
    assert (data.library_name, data.license, data.pipeline_tag) == (
        "mrvae-zoo",
        "apache-2.0",
        "image-feature-extraction",
    )
    assert data.datasets == ["ylecun/mnist"]
    assert data.thumbnail == "rd_curve.png"
    assert data.get("base_model") is None
    known = {"vae", "multi-rate-vae", "beta-vae", "rate-distortion", "pytorch", "mnist", "mrvae_mlp"}
    assert known | {"mrvae_zoo", "arxiv:2212.03905"} == set(data.tags)
    assert LIBRARY in data.tags, "the tag that `mrvae list --hub` searches for"
    assert data.model_name == DEFAULT_MODEL
    assert {(one.dataset_name, one.dataset_split, one.metric_type) for one in data.eval_results} == {
        ("MNIST", "test", "loss")
    }
    found = {one.metric_args["beta"]: one.metric_value for one in data.eval_results}
    assert found == {
        beta: pytest.approx(default_model.curve.at(beta).loss, abs=1e-4) for beta in (0.01, 0.1, 1.0, 10.0)
    }
    assert all("nats per image" in one.metric_name for one in data.eval_results)
    assert "verified" not in readme
    assert loaded.content == readme  # nothing is lost, nor put in another order, by reading and writing
    assert metadata_load(tmp_path / "README.md") == data.to_dict()


def test_the_markdown_shows_its_images_and_tables(card, readme, default_model):
    body = readme.split("\n---\n", 1)[1]
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    inline = [child for token in tokens if token.type == "inline" for child in token.children]
    shown = [child.attrs["src"] for child in inline if child.type == "image"]
    assert shown == ["rd_curve.png", "reconstructions.png", "samples.png"]
    assert {"README.md", "example_1.png", "example_2.png", *shown} == set(card.files)
    assert all(child.content for child in inline if child.type == "image")  # what is read out instead
    cells = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "td_open"]
    for point in default_model.curve.points:
        start = cells.index(f"{point.rate:.2f}")
        assert cells[start - 1] == f"{point.beta:g}"
        assert cells[start + 1 : start + 3] == [f"{point.distortion:.2f}", f"{point.loss:.2f}"]
        assert cells[start + 3] == str(point.samples)
        assert cells[start + 4] == str(point.active_units)
    assert not {"", "nan"} & set(cells)
    bits = default_model.curve.at(1.0).loss / (784 * math.log(2))
    assert f"At β = 1, L bounds −log p(x): {bits:.4f} bits per dimension." in body
    recipe = (model_folder(DEFAULT_MODEL) / "recipe.toml").read_text(encoding="utf-8")
    assert [token.content for token in tokens if token.type == "fence" and token.info == "toml"] == [recipe]
    folded = [i for i, token in enumerate(tokens) if token.type == "html_block"]
    (toml,) = (i for i, token in enumerate(tokens) if token.info == "toml")
    assert [tokens[i].content.split()[0] for i in folded] == ["<details>", "</details>"]
    assert folded[0] < toml < folded[1]


def test_the_sections_have_an_order_and_the_first_is_two_sentences_and_the_curve(readme):
    tokens = MarkdownIt("commonmark").enable("table").parse(readme.split("\n---\n", 1)[1])
    headings = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings == [
        DEFAULT_MODEL,
        "Install and use",
        "What it is for",
        "Measured",
        "Pictures",
        "Training",
        "Limits",
        "Licence and citation",
    ]
    first, plot = [token.content for token in tokens if token.type == "inline"][1:3]
    assert len(re.findall(r"\.(?:\s|$)", first)) == 2
    assert plot.endswith("(rd_curve.png)")
    assert "log β" not in readme, "the gates of `shrinkage` are no functions of log β"
    bold = re.findall(r"^\*\*(.*)\*\*$", readme, re.MULTILINE)
    assert bold == ["Intended use", "Possible, but not evaluated", "Not suitable"]


@pytest.mark.parametrize("name", list_models(pretrained=True))
def test_a_page_in_git_is_plain_and_complete(name):
    page = (CHECKOUT / "cards" / name / "README.md").read_text(encoding="utf-8")
    own = re.sub(r"```toml.*?```", "", page, flags=re.DOTALL)
    for word in ("an image)", "nats an ", "down to", "one seed beside", str(CHECKOUT), "None", "-dirty"):
        assert word not in own, word
    assert "pip install mrvae-zoo\n" in own
    assert "https://arxiv.org/abs/2212.03905" in own
    rows = [line.strip("|").split("|") for line in own.splitlines() if line.startswith("|") and "---" not in line]
    assert all(cell.strip() for row in rows if len(row) > 2 for cell in row), "no empty cell, and so no empty column"
    if "### Beside dedicated β-VAEs" in own:
        beside = own.partition("### Beside dedicated β-VAEs")[2].partition("## Pictures")[0]
        assert re.search(r"\d+ times the compute of one β-VAE run \(budget \d\)", beside)
        assert "The regime is short" in beside
        assert "The learning rates of the β-VAEs were chosen at" in beside
        assert beside.count("32 draws of z") == 1
        assert ("There were 3 seeds" in beside) != ("There was one seed on either side" in beside)
        assert ("gap over 3 seeds" in beside) == ("There were 3 seeds" in beside)
        assert not ("3 seeds" in beside and "one seed" in own)
    else:
        assert "How far the model is, at each β, from a β-VAE trained for that β has not been measured." in own


BESIDE = sorted((CHECKOUT / "benchmarks" / "results").glob("beside_*.md"))


@pytest.mark.parametrize("path", BESIDE, ids=lambda path: path.stem)
def test_a_page_shows_what_the_checkout_says_beside_it(path):
    page = (CHECKOUT / "cards" / path.stem.removeprefix("beside_") / "README.md").read_text(encoding="utf-8")
    assert f"### Beside something known\n\n{path.read_text(encoding='utf-8').strip()}\n" in page


def test_the_repository_is_where_the_card_loads_from(card, readme):
    other = make_card(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL, repo_id="org/name")
    (code,) = python_of(other.files.pop("README.md").decode())
    assert 'load_pretrained("hf-hub:org/name")' in code
    assert 'hf_hub_download("org/name", file) for file in ["example_1.png", "example_2.png"]' in code
    (code,) = python_of(readme)
    assert f'load_pretrained("{DEFAULT_MODEL}")' in code
    assert "hf_hub_download" not in code
    assert other.files == {name: content for name, content in card.files.items() if name != "README.md"}


def test_the_data_change_nothing_of_the_card_of_an_mnist_model(card, data_root):
    assert make_card(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL, data_root=data_root) == card
