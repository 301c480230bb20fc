"""`mrvae verify`: every model of a registry, one line each. `test_commands.py` verifies a real one."""

import json
import sys

import pytest
from helpers import DEFAULT_MODEL

import mrvae_zoo
from mrvae_zoo.checkpoints import registry
from mrvae_zoo.cli import run
from mrvae_zoo.data.recipe import DataRecipe

pytestmark = pytest.mark.slow


@pytest.fixture
def shelf(tmp_path, bars, monkeypatch):
    """A registry of two small models with their measured curves, and one that is not trained."""
    data = mrvae_zoo.load_data(DataRecipe(name="binarized_mnist"), "test", bars, (1, 8, 8))
    for name in ("mrvae_linear.a", "mrvae_linear.b", "mrvae_linear.new"):
        folder = tmp_path / "registry" / name
        if name != "mrvae_linear.new":
            model = mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 8, 8), latent_dim=2)
            model.curve = mrvae_zoo.rate_distortion(model, data, [0.1, 1.0])
            mrvae_zoo.save_pretrained(model, folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.toml").write_text('[data]\nname = "binarized_mnist"\n', encoding="utf-8")
    for module in (registry, sys.modules["mrvae_zoo.checkpoints.index"], sys.modules["mrvae_zoo.checkpoints.pins"]):
        monkeypatch.setattr(module, "root", lambda: tmp_path)
    return tmp_path / "registry"


def edit(path, change):
    plain = json.loads(path.read_text(encoding="utf-8"))
    change(plain)
    path.write_text(json.dumps(plain), encoding="utf-8")


def shift(curve):
    curve["points"][1]["distortion"] *= 1.02


def test_every_model_with_weights_is_one_line(shelf, bars, capsys):
    assert run(["verify", "--all", "--data-root", str(bars), "--device", "cpu"]) == 0
    told = capsys.readouterr()
    assert told.out == "".join(f"mrvae_linear.{one}  verified, off by 0.000% at most\n" for one in "ab")
    assert told.err == "verified 2 models\n"


def test_one_that_fails_gives_status_1_and_the_others_are_checked(shelf, bars, capsys):
    edit(shelf / "mrvae_linear.a" / "rd_curve.json", shift)
    assert run(["verify", "--all", "--data-root", str(bars), "--device", "cpu"]) == 1
    told = capsys.readouterr()
    first, second = told.out.splitlines()
    assert first.startswith("mrvae_linear.a  failed: does not have its published curve: off by 1.9")
    assert first.endswith("at β=1")
    assert second.startswith("mrvae_linear.b  verified")
    assert told.err == "mrvae: 1 of 2 models failed: mrvae_linear.a\n"


def test_a_checksum_a_damaged_file_and_data_that_are_missing_fail_too(shelf, bars, tmp_path, capsys):
    edit(shelf / "mrvae_linear.a" / "config.json", lambda config: config["weights"].update(sha256="0" * 64))
    (shelf / "mrvae_linear.b" / "rd_curve.json").write_text("{", encoding="utf-8")
    assert run(["verify", "--all", "--data-root", str(bars), "--json", "--device", "cpu"]) == 1
    results = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in results] == ["mrvae_linear.a", "mrvae_linear.b"]
    assert not any(one["verified"] for one in results)
    assert "checksum" in results[0]["fault"]
    assert "rd_curve.json is not JSON" in results[1]["fault"]
    (tmp_path / "empty").mkdir()
    assert run(["verify", "--all", "--data-root", str(tmp_path / "empty")]) == 1
    assert capsys.readouterr().out.count("  failed: ") == 2


def test_json_has_the_points_of_every_model(shelf, bars, capsys):
    assert run(["verify", "--all", "--data-root", str(bars), "--json", "--device", "cpu"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["verified"], one["fault"], one["off_by"]) for one in results] == [
        (f"mrvae_linear.{one}", True, None, 0.0) for one in "ab"
    ]
    assert [point["beta"] for point in results[0]["points"]] == [0.1, 1.0]


def test_a_data_set_that_is_not_known_is_left_out(shelf, bars, capsys):
    edit(shelf / "mrvae_linear.a" / "rd_curve.json", lambda curve: curve["data"].update(name="mine"))
    assert run(["verify", "--all", "--data-root", str(bars), "--device", "cpu"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == ["mrvae_linear.b  verified, off by 0.000% at most"]
    assert told.err.splitlines() == ["mrvae_linear.a: left out, its data set is not known", "verified 1 model"]
    edit(shelf / "mrvae_linear.b" / "rd_curve.json", lambda curve: curve["data"].update(name="mine"))
    assert run(["verify", "--all", "--data-root", str(bars)]) == 1
    assert "no model of the registry has weights here and a known data set" in capsys.readouterr().err


def test_a_name_or_all(capsys):
    for arguments, message in (
        ([], "give NAME, or --all. See: mrvae verify --help"),
        ([DEFAULT_MODEL, "--all"], "give NAME or --all, and not both. See: mrvae verify --help"),
    ):
        assert run(["verify", *arguments, "--data-root", "."]) == 2
        assert capsys.readouterr().err == f"mrvae: {message}\n"
