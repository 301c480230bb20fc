import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from mrvae_zoo.inference.latents import LatentsInfo, StoredLatents, image_paths, load_latents, save_latents

INFO = LatentsInfo(source="m.x", revision="abc", beta=0.3, input_shape=(1, 28, 28), files=("a/x.png", "b/x.png"))


def test_latents_come_back(tmp_path):
    mean, log_var = torch.randn(2, 2, 5)
    save_latents(tmp_path / "l", mean.T.contiguous().T, log_var, INFO)
    got, betas, info = load_latents(tmp_path / "l")
    assert torch.equal(got, mean)
    assert betas is None
    assert info == INFO
    assert torch.equal(safetensors.torch.load_file(tmp_path / "l")["log_var"], log_var)


def version(path):
    with safetensors.safe_open(path, framework="pt") as file:
        return file.metadata()["format_version"]


def test_a_file_says_the_lowest_version_that_can_read_it(tmp_path):
    """One β and all latents: what the first version had, without any new key."""
    mean, log_var = torch.randn(2, 2, 3)
    save_latents(tmp_path / "plain", mean, log_var, INFO)
    assert version(tmp_path / "plain") == "1"
    with safetensors.safe_open(tmp_path / "plain", framework="pt") as file:
        assert [*json.loads(file.metadata()["info"])] == ["source", "revision", "beta", "input_shape", "files"]
        assert [*file.keys()] == ["log_var", "mean"]
    some = replace(INFO, latents=(4, 0, 2))
    save_latents(tmp_path / "some", mean, log_var, some)
    each = replace(INFO, beta=None)
    betas = torch.tensor([0.1, 3.0])
    save_latents(tmp_path / "each", mean, log_var, each, betas)
    assert version(tmp_path / "some") == version(tmp_path / "each") == "2"
    assert load_latents(tmp_path / "some").info == some
    assert torch.equal(load_latents(tmp_path / "each").betas, betas)


def test_latents_that_are_left_out_are_zero(tmp_path):
    mean = torch.randn(2, 3, 2, 1)
    stored = StoredLatents(mean, None, replace(INFO, latents=(4, 0, 2)))
    whole = stored.whole(5)
    assert torch.equal(whole[:, [4, 0, 2]], mean)
    assert (whole[:, [1, 3]] == 0).all()
    assert whole.shape == (2, 5, 2, 1)
    assert torch.equal(StoredLatents(mean, None, INFO).whole(3), mean)
    for wrong in (stored, StoredLatents(mean, None, INFO), StoredLatents(mean, None, replace(INFO, latents=(1, 0)))):
        with pytest.raises(ValueError, match="the file holds 3 latents; they do not fit a model with 4"):
            wrong.whole(4)


@pytest.mark.parametrize(
    ("changes", "betas", "message"),
    [
        ({"beta": None}, None, "should have one β for all images, or one for each of 2"),
        ({}, torch.ones(2), "should have one β for all images"),
        ({"beta": None}, torch.ones(3), "or one for each of 2"),
    ],
)
def test_a_file_whose_beta_do_not_fit_is_an_error(tmp_path, changes, betas, message):
    save_latents(tmp_path / "l", torch.zeros(2, 3), torch.zeros(2, 3), replace(INFO, **changes), betas)
    with pytest.raises(ValueError, match=message):
        load_latents(tmp_path / "l")
    for wrong in ((), (0, 0), (-1,)):
        with pytest.raises(ValueError, match="should name different latents, counted from 0"):
            replace(INFO, latents=wrong)


def test_names_are_told_apart():
    files = ("a/x.png", "b/x.png", "x.jpg", "X.bmp", "x-2.png", "y.tar.gz", "../..", "")
    names = ["a/x.png", "b/x.png", "x.png", "X.bmp.png", "x-2.png", "y.tar.png", "image.png", "image-2.png"]
    assert [path.as_posix() for path in image_paths(files)] == names


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["p/a/x.png", "p/b/x.png", "p/b/x.jpg"], ["a/x.png", "b/x.png", "b/x.jpg.png"]),
        (["/p/q/x.png"], ["x.png"]),
        (["/p/x.png", "/p/x.png", "/p/x.png"], ["x.png", "x-2.png", "x-3.png"]),
        (["../../etc/x", "/etc/y", "z"], ["etc/x.png", "etc/y.png", "z.png"]),
        (["a", "a.png/b"], ["a-2.png", "a.png/b.png"]),  # no name is a file and a folder
    ],
)
def test_sub_folders_stay_and_nothing_leads_out(files, names):
    assert [path.as_posix() for path in image_paths(files)] == names


def test_what_is_no_latents_file_is_an_error(tmp_path):
    path = tmp_path / "l"
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_latents(path)
    for content in (b"", b"not one", b"\0" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a latents file"):
            load_latents(path)
    safetensors.torch.save_file({"mean": torch.zeros(2, 5)}, path)
    with pytest.raises(ValueError, match="is not a latents file"):
        load_latents(path)
    save_latents(path, torch.zeros(3, 5), torch.zeros(3, 5), INFO)
    with pytest.raises(ValueError, match="2 file names for latents of shape"):
        load_latents(path)
    save_latents(path, torch.zeros(2, 5), torch.zeros(2, 5), INFO)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="is not a latents file"):
        load_latents(path)


def test_a_newer_format_says_so(tmp_path):
    metadata = {"format": "mrvae_zoo.latents", "format_version": "3", "info": "{}"}
    safetensors.torch.save_file({"mean": torch.zeros(1, 1)}, tmp_path / "l", metadata=metadata)
    with pytest.raises(ValueError, match="format_version 3; upgrade mrvae_zoo"):
        load_latents(tmp_path / "l")
