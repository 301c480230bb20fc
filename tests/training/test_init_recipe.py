import shlex
import tomllib

import numpy as np
import pytest
from PIL import Image

from mrvae_zoo.training.init_recipe import look_at, write_recipe
from mrvae_zoo.training.recipe import recipe_from_table

RNG = np.random.default_rng(0)


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


def test_it_is_five_lines_below_the_command_to_run(tmp_path):
    text = write_recipe(draw(tmp_path / "photos", [(40, 50)] * 30, colour=True), "photos.toml")
    assert len(lines(text)) == 5
    assert text.splitlines()[0] == f"# mrvae train photos.toml --data-root {tmp_path} -o RUN"
    assert "colour, 50×40" in text.splitlines()[2]
    made = recipe(text)
    assert (made.model.architecture, made.data.name) == ("mrvae_resnet", "photos")
    assert made.model.sigma**2 == pytest.approx(0.5)


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
        made[name] = recipe(write_recipe(draw(tmp_path / name, [(32, 32)] * 8, **options), "r.toml")).model
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
    assert (seen.likelihood, seen.shape, seen.train + seen.test) == ("bernoulli", (1, 28, 28), 10)


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
    assert look_at(folder).sizes == ((8, 8),)
    (folder / "7.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="none of 20 images can be read; .*png is not an image"):
        look_at(folder)


@pytest.mark.parametrize("name", ["two words", "Übung", "a\\b", 'a"b', "$HOME"])
def test_any_name_that_can_be_typed_is_quoted(tmp_path, name):
    parent = tmp_path / f"in {name}"
    text = write_recipe(draw(parent / name, [(8, 8)] * 3), f"{name}.toml")
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
    text = write_recipe(type(tmp_path)("."), "photos.toml")
    assert recipe(text).data.name == "photos"
    assert f"--data-root {tmp_path} " in text
    monkeypatch.chdir(tmp_path)
    assert "--data-root . " in write_recipe(type(tmp_path)("photos"), "photos.toml")
