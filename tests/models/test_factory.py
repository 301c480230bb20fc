import math

import pytest
from helpers import KINDS, OPTIONS, SHAPES, make_model

import mrvae_zoo
from mrvae_zoo.models.factory import build_model


def test_the_defaults_are_those_of_the_readme():
    config = mrvae_zoo.create_model("mrvae_mlp", input_shape=[1, 28, 28]).config
    assert config.input_shape == (1, 28, 28)
    assert (config.latent_dim, config.beta_range, config.likelihood) == (32, (0.01, 10.0), "bernoulli")
    assert (config.gating, config.gating_degree, config.beta) == ("shrinkage", 3, None)
    assert config.arguments == {"widths": (512, 512), "activation": "silu"}
    assert mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 2, 2)).config.gating == "linear"


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_model_is_built_again_from_its_config(kind):
    model = make_model(*kind)
    for one in (model, model.at(0.3)):
        again = build_model(one.config)
        assert type(again) is type(one)
        assert again.config == one.config
        again.load_state_dict(one.state_dict(), strict=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "mrvae_mpl"}, "unknown architecture 'mrvae_mpl'; did you mean mrvae_mlp"),
        ({"input_shape": None}, "input_shape=None should be a list of 3"),
        ({"input_shape": (1, 28)}, r"input_shape=\[1, 28\] should be a list of 3"),
        ({"input_shape": (1, 0, 28)}, "each at least 1"),
        ({"latent_dim": 0}, "latent_dim=0 should be at least 1"),
        ({"latent": 3}, "unknown key latent for mrvae_mlp; did you mean latent_dim"),
        ({"width": 3}, "unknown key width for mrvae_mlp; did you mean widths"),
        ({"widths": (8, 0)}, "widths=.* each at least 1"),
        ({"widths": ()}, "widths=.* at least one width"),
        ({"widths": "wide"}, "widths='wide' should be a list"),
        ({"activation": "rely"}, "activation='rely' is not one of"),
        ({"beta": 0.5}, "unknown key beta"),
        ({"beta_range": (0, 1)}, "0 < low < high"),
        ({"beta_range": (1, 1)}, "0 < low < high"),
        ({"beta_range": (0.1, math.nan)}, "0 < low < high"),
        ({"gating": "linear"}, "is not one of shrinkage, affine, paper, paper_open, paper_2022, concat, none"),
        ({"gating": "afine"}, "gating='afine' is not one of"),
        ({"gating_degree": 0}, "gating_degree=0 should be between 1 and 16"),
        ({"gating_degree": 10**9}, "should be between 1 and 16"),
        ({"sigma": 1.0}, "sigma=1.0 is for likelihood='gaussian'"),
        ({"data_range": None}, "should be .0, 1. for likelihood='bernoulli'"),
        ({"likelihood": "gaussian"}, "sigma=None should be a positive number"),
        ({"likelihood": "gaussian", "sigma": -1.0}, "sigma=-1.0 should be a positive number"),
        ({"likelihood": "gaussian", "sigma": 1.0, "data_range": (1, 0)}, "low < high"),
        ({"likelihood": "poisson"}, "likelihood='poisson' is not one of"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(options, message):
    options = {"architecture": "mrvae_mlp", "input_shape": SHAPES["mrvae_mlp"]} | options
    with pytest.raises(ValueError, match=message):
        mrvae_zoo.create_model(**options)


def test_input_shape_is_required():
    with pytest.raises(ValueError, match="input_shape is missing"):
        mrvae_zoo.create_model("mrvae_mlp", **OPTIONS["mrvae_mlp"])
