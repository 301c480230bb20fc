"""The test images that come with the package are those of the data sets."""

import importlib.util

import pytest
from helpers import CHECKOUT

from mrvae_zoo.data.sets import data_sets, load_data
from mrvae_zoo.page.sheets import COUNT, SHEETS, evenly, read_sheet

NAMES = sorted(path.stem for path in SHEETS.glob("*.png"))


@pytest.fixture(scope="module")
def script():
    """The script that makes the sheets."""
    spec = importlib.util.spec_from_file_location("page_images", CHECKOUT / "benchmarks" / "page_images.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_are_a_dozen_each_and_small():
    assert sum(path.stat().st_size for path in SHEETS.iterdir()) < 500_000
    assert set(NAMES) <= set(data_sets)
    for name in NAMES:
        sheet = read_sheet(name)
        assert len(sheet.images) == len(set(sheet.titles)) == len(sheet.labels) == len(sheet.attributions) == COUNT
        assert sheet.images.unique(dim=0).shape == sheet.images.shape
    assert read_sheet("kmnist") is None


def test_classes_with_names_are_all_there():
    assert set(read_sheet("mnist").labels) == set("0123456789")
    assert len(set(read_sheet("cifar10").labels)) == 10
    assert read_sheet("sprites").labels == (None,) * COUNT


def test_every_photograph_says_where_it_is_from():
    assert all("CC BY-SA 4.0" in each for each in read_sheet("cid22").attributions)


def test_things_that_lie_evenly():
    assert evenly(3) == [0, 1, 2]
    assert evenly(24) == list(range(0, 24, 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_they_are_the_images_of_the_test_split(name, script, data_root):
    sheet = read_sheet(name)
    indices = [int(title.split()[1]) for title in sheet.titles]
    picture, record = script.make(name, data_root)
    assert (SHEETS / f"{name}.json").read_text(encoding="utf-8") == record, "run: python benchmarks/page_images.py"
    assert (SHEETS / f"{name}.png").read_bytes() == picture or read_again(picture, name)
    if name != "cid22":
        images = load_data(name, "test", data_root, script.SHAPES[name]).images
        assert all((images[index] == image).all() for index, image in zip(indices, sheet.images, strict=True))


def read_again(picture, name):
    """Whether the pixels are the same: Pillow may compress them in another way."""
    import io

    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as made, Image.open(SHEETS / f"{name}.png") as kept:
        return np.array_equal(np.array(made), np.array(kept))
