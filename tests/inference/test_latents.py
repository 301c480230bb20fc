import pytest
import safetensors.torch
import torch

from mrvae_zoo.inference.latents import LatentsInfo, image_paths, load_latents, save_latents

INFO = LatentsInfo(source="m.x", revision="abc", beta=0.3, input_shape=(1, 28, 28), files=("a/x.png", "b/x.png"))


def test_latents_come_back(tmp_path):
    mean, log_var = torch.randn(2, 2, 5)
    save_latents(tmp_path / "l", mean.T.contiguous().T, log_var, INFO)
    got, info = load_latents(tmp_path / "l")
    assert torch.equal(got, mean)
    assert info == INFO
    assert torch.equal(safetensors.torch.load_file(tmp_path / "l")["log_var"], log_var)


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
    metadata = {"format": "mrvae_zoo.latents", "format_version": "2", "info": "{}"}
    safetensors.torch.save_file({"mean": torch.zeros(1, 1)}, tmp_path / "l", metadata=metadata)
    with pytest.raises(ValueError, match="format_version 2; upgrade mrvae_zoo"):
        load_latents(tmp_path / "l")
