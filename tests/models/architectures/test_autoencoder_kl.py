"""What is its own: the stride, folding, what it refuses. That it is diffusers' network: tests/diffusers."""

import functools

import pytest
import torch
from helpers import assert_folded_is_gated, make_model

import mrvae_zoo

NAME = "mrvae_autoencoder_kl"
SMALL = {"block_out_channels": (4, 4, 8), "norm_num_groups": 2}


@pytest.mark.parametrize("options", [{}, {"mid_block_add_attention": False, "use_quant_conv": False}], ids=str)
@pytest.mark.parametrize("gating", ["shrinkage", "affine"])
def test_folded_is_gated(gating, options):
    make = functools.partial(
        mrvae_zoo.create_model, NAME, input_shape=(3, None, None), latent_dim=3, **SMALL, **options
    )
    assert_folded_is_gated(make, gating, torch.rand(3, 3, 8, 12, dtype=torch.float64))


def test_the_stride_is_that_of_its_levels_and_stays_when_it_is_folded():
    model = mrvae_zoo.create_model(NAME, input_shape=(1, None, None), latent_dim=3, **SMALL)
    assert model.stride == model.at(0.3).stride == 4
    assert model.latent_shape((9, 8)) == (3, 3, 2)
    assert make_model("mrvae_resnet_spatial", "shrinkage").stride == 8
    deep = mrvae_zoo.create_model(NAME, input_shape=(1, None, None), block_out_channels=(4,) * 5, norm_num_groups=2)
    assert deep.stride == 16
    with torch.no_grad():
        assert deep(torch.rand(1, 1, 20, 40), 0.3).z.shape == (1, 32, 2, 3)


def test_at_first_beta_changes_nothing():
    model = mrvae_zoo.create_model(NAME, input_shape=(1, None, None), latent_dim=3, **SMALL).eval()
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        low, high = (model(x, beta, sample=False) for beta in (0.01, 10.0))
    assert torch.equal(low.reconstruction, high.reconstruction)
    assert torch.equal(low.rate, high.rate)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_out_channels": (6, 8), "norm_num_groups": 4}, r"\(6, 8\) should be multiples of norm_num_groups=4"),
        ({"block_out_channels": ()}, "should be multiples"),
        ({"norm_num_groups": 0}, "should be multiples"),
        ({"layers_per_block": 0}, "layers_per_block=0 should be between 1 and 64"),
        ({"act_fn": "tanh"}, "act_fn='tanh' is not one of 'silu'"),
        ({"input_shape": (3, 32, 32)}, r"should be \(C, None, None\), any size"),
    ],
)
def test_what_it_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        mrvae_zoo.create_model(NAME, **{"input_shape": (3, None, None)} | options)
