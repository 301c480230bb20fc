"""`mrvae sweep` as a user runs it, on a small set of the tests' own, and wrong input."""

import json
import re

import numpy as np
import pytest
import torch
from helpers import failed, ok
from PIL import Image

import mrvae_zoo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a model, and with sets whose class is a place: of light rows, or of light columns."""
    folder = tmp_path_factory.mktemp("sweep")
    torch.manual_seed(0)
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 8, 8), latent_dim=4, widths=(16,)).eval()
    mrvae_zoo.save_pretrained(model, folder / "model")
    rng = np.random.default_rng(0)
    for name, axis in (("rows", 1), ("columns", 2)):
        (folder / "data" / name).mkdir(parents=True)
        for split in ("train", "test"):
            labels = np.arange(160) % 4
            images = np.moveaxis(np.zeros((160, 8, 8), np.uint8), axis, 1).copy()
            images[np.arange(160), 2 * labels] = 200
            images = np.moveaxis(images, 1, axis) + rng.integers(0, 20, (160, 8, 8)).astype(np.uint8)
            np.savez(folder / "data" / name / f"{split}.npz", images=images, labels=labels)
    (folder / "data" / "plain").mkdir()
    for split in ("train", "test"):
        np.savez(folder / "data" / "plain" / f"{split}.npz", images=images)
    (folder / "odd").mkdir()
    for i in range(40):
        Image.fromarray(np.full((8, 8), 250 - i, np.uint8)).save(folder / "odd" / f"{i}.png")
    return folder


COMMON = ("sweep", "model", "--data-root", "data", "--data", "rows", "--betas", 3)


def test_a_table_a_plot_and_the_beta_to_take(mrvae, home):
    done = ok(mrvae(*COMMON, "--metric", "linear_probe", "--metric", "rate", "-o", "sweep.png", cwd=home))
    header, *rows, first, second = done.stdout.splitlines()
    assert header.split() == ["beta", "rate", "linear_probe"]  # the metric takes the place of the plain rate
    assert [row.split()[0] for row in rows] == ["0.01", "0.3162", "10"]
    assert all(re.search(r"\d\.\d+ \[\d\.\d+, \d\.\d+\]", row) for row in rows)
    assert re.match(r"linear_probe: best .*β = [\d.]+: [\d.]+ \[[\d.]+, [\d.]+\] at [\d.e-]+ nats", first)
    assert second.startswith("rate: best")
    assert "160 images of rows test; each metric with its 95% interval over images:" in done.stderr
    assert (home / "sweep.png").read_bytes().startswith(b"\x89PNG")
    failed(mrvae(*COMMON, "--metric", "rate", "-o", "sweep.png", cwd=home), "sweep.png exists; pass --force")
    (home / "sweep.png").unlink()


def test_json_is_what_python_gives(mrvae, home):
    done = ok(mrvae(*COMMON, "--metric", "knn", "--seed", 3, "--json", cwd=home))
    model = mrvae_zoo.load_pretrained(f"local-dir:{home / 'model'}")
    data = mrvae_zoo.load_data("rows", "test", home / "data", model.input_shape)
    labels = mrvae_zoo.load_labels(data, home / "data")
    found = mrvae_zoo.sweep(model, data, "knn", betas=3, labels=labels, seed=3)
    printed = json.loads(done.stdout)
    assert printed["metrics"] == json.loads(found.to_json())["metrics"]
    assert printed["metrics"][0]["recommended"] == found.recommended().beta


def test_outliers_are_a_set_a_folder_or_a_class(mrvae, home):
    values = {}
    for given in (("--outliers", "columns"), ("--outliers", "odd"), ("--held-out-class", "2")):
        done = ok(mrvae(*COMMON, "--metric", "anomaly", *given, "--json", cwd=home))
        printed = json.loads(done.stdout)
        values[given[1]] = printed["metrics"][0]["points"][0]["value"]
        assert printed["data"]["examples"] == (120 if given[1] == "2" else 160)
    assert values["odd"] > 0.7  # light throughout, beside images that are mostly dark
    assert len(set(values.values())) == 3


def test_labels_come_from_a_csv(mrvae, home):
    rows = "\n".join(f"{i},{'ab'[i % 2]}" for i in range(160))
    (home / "labels.csv").write_text(f"row,label\n{rows}\n", encoding="utf-8")
    command = ("sweep", "model", "--data-root", "data", "--data", "plain", "--betas", 2, "--metric", "knn")
    ok(mrvae(*command, "--labels", "labels.csv", cwd=home))
    failed(mrvae(*command, cwd=home), "plain has no labels; give them in a CSV file (--labels)")
    failed(mrvae(*command, "--labels", "none.csv", cwd=home), "none.csv: no such file")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--metric", "knm"), "unknown metric 'knm'; did you mean knn?"),
        (("--metric", "knn", "--betas", 1), "--betas 1: should be at least 2. See: mrvae sweep --help"),
        (("--metric", "anomaly"), "the metric anomaly needs outliers: other examples (--outliers)"),
        (("--metric", "mig"), "the metric mig needs known factors; measure it on the sprites instead of rows"),
        (("--metric", "rate", "-o", "x.xyz"), "x.xyz should end in .png, .pdf, .svg"),
        (("--metric", "rate", "-o", "no/x.png"), "no: no such folder; make it first"),
        (("--metric", "anomaly", "--outliers", "nowhere"), "unknown data set 'nowhere'"),
        (("--metric", "anomaly", "--outliers", "odd", "--held-out-class", "1"), "give --outliers or --held-out-class"),
        (("--metric", "anomaly", "--held-out-class", "9"), "there is no class '9'; known: 0, 1, 2, 3"),
        ((), "Missing option '--metric'. See: mrvae sweep --help"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(mrvae, home, arguments, message):
    before = sorted(home.iterdir())
    done = mrvae(*COMMON, *arguments, cwd=home)
    failed(done, message)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert sorted(home.iterdir()) == before
