"""Training images at other places: exact pixels, the same for every split of a batch, and never outside a training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import BARS_RECIPE
from PIL import Image

from mrvae_zoo.common.noise import Noise, Purpose
from mrvae_zoo.common.table import Table
from mrvae_zoo.data.data_set import DataSet
from mrvae_zoo.data.encoded_images import StreamedImages
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.evaluation.published import measured_split
from mrvae_zoo.training.recipe import recipe_from_table
from mrvae_zoo.training.train import train

CASES = [{"shift": 2}, {"crop": 4}, {"shift": 3, "crop": 4}, {"crop": 7}]


def noise(count, first=0, step=5, seed=3):
    return Noise(torch.tensor(seed), torch.tensor(step), count, first)


def random_images(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def by_hand(image, words, shift, crop):
    """The same image with torch's own padding and slices, from four words of 32 bits."""
    _, height, width = image.shape
    crop_height, crop_width = (height, width) if crop is None else (crop, crop)
    down, right = ((word * (2 * shift + 1) >> 32) - shift for word in words[:2])
    top = words[2] * (height - crop_height + 1) >> 32
    left = words[3] * (width - crop_width + 1) >> 32
    padded = F.pad(image[None].float(), [shift] * 4, mode="replicate")[0].to(image.dtype)
    moved = padded[:, shift - down : shift - down + height, shift - right : shift - right + width]
    return moved[:, top : top + crop_height, left : left + crop_width]


@pytest.mark.parametrize("keys", CASES)
def test_pixels_are_those_of_torchs_padding_and_slices(keys):
    images = random_images(300, 3, 7, 9)
    data = ImageData(name="x", split="train", images=images, **keys)
    words = noise(300).words(Purpose.PLACE, 4).tolist()
    expected = [
        by_hand(image, four, keys.get("shift", 0), keys.get("crop")) for image, four in zip(images, words, strict=True)
    ]
    x = data.prepare(images, noise(300))
    assert torch.equal(x, torch.stack(expected).float() / 255)
    assert x.shape[1:] == data.shape
    assert not torch.equal(x, data.prepare(images, noise(300, step=6)))


def test_all_places_are_equally_likely():
    image = torch.arange(35, dtype=torch.uint8).view(1, 1, 5, 7).expand(70_000, 1, 5, 7)
    cut = ImageData(name="x", split="train", images=image, crop=3).prepare(image, noise(70_000))
    places, counts = cut[:, 0, 0, 0].unique(return_counts=True)
    assert (places * 255).round().tolist() == [row * 7 + column for row in range(3) for column in range(5)]
    assert (counts / 70_000 * 15 - 1).abs().max() < 0.06
    moved = ImageData(name="x", split="train", images=image, shift=1).prepare(image, noise(70_000))
    places, counts = moved[:, 0, 2, 3].unique(return_counts=True)
    assert (places * 255).round().tolist() == [row * 7 + column for row in (1, 2, 3) for column in (2, 3, 4)]
    assert (counts / 70_000 * 9 - 1).abs().max() < 0.06


@pytest.mark.parametrize("binarize", ["none", "dynamic"])
def test_a_part_of_a_batch_gets_its_part(binarize):
    images = random_images(12, 1, 6, 6)
    data = ImageData(name="x", split="train", images=images, binarize=binarize, flip=True, shift=2, crop=4)
    whole = data.prepare(images, noise(12))
    for first, count in ((0, 6), (6, 6), (3, 1)):
        part = slice(first, first + count)
        assert torch.equal(data.prepare(images[part], noise(count, first)), whole[part])


def test_pixels_are_binarised_where_they_end():
    grey = random_images(40, 1, 6, 6)
    keys = {"name": "x", "split": "train", "images": grey, "flip": True, "shift": 1, "crop": 4}
    plain = ImageData(**keys).prepare(grey, noise(40))
    drawn = noise(40).coarse_uniform(Purpose.BINARIZE, 1, 4, 4)
    x = ImageData(**keys, binarize="dynamic").prepare(grey, noise(40))
    assert torch.equal(x, (drawn < plain).float())


def test_without_the_keys_nothing_is_drawn(monkeypatch):
    images = random_images(4, 1, 5, 5)
    monkeypatch.setattr("mrvae_zoo.data.sets.move_and_crop", None)
    x = ImageData(name="x", split="train", images=images).prepare(images, noise(4))
    assert torch.equal(x, images / 255)


def test_compiled_and_vectorised_it_is_the_same():
    images = random_images(6, 2, 8, 9)
    data = ImageData(name="x", split="train", images=images, flip=True, shift=2, crop=5)

    def prepare(seed, step):
        return data.prepare(images, Noise(seed, step, 6, torch.tensor(0)))

    seeds, step = torch.tensor([3, 4]), torch.tensor(5)
    each = torch.stack([data.prepare(images, noise(6, seed=seed)) for seed in (3, 4)])
    assert torch.equal(torch.func.vmap(prepare, in_dims=(0, None))(seeds, step), each)
    traced = torch.compile(prepare, backend="aot_eager", fullgraph=True, dynamic=False)
    assert torch.equal(traced(seeds[0], step), each[0])


def use(monkeypatch, images):
    one = DataSet(name="one", load=lambda *_: images, valid=True)
    monkeypatch.setattr("mrvae_zoo.data.sets.data_sets", Table("data set", [one]))


@pytest.mark.parametrize("binarize", ["none", "static"])
def test_a_model_of_one_size_is_measured_on_the_square_in_the_middle(tmp_path, monkeypatch, binarize):
    images = 255 * random_images(9, 1, 7, 10).div(128, rounding_mode="floor")
    use(monkeypatch, images)
    recipe = DataRecipe(name="one", crop=4, shift=1, flip=True, binarize=binarize)
    for split in ("train", "valid", "test"):
        data = load_data(recipe, split, tmp_path, (1, 4, 4))
        assert (data.flip, data.shift, data.crop) == ((True, 1, 4) if split == "train" else (False, 0, 4))
        assert data.shape == (1, 4, 4)
        assert data.describe()["crop"] == 4
        assert torch.equal(torch.cat(list(data.batches(4))), images[..., 1:5, 3:7] / 255)
    train = load_data(recipe, "train", tmp_path, (1, 4, 4))
    assert not torch.equal(train.prepare(images, noise(9)), train.prepare(images))


def test_a_model_of_any_size_is_measured_on_whole_images(tmp_path, monkeypatch):
    images = random_images(9, 3, 7, 10)
    use(monkeypatch, images)
    recipe = DataRecipe(name="one", crop=4, shift=1)
    for split in ("valid", "test"):
        data = load_data(recipe, split, tmp_path, (3, None, None))
        assert (data.shape, data.shift, "crop" in data.describe()) == ((3, 7, 10), 0, False)
        assert torch.equal(torch.cat(list(data.batches(4))), images / 255)
    train = load_data(recipe, "train", tmp_path, (3, None, None))
    assert train.prepare(images, noise(9)).shape == (9, 3, 4, 4)
    assert next(iter(train.batches(4))).shape == (4, 3, 4, 4)


@pytest.mark.parametrize("limit", [1 << 20, 0], ids=["in memory", "streamed"])
def test_a_folder_is_cropped_instead_of_resized(tmp_path, monkeypatch, limit):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", limit)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 9, 12, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        path = tmp_path / "own" / ("train" if number < 15 else "test") / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    whole = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    test = load_data(DataRecipe(name="own", crop=6), "test", tmp_path, (3, 6, 6))
    assert isinstance(test.images, StreamedImages) == (limit == 0)
    assert torch.equal(torch.cat(list(test.batches(2))), whole[15:, :, 1:7, 3:9] / 255)
    train = load_data(DataRecipe(name="own", crop=6), "train", tmp_path, (3, 6, 6))
    (read,) = train.read([torch.arange(15)])
    assert torch.equal(read, whole[:15])
    resized = load_data(DataRecipe(name="own", crop=6, size=(8, 8)), "train", tmp_path, (3, 6, 6))
    assert (tuple(resized.images.shape[-3:]), resized.shape) == ((3, 8, 8), (3, 6, 6))


@pytest.mark.parametrize(
    ("keys", "shape", "split", "message"),
    [
        ({"crop": 8}, (1, 8, 8), "train", "data.crop=8 should be at most 7, the shorter side of the images of one"),
        ({"crop": 8}, (1, 8, 8), "test", "data.crop=8 should be at most 7, the shorter side of the images of one"),
        ({"crop": 8}, (1, None, None), "train", "data.crop=8 should be at most 7, the shorter side"),
        ({"crop": 5}, (1, 7, 10), "train", r"data.crop=5, but this model takes \[7, 10\]; leave it out"),
        ({"shift": 7}, (1, 7, 10), "train", "data.shift=7 should be below 7, the shorter side of the images of one"),
        ({"shift": 9, "crop": 4}, (1, 4, 4), "train", "data.shift=9 should be below 7, the shorter side"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, monkeypatch, keys, shape, split, message):
    use(monkeypatch, random_images(9, 1, 7, 10))
    with pytest.raises(ValueError, match=message) as error:
        load_data(DataRecipe(name="one", **keys), split, tmp_path, shape)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("key", "value", "low"), [("shift", -1, 0), ("crop", 0, 1), ("crop", -3, 1)])
def test_values_that_mean_nothing(key, value, low):
    with pytest.raises(ValueError, match=f"{key}={value} should be at least {low}"):
        DataRecipe(name="one", **{key: value})


def test_a_model_of_any_size_tests_images_smaller_than_a_crop(tmp_path, monkeypatch):
    use(monkeypatch, random_images(9, 1, 7, 10))
    assert load_data(DataRecipe(name="one", crop=64), "test", tmp_path, (1, None, None)).shape == (1, 7, 10)


@pytest.fixture(scope="module")
def large_bars(tmp_path_factory):
    """Bars of 11×10 pixels as a set of one's own, "mine"."""
    root = tmp_path_factory.mktemp("large")
    (root / "mine").mkdir()
    rng = np.random.default_rng(2)
    for split, count in (("train", 64), ("test", 16)):
        images = rng.integers(0, 256, (count, 11, 10), dtype=np.uint8)
        np.savez(root / "mine" / f"{split}.npz", images=images)
    return root


@pytest.fixture
def recipe():
    table = {
        **BARS_RECIPE,
        "data": {"name": "mine", "crop": 8, "shift": 2, "flip": True, "binarize": "dynamic"},
        "training": {**BARS_RECIPE["training"], "epochs": 3, "batch_size": 16, "checkpoint_every": 4, "log_every": 1},
    }
    return recipe_from_table(table, where="test")


def weights(model):
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])


def test_a_resumed_training_ends_with_the_same_bits(large_bars, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.training.loop.LOG_SECONDS", 0)
    whole = train(recipe, large_bars, tmp_path / "whole")

    def interrupt(progress):
        if progress.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, large_bars, tmp_path / "cut", report=interrupt)
    assert [*(tmp_path / "cut" / "states").iterdir()]
    resumed = train(recipe, large_bars, tmp_path / "cut", resume=True)
    assert torch.equal(weights(resumed), weights(whole))
    assert whole.curve.data["crop"] == 8


def test_each_key_has_an_effect_on_the_weights(large_bars, recipe, tmp_path):
    found = [weights(train(recipe, large_bars, tmp_path / "both"))]
    for number, data in enumerate((replace(recipe.data, shift=0), replace(recipe.data, flip=False))):
        found.append(weights(train(replace(recipe, data=data), large_bars, tmp_path / str(number))))
    assert not any(torch.equal(found[0], other) for other in found[1:])


def test_the_split_of_a_curve_is_found_again(large_bars, recipe, tmp_path):
    model = train(recipe, large_bars, tmp_path / "run")
    split = measured_split(model, large_bars)
    assert (split.describe(), split.shape) == (model.curve.data, (1, 8, 8))
