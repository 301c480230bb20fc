import pytest
import torch
from conftest import CHECKOUT, DEFAULT_MODEL

import mrvae_zoo
from mrvae_zoo.hub import locate


def test_the_default_model_loads_with_its_curve():
    model = mrvae_zoo.load_pretrained(DEFAULT_MODEL)
    assert isinstance(model, mrvae_zoo.MultiRateVAE)
    assert not model.training
    assert model.dtype == torch.float32
    assert model.curve is not None
    assert model.curve.betas[0] == model.beta_range[0]
    assert model.curve.betas[-1] == model.beta_range[1]
    assert model.curve.beta_for(rate=model.curve.points[3].rate) == pytest.approx(model.curve.points[3].beta)


def test_no_network_is_touched(monkeypatch):
    def refuse(*arguments):
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    mrvae_zoo.load_pretrained(DEFAULT_MODEL)
    mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 4, 4))


def test_a_folder_is_a_source(tmp_path, monkeypatch):
    mrvae_zoo.save_pretrained(mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 2, 2)), tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (tmp_path / "m", "m", "./m", "~/m"):
        assert mrvae_zoo.load_pretrained(f"local-dir:{path}").input_shape == (1, 2, 2)
    assert mrvae_zoo.load_pretrained(f"local-dir:{CHECKOUT / 'registry' / DEFAULT_MODEL}").latent_dim == 32


@pytest.mark.parametrize("source", ["org/name", "./folder", "C:\\folder", "s3:thing", "hf-hub/x"])
def test_a_name_with_a_path_in_it_names_both_prefixes(source):
    with pytest.raises(ValueError, match=r"for a folder write local-dir:path, for the Hub hf-hub:org/name"):
        mrvae_zoo.load_pretrained(source)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(
        mrvae_zoo.UnknownNameError, match=rf"unknown model 'mrvae_mpl.mnist'; did you mean .*{DEFAULT_MODEL}"
    ):
        mrvae_zoo.load_pretrained("mrvae_mpl.mnist")
    with pytest.raises(mrvae_zoo.UnknownNameError, match="unknown model ''"):
        locate("")


def test_the_hub_is_not_there_yet():
    with pytest.raises(ValueError, match="this version of mrvae_zoo reads local-dir:path and names of its catalogue"):
        mrvae_zoo.load_pretrained("hf-hub:org/name")
