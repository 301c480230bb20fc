"""What was decoded once is read from the cache, unless anything that its pixels depend on has changed."""

import importlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mrvae_zoo.common.decoding import open_image
from mrvae_zoo.data import decoded_cache
from mrvae_zoo.data.cifar10 import load_cifar10
from mrvae_zoo.data.encoded_images import EncodedImages, StreamedImages, load_encoded
from mrvae_zoo.data.fingerprint import fingerprint
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import load_data

GREY = np.random.default_rng(0).integers(0, 256, (30, 6, 7), dtype=np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """The folder of a cache of this test alone."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MRVAE_CACHE", str(folder))
    return folder / "decoded"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Sets are kept however fast they are decoded, and in several parts."""
    monkeypatch.setattr(decoded_cache, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.CHUNK", 7)


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / "own" / f"{number:02}.png" for number in range(len(GREY))]
    paths[0].parent.mkdir()
    for path, pixels in zip(paths, GREY, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


opened: list[Path] = []


def counting(path):
    opened.append(path)
    return open_image(path)


def load(paths, shape=(1, 6, 7)):
    """Load images; returns the pixels and how many files were opened."""
    opened.clear()
    images = load_encoded(EncodedImages("the set", paths, counting), shape)
    count = len(opened)
    if isinstance(images, StreamedImages):
        images = torch.cat(list(images.read(torch.arange(len(images)).split(4))))
        count = len(opened)
    return images.squeeze(1).numpy(), count


@pytest.mark.parametrize("limit", [1 << 20, 0], ids=["in memory", "streamed"])
@pytest.mark.parametrize("shape", [(1, 6, 7), (1, None, None)])
def test_what_is_cached_is_not_decoded(paths, cache, monkeypatch, limit, shape):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", limit)
    images, count = load(paths, shape)
    assert count >= 30
    assert np.array_equal(images, GREY)
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".npy"]
    images, count = load(paths, shape)
    assert count == 0
    assert np.array_equal(images, GREY)


def test_a_set_too_large_for_memory_is_decoded_once_and_then_mapped(paths, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", 0)
    images = load_encoded(EncodedImages("the set", paths, open_image), (1, 6, 7))
    assert isinstance(images, StreamedImages)
    assert isinstance(images.decoded, np.memmap)
    for path in paths:
        path.unlink()
    (read,) = images.read([torch.tensor([4, 1])])
    assert np.array_equal(read[:, 0].numpy(), GREY[[4, 1]])
    assert np.array_equal(images[3][0].numpy(), GREY[3])


@pytest.mark.parametrize("limit", [1 << 20, 0], ids=["in memory", "streamed"])
def test_a_training_may_go_on_whether_or_not_its_images_are_cached(paths, cache, monkeypatch, limit):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", limit)
    prints = []
    for folder in ("", str(cache.parent), str(cache.parent)):
        monkeypatch.setenv("MRVAE_CACHE", folder)
        prints.append(fingerprint(load_data(DataRecipe(name="own"), "train", paths[0].parents[1], (1, 6, 7))))
    assert len({*prints}) == 1


def test_a_changed_source_is_decoded_again(paths):
    load(paths)
    assert load(paths, (1, 5, 5))[1] == 30
    assert load(paths[:-1])[1] == 29
    Image.fromarray(255 - GREY[4]).save(paths[4])
    os.utime(paths[4], ns=(0, 0))
    images, count = load(paths)
    assert (count, np.array_equal(images[4], 255 - GREY[4])) == (30, True)
    assert load(paths)[1] == 0
    encoded = EncodedImages("the set", paths, open_image)  # opened by other code
    assert encoded.key((1, 6, 7)) != encoded.key((1, 5, 5))
    assert encoded.key((1, 6, 7)) != EncodedImages("the set", paths, counting).key((1, 6, 7))


def test_changed_code_decodes_again(paths, tmp_path, monkeypatch):
    (tmp_path / "own_opener.py").write_text("def opener(path): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    encoded = EncodedImages("the set", paths, importlib.import_module("own_opener").opener)
    before = encoded.key((1, 6, 7))
    assert encoded.key((1, 6, 7)) == before
    (tmp_path / "own_opener.py").write_text("def opener(path): return path\n")
    assert encoded.key((1, 6, 7)) != before


@pytest.mark.parametrize("name", ["npy", "json"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.7])
def test_a_truncated_file_is_not_used(paths, cache, name, share):
    load(paths)
    (file,) = cache.glob(f"*.{name}")
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    images, count = load(paths)
    assert (count, np.array_equal(images, GREY)) == (30, True)
    assert load(paths)[1] == 0


def test_an_array_of_another_form_is_not_used(paths, cache):
    load(paths)
    (file,) = cache.glob("*.npy")
    for other in (np.zeros((29, 1, 6, 7), np.uint8), np.zeros((30, 1, 6, 7)), np.zeros(30, np.uint8)):
        np.save(file, other)
        assert load(paths)[1] == 30


@pytest.mark.parametrize("limit", [1 << 20, 0], ids=["in memory", "streamed"])
def test_what_is_left_out_is_told_each_time_and_tried_again(paths, monkeypatch, caplog, limit):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", limit)
    whole, stat = paths[8].read_bytes(), paths[8].stat()
    paths[8].write_bytes(whole[:60] + bytes(len(whole) - 60))
    os.utime(paths[8], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    for expected in (30, 1):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            images, count = load(paths)
        assert count == expected
        assert np.array_equal(images, np.delete(GREY, 8, axis=0))
        assert [message.startswith("the set: 1 of 30 images cannot be read") for message in caplog.messages] == [True]
    paths[8].write_bytes(whole)  # the same size and time, as if a disk had failed for a moment
    os.utime(paths[8], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert np.array_equal(load(paths)[0], GREY)


@pytest.mark.parametrize("limit", [1 << 20, 0], ids=["in memory", "streamed"])
def test_what_is_decoded_fast_is_not_kept(paths, cache, monkeypatch, limit):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", limit)
    monkeypatch.setattr(decoded_cache, "WORTH_SECONDS", 60.0)
    images = load_encoded(EncodedImages("the set", paths, open_image), (1, 6, 7))
    assert len(images) == 30
    assert not cache.exists() or [*cache.iterdir()] == []


def test_what_is_too_large_or_without_a_name_is_not_kept(paths, cache, monkeypatch):
    monkeypatch.setattr(decoded_cache, "CACHE_LIMIT", GREY.size - 1)
    load(paths)
    monkeypatch.setattr(decoded_cache, "CACHE_LIMIT", GREY.size)
    load_encoded(EncodedImages("the set", paths, lambda path: open_image(path.absolute())), (1, 6, 7))
    load_encoded(EncodedImages("the set", range(30), from_memory), (1, 6, 7))
    assert not cache.exists()
    load(paths)
    assert cache.exists()


def from_memory(index):
    return Image.fromarray(GREY[index])


def test_items_that_are_no_files_have_a_version(cache):
    for version, kept in (("a", 1), ("a", 1), ("b", 2)):
        images = load_encoded(EncodedImages("the set", range(30), from_memory, version=version), (1, 6, 7))
        assert np.array_equal(images[:, 0].numpy(), GREY)
        assert len([*cache.glob("*.npy")]) == kept


@pytest.mark.parametrize("limit", [1 << 20, 0], ids=["in memory", "streamed"])
def test_a_cache_that_cannot_be_written_is_passed_over(paths, cache, monkeypatch, limit):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", limit)
    cache.write_text("a file, no folder")
    assert np.array_equal(load(paths)[0], GREY)
    cache.unlink()
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=GREY.size))
    assert np.array_equal(load(paths)[0], GREY)
    assert [*cache.iterdir()] == []


@pytest.mark.parametrize("at", ["write_atomically", "np.lib.format.write_array_header_1_0"])
@pytest.mark.parametrize("limit", [1 << 20, 0], ids=["in memory", "streamed"])
def test_a_disk_that_fills_up_leaves_nothing_behind(paths, cache, monkeypatch, limit, at):
    monkeypatch.setattr("mrvae_zoo.data.encoded_images.MEMORY_LIMIT", limit)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"mrvae_zoo.data.decoded_cache.{at}", full)
    assert np.array_equal(load(paths)[0], GREY)
    assert [*cache.iterdir()] == []


def test_several_at_once(paths, cache):
    with ThreadPoolExecutor(6) as pool:
        every = list(pool.map(lambda _: load_encoded(EncodedImages("s", paths, open_image), (1, 6, 7)), range(12)))
    assert all(np.array_equal(images[:, 0].numpy(), GREY) for images in every)
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".npy"]


def test_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("MRVAE_CACHE", str(tmp_path / "named"))
    assert decoded_cache.cache_folder() == tmp_path / "named" / "decoded"
    monkeypatch.setenv("MRVAE_CACHE", "")
    assert decoded_cache.cache_folder() is None
    monkeypatch.delenv("MRVAE_CACHE")
    assert decoded_cache.cache_folder() == tmp_path / "xdg" / "mrvae_zoo" / "decoded"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert decoded_cache.cache_folder() == tmp_path / "home" / ".cache" / "mrvae_zoo" / "decoded"


def test_strips_are_decoded_once_and_arrays_are_not_kept(tmp_path, cache, monkeypatch):
    folder = tmp_path / "CIFAR10"
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    monkeypatch.setattr("mrvae_zoo.data.cifar10.EXAMPLES", {"train": 6, "test": 6})
    for number in range(2):
        strip = Image.fromarray(pixels[3 * number : 3 * number + 3].reshape(96, 32, 3))
        strip.save(folder / f"train_{number}.webp", lossless=True)
    monkeypatch.setattr("mrvae_zoo.data.cifar10.open_image", counting)
    for expected in (2, 0):
        opened.clear()
        assert np.array_equal(load_cifar10(tmp_path, "train").permute(0, 2, 3, 1).numpy(), pixels)
        assert len(opened) == expected
    for file in cache.iterdir():
        file.unlink()
    np.savez(folder / "train.npz", images=pixels)
    load_cifar10(tmp_path, "train")
    assert [*cache.iterdir()] == []
