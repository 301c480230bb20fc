"""The gatings of the zoo: what each makes of a place in a network."""

import pytest
import torch
from helpers import make_gating

import mrvae_zoo
from mrvae_zoo.gating.base import Gating, Place
from mrvae_zoo.gating.gates import AffineGate, ChannelGate, RootGate, SigmoidGate, ThresholdGate
from mrvae_zoo.models.architecture_table import architectures
from mrvae_zoo.models.gating_table import gatings

HIDDEN, HEAD, FIRST = Place(4, "encoder"), Place(4, "decoder", head=True), Place(4, "decoder", seen=(3,))
GATES = {
    "none": (None, None, None),
    "paper": (SigmoidGate, None, RootGate),
    "paper_open": (SigmoidGate, None, RootGate),
    "paper_2022": (SigmoidGate, None, RootGate),
    "affine": (AffineGate, AffineGate, AffineGate),
    "shrinkage": (AffineGate, AffineGate, AffineGate),
    "concat": (None, None, ChannelGate),
    "linear": (ThresholdGate, ThresholdGate, ThresholdGate),
}


def test_every_gating_has_one_class_and_one_entry():
    assert set(gatings) == set(GATES)
    for name in gatings:
        assert gatings[name].name == name
    assert len({gatings[name] for name in gatings}) == len(GATES)


@pytest.mark.parametrize("name", GATES)
def test_the_gate_of_a_place(name):
    gating = make_gating(name)
    for place, gate in zip((HIDDEN, HEAD, FIRST), GATES[name], strict=True):
        assert type(gating.gate(place)) is (type(None) if gate is None else gate)
    assert gating.gates == any(gate is not None for gate in GATES[name])


@pytest.mark.parametrize("name", GATES)
def test_one_beta_for_a_batch_has_the_features_of_one_beta_per_example(name):
    gating = make_gating(name, degree=4)
    betas = torch.tensor([0.01, 0.3, 10.0], dtype=torch.float64)
    rows = gating.features(betas)
    assert rows.shape[0] == 3
    for beta, row in zip(betas, rows, strict=True):
        assert torch.equal(gating.features(beta), row)


def test_an_architecture_names_gatings_that_there_are():
    for name in architectures:
        assert set(architectures[name].gatings) <= set(gatings)


def test_what_a_gating_leaves_out_is_an_error():
    class Half(Gating):
        name = "half"

        def features(self, beta):
            return beta

    with pytest.raises(TypeError, match="gate"):
        Half(beta_range=(0.1, 1.0))


def test_an_unknown_gating_names_those_of_the_architecture():
    with pytest.raises(ValueError, match="gating='papr' is not one of shrinkage, .*, none"):
        mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 4, 4), gating="papr")
