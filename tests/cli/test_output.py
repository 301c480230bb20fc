"""Where commands write, in which format, and where they point to."""

import pytest
from helpers import DEFAULT_MODEL, failed, ok
from PIL import Image

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("suffix", "kind"), [("png", "PNG"), ("JPG", "JPEG"), ("webp", "WEBP")])
def test_the_suffix_is_the_format_of_an_image(mrvae, digits, tmp_path, suffix, kind):
    ok(mrvae("sample", DEFAULT_MODEL, "-n", 2, "-o", f"s.{suffix}"))
    ok(mrvae("reconstruct", DEFAULT_MODEL, digits[0], "--beta", 1, "-o", f"r.{suffix}"))
    for name in ("s", "r"):
        with Image.open(tmp_path / f"{name}.{suffix}") as image:
            assert image.format == kind


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_suffix_is_the_format_of_a_plot(mrvae, tmp_path, suffix, start):
    plots = []
    for name in ("one", "two"):
        ok(mrvae("curve", DEFAULT_MODEL, "-o", f"{name}.{suffix}"))
        plots.append((tmp_path / f"{name}.{suffix}").read_bytes())
    assert plots[0].startswith(start)
    assert plots[0] == plots[1]


@pytest.mark.parametrize("name", ["sam", "sam.", "sam.txt", "sam.onnx"])
def test_what_is_no_format_is_an_error(mrvae, digits, tmp_path, name):
    for command in (("sample", DEFAULT_MODEL), ("reconstruct", DEFAULT_MODEL, digits[0]), ("curve", DEFAULT_MODEL)):
        failed(mrvae(*command, "-o", name), f"{name} should end in .png, ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_pointed_to(mrvae, tmp_path):
    (tmp_path / "pics").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "pics" / "a.png")
    failed(mrvae("info", "pics"), "'pics' is a folder without a model: it holds neither config.json nor recipe.toml")
    failed(
        mrvae("train", "pics", "--data-root", ".", "-o", "run"),
        "write a recipe for its images first: mrvae init-recipe pics",
    )


def test_a_training_that_was_cut_off_is_pointed_to(mrvae, own_root, tmp_path):
    (tmp_path / "run" / "states").mkdir(parents=True)
    (tmp_path / "run" / "states" / "origin.json").touch()
    arguments = ("train", DEFAULT_MODEL, "--data-root", own_root, "-o", "run")
    message = "run holds a training that is not finished; continue it with --resume, or replace it with --force"
    failed(mrvae(*arguments), message)


def test_help_has_groups_a_short_form_and_what_the_shell_would_eat(mrvae):
    text = ok(mrvae("-h")).stdout
    assert text == ok(mrvae("--help")).stdout
    for group in ("Use a model", "Measure", "Train", "Share"):
        assert f"\n{group}:\n" in text
    assert "hf-hub:ORG/NAME[@REVISION]" in ok(mrvae("encode", "-h")).stdout


def test_wrong_usage_points_to_the_help_of_the_command(mrvae):
    failed(mrvae("encode"), "Missing argument 'NAME'. See: mrvae encode --help")
    failed(mrvae("traim"), "Did you mean 'train'? See: mrvae --help")


def test_an_empty_list_says_so_and_suggestions_know_beginnings(mrvae):
    done = ok(mrvae("list", "mlp"))
    assert (done.stdout, done.stderr) == ("", "no model of the registry matches 'mlp'; try '*mlp*'\n")
    assert ok(mrvae("list", "foo")).stderr == "no model of the registry matches 'foo'\n"
    failed(mrvae("info", "mrvae_mlp"), "did you mean mrvae_mlp.binarized_mnist or mrvae_mlp.mnist?")
