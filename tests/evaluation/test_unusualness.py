import math

import pytest
import torch
from helpers import make_images, make_model

from mrvae_zoo import RDCurve, RDPoint, unusualness


@pytest.mark.parametrize("dtype", [None, "float16", torch.bfloat16])
def test_an_image_like_none_has_a_finite_score_far_above_the_others(digits, dtype, caplog):
    from mrvae_zoo import load_pretrained

    model = load_pretrained("mrvae_mlp.mnist", dtype=dtype)
    x = model.preprocess(digits)
    usual, inverted = unusualness(model, x, 0.1), unusualness(model, 1 - x, 0.1)
    assert usual.shape == (10,)
    assert usual.abs().max() < 1.5
    assert inverted.isfinite().all()
    assert inverted.min() > 5
    assert "unlike" in caplog.text


def test_it_is_the_log_of_a_ratio(default_model, digits):
    x = default_model.preprocess(digits)
    out = default_model(x, 1.0, sample=False)
    expected = ((out.distortion + out.rate) / default_model.curve.at(1.0).loss).log()
    assert torch.allclose(unusualness(default_model, x, 1.0), expected, atol=1e-5)


def test_what_it_needs():
    model = make_model("mrvae_mlp", "affine")
    x = make_images(model, 3)
    with pytest.raises(ValueError, match="has no curve"):
        unusualness(model, x, 1.0)
    model.curve = RDCurve(
        points=(RDPoint(beta=0.1, rate=2.0, distortion=5.0), RDPoint(beta=1.0, rate=1.0, distortion=7.0))
    )
    assert unusualness(model, x, 0.3).isfinite().all()
    with pytest.raises(ValueError, match="outside the curve"):
        unusualness(model, x, 5.0)
    model.curve = RDCurve(points=(RDPoint(beta=1.0, rate=0.0, distortion=0.0),))
    assert math.isfinite(unusualness(model, x, 1.0).max().item())
