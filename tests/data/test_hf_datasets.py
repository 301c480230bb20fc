import io
import logging
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from mrvae_zoo.data.hf_datasets import load_from_hub
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.errors import MissingExtraError

datasets = pytest.importorskip("datasets")
GREY = np.random.default_rng(0).integers(0, 256, (25, 6, 7), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a repository is made; nothing is cached beyond it, and there is no network."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    datasets.disable_progress_bars()
    return tmp_path / "org"


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def write(path, images, **columns):
    """A split as a table, in the form that repositories on the Hub have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {"label": list(range(len(images))), "img": images, **columns}
    features = {"label": datasets.Value("int64"), "img": datasets.Image()}
    features |= {name: datasets.Image() for name in columns}
    datasets.Dataset.from_dict(table, datasets.Features(features)).to_parquet(path)


def load(name, split, root, shape=(1, 6, 7), **options):
    return load_data(DataRecipe(name=f"datasets:{name}", **options), split, root, shape)


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_a_repository_of_tables(folder, tmp_path, held_out):
    write(folder / "name" / "data" / "train-00000-of-00001.parquet", list(map(png, GREY[:20])))
    write(folder / "name" / "data" / f"{held_out}-00000-of-00001.parquet", list(map(png, GREY[20:])))
    train = load("org/name", "train", tmp_path)
    assert torch.equal(train.images[:, 0], torch.from_numpy(GREY[:20]))
    some = load("org/name", "train", tmp_path, limit=3).images
    assert sum(any(torch.equal(one, each) for each in train.images) for one in some) == len(some) == 3
    test = load("org/name", "test", tmp_path)
    assert torch.equal(test.images[:, 0], torch.from_numpy(GREY[20:]))
    assert test.describe() == {"name": "datasets:org/name", "split": "test", "examples": 5}
    assert load("org/name", "test", tmp_path, shape=(3, 4, 4)).shape == (3, 4, 4)


def rows(images):
    """Which of GREY these are."""
    return [int((torch.from_numpy(GREY) == one).flatten(1).all(1).nonzero()) for one in images[:, 0]]


def test_a_tenth_of_the_rows_is_the_test_split_where_there_is_none(folder, tmp_path):
    write(folder / "name" / "train.parquet", list(map(png, GREY)))
    test, train = (rows(load("org/name", split, tmp_path).images) for split in ("test", "train"))
    assert (len(test), sorted(test + train)) == (3, list(range(25)))
    assert test not in ([0, 10, 20], [0, 1, 2], [22, 23, 24])


def test_classes_are_divided_alike(folder, tmp_path):
    for i, pixels in enumerate(GREY):
        path = folder / "name" / "train" / ("cat" if i < 10 else "dog") / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    test = rows(load("org/name", "test", tmp_path).images)
    assert sum(row < 10 for row in test) == 1
    data = load("org/name", "valid", tmp_path, held_out=11)
    assert data.stratified
    assert sum(row < 10 for row in rows(data.images)) in (4, 5)


def test_a_validation_split_beside_that_for_testing(folder, tmp_path):
    for number, split in enumerate(("train", "validation", "test")):
        write(folder / "name" / "data" / f"{split}-00000-of-00001.parquet", list(map(png, GREY[number * 5 :][:5])))
    assert rows(load("org/name", "valid", tmp_path).images) == [5, 6, 7, 8, 9]
    assert rows(load("org/name", "test", tmp_path).images) == [10, 11, 12, 13, 14]


def test_a_folder_of_images_with_an_image_that_is_damaged(folder, tmp_path, caplog):
    for i, pixels in enumerate(GREY):
        path = folder / "name" / "train" / "digits" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:60])
    with caplog.at_level(logging.WARNING):
        images = load("org/name", "train", tmp_path).images
    assert len(images) == 21
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("mrvae_zoo")]
    assert message.endswith("1 of 22 images cannot be read and are left out: image 21 of datasets:org/name")


def test_streamed_is_as_in_memory(folder, tmp_path, monkeypatch):
    write(folder / "name" / "train.parquet", list(map(png, GREY)))
    kept = load("org/name", "train", tmp_path)
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", 0)
    streamed = load("org/name", "train", tmp_path)
    assert torch.equal(torch.cat(list(streamed.batches(5))), torch.cat(list(kept.batches(5))))


def test_rows_have_a_place_in_the_cache_of_decoded_images(folder):
    for split, images in (("train", GREY[:20]), ("test", GREY[20:])):
        write(folder / "name" / f"{split}.parquet", list(map(png, images)))
    first, again, other = (load_from_hub("datasets:org/name", split) for split in ("train", "train", "test"))
    assert first.key((1, 4, 4)) == again.key((1, 4, 4)) != other.key((1, 4, 4))
    assert first.key((1, 4, 4)) is not None


def test_a_configuration_is_named_after_a_colon(folder, tmp_path):
    for i, name in enumerate(("one", "two")):
        write(folder / "name" / name / "train.parquet", list(map(png, GREY[10 * i : 10 * i + 10])))
    configs = "".join(f"\n- config_name: {name}\n  data_files: {name}/train.parquet" for name in ("one", "two"))
    (folder / "name" / "README.md").write_text(f"---\nconfigs:{configs}\n---\n", encoding="utf-8")
    (row,) = rows(load("org/name:two", "test", tmp_path).images)
    assert 10 <= row < 20
    with pytest.raises(FileNotFoundError, match="datasets:org/name cannot be loaded: .*one.*two"):
        load("org/name", "test", tmp_path)


def test_the_column_of_images(folder, tmp_path):
    images = [*map(png, GREY[:4]), None]
    write(folder / "several" / "train.parquet", images, mask=images)
    with pytest.raises(ValueError, match=r"several columns of images \(img, mask\), none named image"):
        load("org/several", "train", tmp_path)
    write(folder / "named" / "train.parquet", images[::-1], image=images)
    assert {*rows(load("org/named", "train", tmp_path).images)} < {0, 1, 2, 3}
    (folder / "none").mkdir()
    datasets.Dataset.from_dict({"label": [1, 2, 3]}).to_parquet(folder / "none" / "train.parquet")
    with pytest.raises(ValueError, match=r"should have one column of images; it has no such column"):
        load("org/none", "train", tmp_path)


def test_a_set_without_a_training_split_or_with_too_few_rows(folder, tmp_path):
    write(folder / "name" / "test.parquet", list(map(png, GREY[:4])))
    with pytest.raises(ValueError, match="datasets:org/name has no split train, only test"):
        load("org/name", "test", tmp_path)
    write(folder / "one" / "train.parquet", list(map(png, GREY[:2])))
    with pytest.raises(ValueError, match="datasets:org/one has 1 rows in its train split"):
        load("org/one", "train", tmp_path)


def test_a_repository_with_code_is_not_loaded(folder, tmp_path):
    (folder / "name").mkdir()
    code = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
    (folder / "name" / "name.py").write_text(code, encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="datasets:org/name cannot be loaded"):
        load("org/name", "train", tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_set_that_is_not_there_is_one_line(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="datasets:org/nothing cannot be loaded: ") as error:
        load("org/nothing", "train", tmp_path)
    assert "\n" not in str(error.value)


def test_without_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"datasets is not installed; .*mrvae-zoo\[datasets\]"):
        load("org/name", "train", tmp_path)
