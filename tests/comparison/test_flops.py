import itertools

import pytest
import torch
from helpers import OPTIONS, SHAPES

from mrvae_zoo.comparison.flops import flops_by_beta, training_flops
from mrvae_zoo.models.factory import config_from_options

SIZES, LATENTS, DEGREE = (64, 24, 16), 5, 3


def make_config(gating):
    options = {"architecture": "mrvae_mlp", "input_shape": (1, 8, 8), "latent_dim": LATENTS, "widths": SIZES[1:]}
    keys = {"gating": gating, "gating_degree": DEGREE, "gating_moves": "weights"}
    return config_from_options({**options, **keys}, where="test")


def products():
    """(inputs, outputs) of each layer."""
    encoder, decoder = (*SIZES, 2 * LATENTS), (LATENTS, *SIZES[::-1])
    return [*itertools.pairwise(encoder), *itertools.pairwise(decoder)]


@pytest.mark.parametrize("batch_size", [1, 32])
def test_a_plain_network_costs_three_products_a_layer_but_for_the_first(batch_size):
    """Forward, and the gradients of weights and inputs, of which the image wants none: 2 operations a product."""
    by_hand = sum(3 * 2 * inputs * outputs for inputs, outputs in products()) - 2 * SIZES[0] * SIZES[1]
    assert training_flops(make_config("none"), (1, 8, 8), torch.ones(batch_size)) == by_hand


def test_gates_of_a_beta_an_example_cost_as_well():
    """A polynomial of log β for the scale and one for the shift of each channel, forward and for the weights."""
    plain, paper, affine = (
        training_flops(make_config(gating), (1, 8, 8), torch.ones(32)) for gating in ("none", "paper", "affine")
    )
    by_hand = sum(2 * 2 * (2 * outputs) * DEGREE for _, outputs in products())
    assert affine - plain == by_hand
    assert paper == plain  # elementwise work is not counted


def test_weights_that_move_cost_an_example_above_the_lowest_beta_only():
    """K more of the encoder's last layer and of the decoder's first, their inputs' gradients included."""
    beta = torch.ones(32)
    above = training_flops(make_config("shrinkage"), (1, 8, 8), beta)
    beta[:8] = 0.01
    by_hand = DEGREE * 3 * 2 * (SIZES[-1] * 2 * LATENTS + LATENTS * SIZES[-1])
    assert above - training_flops(make_config("shrinkage"), (1, 8, 8), beta) == by_hand * 8 / 32
    assert flops_by_beta(make_config("shrinkage"), (1, 8, 8), 32) == (above, above - by_hand)
    elsewhere, at_lowest = flops_by_beta(make_config("affine"), (1, 8, 8), 32)
    assert elsewhere == at_lowest


@pytest.mark.parametrize("architecture", ["mrvae_conv", "mrvae_resnet_spatial"])
def test_the_cost_of_convolutions_grows_with_the_image(architecture):
    shape, options = SHAPES[architecture], OPTIONS[architecture]
    config = config_from_options(
        {"architecture": architecture, "input_shape": shape, "latent_dim": 4, "gating": "none", **options}, where="test"
    )
    if config.spatial:
        small, large = (training_flops(config, (3, side, side), torch.ones(2)) for side in (16, 32))
        assert large == 4 * small
    else:
        one, two = (training_flops(config, (3, 13, 10), torch.ones(batch_size)) for batch_size in (2, 4))
        assert one == two > 0
