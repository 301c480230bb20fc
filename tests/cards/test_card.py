"""Cards, and that the one in git is what the command makes."""

import math
from io import BytesIO

import numpy as np
import pytest
from helpers import CHECKOUT, DEFAULT_MODEL, python_of, run_snippets
from huggingface_hub import ModelCard
from huggingface_hub.repocard import metadata_load
from markdown_it import MarkdownIt
from PIL import Image

from mrvae_zoo.cards.card import make_card
from mrvae_zoo.checkpoints.registry import list_models, model_folder

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


def test_the_snippets_run_as_written(readme, digits, tmp_path):
    assert len(python_of(readme)) == 2
    assert run_snippets(readme, tmp_path, digits) == "(2, 32) (2, 1, 28, 28) (16, 1, 28, 28)"


def test_the_metadata_is_what_the_hub_reads(readme, default_model, tmp_path):
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    loaded = ModelCard.load(tmp_path / "README.md")
    data = loaded.data
    assert (data.library_name, data.license, data.pipeline_tag) == (
        "mrvae_zoo",
        "apache-2.0",
        "image-feature-extraction",
    )
    assert data.datasets == ["ylecun/mnist"]
    assert {"vae", "multi-rate-vae", "beta-vae", "rate-distortion", "pytorch", "mnist", "mrvae_mlp"} == set(data.tags)
    assert data.model_name == DEFAULT_MODEL
    assert {(one.dataset_name, one.dataset_split, one.verified) for one in data.eval_results} == {
        ("MNIST", "test", False)
    }
    found = {(one.metric_type, one.metric_args["beta"]): one.metric_value for one in data.eval_results}
    assert len(found) == len(data.eval_results) == 3 * len(default_model.curve.points)
    for point in default_model.curve.points:
        for metric in ("rate", "distortion", "loss"):
            assert found[metric, point.beta] == pytest.approx(getattr(point, metric), abs=1e-4)
    assert loaded.content == readme  # nothing is lost, nor put in another order, by reading and writing
    assert metadata_load(tmp_path / "README.md") == data.to_dict()


def test_the_markdown_shows_its_images_and_tables(card, readme, default_model):
    body = readme.split("\n---\n", 1)[1]
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    inline = [child for token in tokens if token.type == "inline" for child in token.children]
    shown = [child.attrs["src"] for child in inline if child.type == "image"]
    assert shown == ["rd_curve.png", "reconstructions.png", "samples.png"]
    assert {"README.md", *shown} == set(card.files)
    assert all(child.content for child in inline if child.type == "image")  # what is read out instead
    cells = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "td_open"]
    for point in default_model.curve.points:
        start = cells.index(f"{point.rate:.2f}")
        assert cells[start - 1] == f"{point.beta:g}"
        assert cells[start + 1 : start + 3] == [f"{point.distortion:.2f}", f"{point.loss:.2f}"]
        assert cells[start + 3] == str(point.samples)
        assert cells[start + 4] == (f"{point.loss / (784 * math.log(2)):.4f}" if point.beta == 1 else "")
        assert cells[start + 5] == str(point.active_units)
    assert "nan" not in cells
    recipe = (model_folder(DEFAULT_MODEL) / "recipe.toml").read_text(encoding="utf-8")
    assert [token.content for token in tokens if token.type == "fence" and token.info == "toml"] == [recipe]
    headings = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings == [
        DEFAULT_MODEL,
        "Use",
        "What it is for, and what it is not",
        "What was measured",
        "Reconstructions",
        "Samples",
        "How it was trained",
        "Limits",
        "Licence and citation",
    ]


def test_the_repository_is_where_the_card_loads_from(card, readme):
    other = make_card(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL, repo_id="org/name")
    assert 'load_pretrained("hf-hub:org/name")' in python_of(other.files.pop("README.md").decode())[0]
    assert f'load_pretrained("{DEFAULT_MODEL}")' in python_of(readme)[0]
    assert other.files == {name: content for name, content in card.files.items() if name != "README.md"}


def test_the_data_change_nothing_of_the_card_of_an_mnist_model(card, data_root):
    assert make_card(model_folder(DEFAULT_MODEL), name=DEFAULT_MODEL, data_root=data_root) == card
