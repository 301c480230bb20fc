import copy

import pytest
import torch

from mrvae_zoo import load_pretrained


@pytest.fixture
def model():
    return load_pretrained("mrvae_mlp.mnist")


CALLS = {
    "call": lambda model, x: model(x, 0.1),
    "encode": lambda model, x: model.encode(x, 0.1),
    "folded": lambda model, x: model.at(0.1)(x),
    "folded, encode": lambda model, x: model.at(0.1).encode(x),
}


@pytest.mark.parametrize("how", CALLS)
def test_images_unlike_the_training_are_told_of_once(model, digits, caplog, how):
    x = model.preprocess(digits)
    CALLS[how](model, x)
    assert caplog.messages == []
    CALLS[how](model, 1 - x)
    (message,) = caplog.messages
    assert message.startswith("x holds an image unlike those that this model was trained on (a latent ")
    if "folded" not in how:
        CALLS[how](model, 1 - x)
        model.encode(1 - x, 1.0)
        assert len(caplog.messages) == 1


def test_nothing_is_told_in_training_or_of_no_images(model, digits, caplog):
    x = 1 - model.preprocess(digits)
    model(x[:0], 0.1)
    model.train()(x, 0.1)
    assert caplog.messages == []
    with torch.no_grad():
        copy.deepcopy(model.eval()).encode(x, 0.1)
    assert len(caplog.messages) == 1
