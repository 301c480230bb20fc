import shlex
import tomllib

import numpy as np
import pytest
from PIL import Image

from mrvae_zoo.training.init_recipe import look_at, seconds_of_step, write_recipe
from mrvae_zoo.training.recipe import recipe_from_table

RNG = np.random.default_rng(0)
TIMED = seconds_of_step


def draw(folder, sizes, *, colour=False, binary=False):
    """Noise, smooth enough to stay binary or grey when it is resized."""
    folder.mkdir(parents=True)
    for i, (height, width) in enumerate(sizes):
        coarse = RNG.integers(0, 256, (4, 4, 3) if colour else (4, 4), dtype=np.uint8)
        coarse = np.where(coarse > 127, 255, 0).astype(np.uint8) if binary else coarse
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)
        image.save(folder / f"{i}.png")
    return folder


def lines(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def recipe(text):
    return recipe_from_table(tomllib.loads(text), where="test")


@pytest.fixture(autouse=True)
def no_timing(monkeypatch):
    """A step takes two seconds, without trying."""
    monkeypatch.setattr("mrvae_zoo.training.init_recipe.seconds_of_step", lambda _: 2.0)


def test_it_is_a_few_lines_below_the_command_and_the_reasons(tmp_path):
    written = write_recipe(draw(tmp_path / "photos", [(40, 90)] * 60, colour=True), "photos.toml")
    assert written.text.splitlines()[0] == f"# {written.command}"
    assert written.command == f"mrvae train photos.toml --data-root {tmp_path} -o RUN"
    made = recipe(written.text)
    assert (made.model.architecture, made.data.name) == ("mrvae_resnet", "photos")
    assert made.model.sigma**2 == pytest.approx(0.5)
    test = written.seen.counts["test"]
    held_out = (60 - test) // 10
    assert made.data.held_out == held_out
    assert (made.training.patience, made.training.validate_every) == (8, 20)
    assert written.reasons == {
        "images": f"{60 - test - held_out} to train on, {held_out} to validate on, {test} to test on",
        "input_shape [3, 32, 32]": "the images are 90×40, in colour; they are resized to this, because larger ones "
        "take longer to train",
        "likelihood gaussian": "the pixels are of many shades",
        "epochs 1000": "1,000 steps, or fewer: it stops after 8 validations without a lower loss, and keeps the best "
        "weights",
        "time": "at most about 33 minutes on this machine (cpu), and then the curve",
    }
    assert len(lines(written.text)) == 8
    for choice, why in written.reasons.items():
        assert f"# {choice}: {why}" in written.text.splitlines()


def test_few_images_are_not_held_out_and_a_folder_of_their_own_is_used(tmp_path):
    few = write_recipe(draw(tmp_path / "few", [(16, 16)] * 9), "r.toml")
    assert recipe(few.text).data.held_out == recipe(few.text).training.patience == 0
    assert few.reasons["images"] == "8 to train on, none to validate on (fewer than 20 images), 1 to test on"
    assert "stops" not in few.reasons["epochs 1000"]
    for part, number in (("train", 30), ("val", 5), ("test", 4)):
        draw(tmp_path / "split" / part, [(16, 16)] * number)
    split = write_recipe(tmp_path / "split", "r.toml")
    assert split.reasons["images"] == "30 to train on, 5 to validate on, 4 to test on"
    assert recipe(split.text).data.held_out == 0
    assert recipe(split.text).training.patience == 8


@pytest.mark.parametrize(("shape", "likelihood"), [((28, 28), "bernoulli"), ((20, 24, 3), "gaussian")])
def test_a_folder_of_npz_files(tmp_path, shape, likelihood):
    (tmp_path / "mine").mkdir()
    for split, n in (("train", 50), ("test", 7)):
        images = RNG.integers(0, 256, (n, *shape), dtype=np.uint8)
        images = images // 128 * 255 if likelihood == "bernoulli" else images
        np.savez(tmp_path / "mine" / f"{split}.npz", images=images)
    written = write_recipe(tmp_path / "mine", "r.toml")
    made = recipe(written.text)
    assert made.model.input_shape == (shape[2] if len(shape) == 3 else 1, *shape[:2])
    assert made.model.likelihood == likelihood
    assert written.reasons["images"] == "45 to train on, 5 to validate on, 7 to test on"
    (tmp_path / "mine" / "test.npz").unlink()
    with pytest.raises(FileNotFoundError, match="test.npz is missing"):
        write_recipe(tmp_path / "mine", "r.toml")


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)], (28, 28)),
        ([(20, 64)], (20, 64)),
        ([(64, 65)], (64, 64)),
        ([(7, 9)], (16, 16)),
        ([(300, 400), (200, 100), (250, 250)], (64, 64)),
        ([(40, 60), (45, 33), (34, 300)], (32, 32)),
        ([(20, 20), (30, 30), (70, 70)], (16, 16)),
        ([(5, 5), (6, 6)], (16, 16)),
    ],
)
def test_the_size_is_that_of_the_images_or_a_square(tmp_path, sizes, expected):
    assert look_at(draw(tmp_path / "set", sizes * 4)).shape[1:] == expected


def test_colour_and_likelihood_are_those_of_the_images(tmp_path):
    kinds = {"grey": {}, "binary": {"binary": True}, "colour": {"colour": True}}
    made = {}
    for name, options in kinds.items():
        made[name] = recipe(write_recipe(draw(tmp_path / name, [(32, 32)] * 8, **options), "r.toml").text).model
    assert [(one.input_shape[0], one.likelihood) for one in made.values()] == [
        (1, "gaussian"),
        (1, "bernoulli"),
        (3, "gaussian"),
    ]
    Image.open(tmp_path / "grey" / "0.png").convert("RGB").save(tmp_path / "grey" / "0.jpg")  # grey, in three channels
    assert look_at(tmp_path / "grey").shape[0] == 1
    Image.new("RGB", (32, 32), (200, 100, 100)).save(tmp_path / "grey" / "1.jpg")
    assert look_at(tmp_path / "grey").shape[0] == 3


def test_real_digits_are_nearly_binary(digits):
    seen = look_at(digits[0].parent)
    assert (seen.likelihood, seen.shape, sum(seen.counts.values())) == ("bernoulli", (1, 28, 28), 10)


@pytest.mark.parametrize(("images", "epochs"), [(10, 1000), (2000, 740), (50_000, 28), (200_000, 10)])
def test_the_epochs_are_about_ten_thousand_steps(tmp_path, monkeypatch, images, epochs):
    folder = draw(tmp_path / "set", [(8, 8)] * 2)
    paths = [folder / "0.png", *[folder / "1.png"] * images]
    monkeypatch.setattr(
        "mrvae_zoo.training.init_recipe.split_folder", lambda _: {"train": paths[1:], "test": paths[:1]}
    )
    assert look_at(folder).epochs == pytest.approx(epochs, rel=0.1)


def test_some_images_of_many_are_looked_at_and_damaged_ones_passed_over(tmp_path, monkeypatch):
    folder = draw(tmp_path / "set", [(8, 8)] * 20)
    monkeypatch.setattr("mrvae_zoo.training.init_recipe.LOOKED_AT", 5)
    assert len(look_at(folder).sizes) == 5
    for path in folder.iterdir():
        if path.stem != "7":
            path.write_bytes(b"no image")
    monkeypatch.setattr("mrvae_zoo.training.init_recipe.LOOKED_AT", 20)
    seen = look_at(folder)
    assert seen.sizes == ((8, 8),)
    assert sorted(seen.unreadable) == sorted(f"{i}.png" for i in range(20) if i != 7)
    assert write_recipe(folder, "r.toml").reasons["left out"].startswith("19 cannot be read: ")
    (folder / "7.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="none of 20 images can be read; .*png is not an image"):
        look_at(folder)


@pytest.mark.parametrize("name", ["two words", "Übung", "a\\b", 'a"b', "$HOME"])
def test_any_name_that_can_be_typed_is_quoted(tmp_path, name):
    parent = tmp_path / f"in {name}"
    text = write_recipe(draw(parent / name, [(8, 8)] * 3), f"{name}.toml").text
    assert recipe(text).data.name == name
    assert shlex.split(text.splitlines()[0])[1:] == [
        "mrvae",
        "train",
        f"{name}.toml",
        "--data-root",
        str(parent),
        "-o",
        "RUN",
    ]


def test_a_name_that_would_not_mean_the_folder(tmp_path):
    for name, message in (("MNIST", "would mean the data set mnist; rename"), ("a\nb", "cannot be the name of a data")):
        with pytest.raises(ValueError, match=message):
            write_recipe(draw(tmp_path / name, [(8, 8)] * 3), "r.toml")


def test_the_folder_that_one_is_in(tmp_path, monkeypatch):
    monkeypatch.chdir(draw(tmp_path / "photos", [(8, 8)] * 3))
    text = write_recipe(type(tmp_path)("."), "photos.toml").text
    assert recipe(text).data.name == "photos"
    assert f"--data-root {tmp_path} " in text
    monkeypatch.chdir(tmp_path)
    assert "--data-root . " in write_recipe(type(tmp_path)("photos"), "photos.toml").text


def test_a_step_is_timed_and_leaves_no_trace():
    import torch

    made = recipe_from_table(
        {
            "model": {"architecture": "mrvae_mlp", "input_shape": [1, 8, 8], "widths": [8]},
            "data": {"name": "x"},
            "training": {"epochs": 1, "batch_size": 32},
        },
        where="test",
    )
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert 0 < TIMED(made) < 60
    assert torch.equal(torch.rand(1), expected)
