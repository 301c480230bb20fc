"""What `mrvae train` leaves in RUN, and that every command takes RUN by its path."""

import json
import shutil

import pytest
from helpers import DEFAULT_MODEL, FINISHED, RECIPE, failed, ok
from PIL import Image

import mrvae_zoo
from mrvae_zoo.training.recipe import recipe_from_table, to_toml

pytestmark = pytest.mark.slow

OVERFITS = (
    *("--set", "training.epochs=60", "--set", "training.learning_rate=0.3", "--set", "training.ema=0"),
    *("--set", "training.validate_every=5", "--set", "training.patience=4"),
)


@pytest.fixture
def recipe(tmp_path):
    """The file of a small recipe."""
    (tmp_path / "r.toml").write_text(to_toml(recipe_from_table(RECIPE, where="test")), encoding="utf-8")
    return "r.toml"


@pytest.fixture
def pics(tmp_path):
    """Grey images in sub-folders, two of one name, one damaged."""
    for number, name in enumerate(("a/x.png", "b/x.png", "b/y.png", "b/broken.png")):
        (tmp_path / "pics" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 60 * number).save(tmp_path / "pics" / name)
    (tmp_path / "pics" / "b" / "broken.png").write_bytes(b"no image")
    return "pics"


def test_a_training_that_overfits_stops_keeps_the_best_and_is_used_by_its_path(mrvae, own_root, recipe, pics, tmp_path):
    done = ok(mrvae("train", recipe, "--data-root", own_root, "-o", "RUN", *OVERFITS))
    told = done.stderr
    assert "L in nats per image on the validation split, at β = 0.01, 0.3162, 10:" in told
    assert "the loss on the validation split has not fallen for 4 validations" in told
    steps = [json.loads(line) for line in (tmp_path / "RUN" / "metrics.jsonl").read_text().splitlines()]
    best = steps[-1]["step"] - 4 * 5
    assert f"kept the weights of step {best}, where the loss on the validation split is lowest" in told
    assert told.splitlines()[-2:] == [
        "wrote RUN",
        "use it with: mrvae reconstruct RUN IMAGES -o grid.png, or mrvae_zoo.load_pretrained('RUN')",
    ]
    assert sorted(path.name for path in (tmp_path / "RUN").iterdir()) == FINISHED
    with Image.open(tmp_path / "RUN" / "reconstructions.png") as picture:
        assert picture.height > 8 * 56

    assert mrvae_zoo.load_pretrained(tmp_path / "RUN").name == f"local-dir:{tmp_path / 'RUN'}"
    assert mrvae_zoo.load_pretrained(str(tmp_path / "RUN")).name == str(tmp_path / "RUN")
    ok(mrvae("info", "RUN"))
    ok(mrvae("curve", "RUN/", "--against", DEFAULT_MODEL))
    ok(mrvae("sample", "./RUN", "-n", 2, "-o", "s.png"))
    done = ok(mrvae("reconstruct", "RUN", pics, "--beta", 1, "-o", "g.png"))
    assert "1 of 4 images cannot be read: pics/b/broken.png" in done.stderr
    ok(mrvae("encode", "RUN", pics, "--beta", 1, "-o", "l.safetensors"))
    ok(mrvae("decode", "l.safetensors", "-o", "out"))
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png"))
    assert found == ["a/x.png", "b/x.png", "b/y.png"]
    ok(mrvae("decode", "l.safetensors", "-o", "out", "--force"))
    ok(mrvae("export", "RUN", "--format", "pt2", "-o", "m.pt2"))
    ok(mrvae("verify", "RUN", "--data-root", own_root))
    ok(mrvae("card", "RUN", "-o", "card", "--data-root", own_root))
    assert "\n# Multi-Rate VAE trained on mine\n" in (tmp_path / "card" / "README.md").read_text(encoding="utf-8")
    ok(mrvae("train", "RUN", "--data-root", own_root, "-o", "again", "--init", "RUN", "--set", "training.epochs=1"))

    (tmp_path / "nothing").mkdir()
    failed(mrvae("encode", "nothing", pics, "--beta", 1, "-o", "n"), "'nothing' is a folder without a model")
    failed(mrvae("push", "nothing", "org/x"), "nothing/config.json is missing")  # said before a token is asked for
    failed(mrvae("encode", "no/where", pics, "--beta", 1, "-o", "n"), "for a folder write local-dir:path, for the Hub")
    shutil.move(tmp_path / "RUN", tmp_path / DEFAULT_MODEL)
    assert json.loads(ok(mrvae("info", DEFAULT_MODEL, "--json")).stdout)["config"]["input_shape"] == [1, 28, 28]


def test_the_curve_of_a_training_that_was_too_short_says_so(mrvae, own_root, recipe, monkeypatch):
    done = ok(mrvae("train", recipe, "--data-root", own_root, "-o", "RUN", "--set", "training.max_steps=1"))
    curve = mrvae_zoo.RDCurve.from_json(ok(mrvae("curve", "RUN", "--json")).stdout)
    assert not curve.is_monotone
    assert "the curve is not monotone in β, as it would be at the optimum: train longer" in done.stderr


def test_without_validation_the_loss_is_told_at_three_beta_too(mrvae, own_root, recipe, tmp_path):
    done = ok(mrvae("train", recipe, "--data-root", own_root, "-o", "RUN", "--set", "training.epochs=5", "--json"))
    assert "L in nats per image on some training images, at β = 0.01, 0.3162, 10:" in done.stderr
    lines = [json.loads(line) for line in (tmp_path / "RUN" / "metrics.jsonl").read_text().splitlines()]
    assert set(lines[-1]["losses"]) == {"0.01", "0.3162", "10"}
    assert json.loads(done.stdout)["data"]["name"] == "mine"


def test_every_report_is_also_json(mrvae, own_root, digits):
    encoded = json.loads(ok(mrvae("encode", DEFAULT_MODEL, *digits, "--rate", 20, "-o", "l", "--json")).stdout)
    assert (encoded["images"], encoded["output"]) == (10, "l")
    curve = mrvae_zoo.load_pretrained(DEFAULT_MODEL).require_curve()
    assert encoded["beta"] == pytest.approx(curve.beta_for(rate=20.0))
    decoded = json.loads(ok(mrvae("decode", "l", "-o", "out", "--json")).stdout)
    assert decoded["images"] == [f"{n}.png" for n in range(10)]
    sampled = json.loads(ok(mrvae("sample", DEFAULT_MODEL, "-n", 3, "-o", "s.png", "--json")).stdout)
    assert sampled == {"output": "s.png", "images": 3, "beta": 1.0, "seed": 0, "sampler": "mixture"}
    made = json.loads(ok(mrvae("export", DEFAULT_MODEL, "--format", "pt2", "-o", "m.pt2", "--json")).stdout)
    assert made["bytes"] > 1e6
    seen = json.loads(ok(mrvae("init-recipe", digits[0].parent, "-o", "r.toml", "--json")).stdout)
    assert (seen["input_shape"], seen["likelihood"]) == ([1, 28, 28], "bernoulli")
    page = json.loads(ok(mrvae("card", DEFAULT_MODEL, "-o", "card", "--json")).stdout)
    assert "README.md" in page["files"]


def test_a_rate_is_said_to_be_that_of_the_test_set(mrvae, digits):
    done = ok(mrvae("encode", DEFAULT_MODEL, *digits, "--rate", 20, "-o", "l"))
    first, second = done.stderr.splitlines()
    assert first.endswith("where the mean rate over mnist test is 20 nats; other images have other rates")
    assert second.endswith(" nats each on average")
