"""What a notebook and a terminal show of a model, of what it gives and of its curve."""

import pytest
import torch

import mrvae_zoo
from mrvae_zoo import RDCurve, RDPoint


def test_a_model_says_what_it_is_in_one_line_and_then_its_layers(default_model):
    first, second, *_ = repr(default_model).splitlines()
    assert first == "mrvae_mlp.mnist: mrvae_mlp, input (1, 28, 28), Z = 32, β in [0.01, 10], 1,544,048 parameters"
    assert second == "MultiRateVAE("
    assert repr(default_model.at(0.5)).startswith("mrvae_mlp.mnist: mrvae_mlp, input (1, 28, 28), Z = 32, β = 0.5, ")
    spatial = mrvae_zoo.create_model("mrvae_resnet_spatial", input_shape=(3, None, None))
    assert repr(spatial).startswith("mrvae_resnet_spatial, input (3, any, any), Z = 32, ")


def test_what_a_call_gives_is_a_line(default_model, digits):
    out = default_model(default_model.preprocess(digits), 0.1, sample=False)
    rate = f"mean rate {out.rate.mean().item():.4g} nats"
    assert repr(out.posterior) == f"Posterior((10, 32), {rate})"
    assert repr(out).startswith(f"VAEOutput(images (10, 1, 28, 28), z (10, 32), {rate}, mean distortion ")
    assert repr(mrvae_zoo.Posterior(torch.zeros(2, 3, device="meta"), torch.zeros(2, 3, device="meta"))) == (
        "Posterior((2, 3))"
    )


def test_a_curve_is_a_short_table(default_model):
    curve = default_model.curve
    heading, names, *rows = repr(curve).splitlines()
    assert heading == "RDCurve of 13 β on mnist (test), in nats per example"
    assert names.split() == ["beta", "rate", "distortion", "loss"]
    assert rows[8].split() == ["1", "29.12", "60.57", "89.69"]
    assert max(map(len, repr(curve).splitlines())) < 60
    assert repr(RDPoint(beta=1.0, rate=2.0, distortion=3.0)) == "RDPoint(beta=1, rate=2, distortion=3)"


@pytest.mark.slow
def test_a_notebook_shows_the_plot_and_the_table(default_model, monkeypatch):
    pytest.importorskip("matplotlib")
    page = default_model.curve._repr_html_()
    assert page.startswith("<svg")
    assert page.count("<tr>") == 14
    assert "<td>29.12</td>" in page
    assert page in default_model._repr_html_()
    assert "mrvae_mlp.mnist: mrvae_mlp, input (1, 28, 28)" in default_model._repr_html_()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)  # no matplotlib
    assert default_model.curve._repr_html_().startswith("<table>")


def test_a_model_without_a_curve_says_how_to_get_one(default_model):
    assert default_model.require_curve() is default_model.curve
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 4, 4))
    with pytest.raises(ValueError, match="this model has no rate-distortion curve; measure one with model.curve = "):
        model.require_curve()
    assert "<table>" not in model._repr_html_()


def test_what_is_missing_or_of_another_kind_says_what_to_do(default_model, digits):
    x = default_model.preprocess(digits)
    for call in (lambda: default_model(x), lambda: default_model.encode(x), lambda: default_model.sample(2)):
        with pytest.raises(ValueError, match=r"beta is missing: pass a number in \[0.01, 10\], or .* model.at\(beta\)"):
            call()
    with pytest.raises(ValueError, match=r"pass a draw from it, posterior.sample\(\), or its mean, posterior.mode\(\)"):
        default_model.decode(default_model.encode(x, 0.1), 0.1)
    assert torch.equal(default_model.preprocess(x), x)
    spatial = mrvae_zoo.create_model("mrvae_resnet_spatial", input_shape=(3, None, None))
    with pytest.raises(ValueError, match="beta is missing"):
        mrvae_zoo.encode_tiled(spatial, torch.rand(1, 3, 16, 16))


def make_loop() -> RDCurve:
    """The curve of a model that was trained for too short a time: at β = 1.5 it is worse than at 0.3 in both."""
    points = [(0.1, 60.0, 2800.0), (0.3, 40.0, 3100.0), (1.5, 45.0, 3500.0), (10.0, 5.0, 4000.0)]
    return RDCurve(points=tuple(RDPoint(beta=b, rate=r, distortion=d) for b, r, d in points))


def test_a_curve_that_turns_back_gives_the_best_point_of_a_rate_and_says_so(caplog):
    curve = make_loop()
    assert not curve.is_monotone
    beta = curve.beta_for(rate=43.0)
    (message,) = caplog.messages
    assert "this curve is not monotone in β, so several β can have one rate; the best of them is taken" in message
    assert 0.1 < beta < 0.3
    assert curve.at(beta).rate == pytest.approx(43.0)
    others = [curve.at(0.3 * 5 ** (i / 20)) for i in range(41)]
    assert all(curve.at(beta).distortion < other.distortion for other in others if other.rate >= 43.0)
    caplog.clear()
    straight = RDCurve(points=(curve.points[0], curve.points[3]))
    assert straight.is_monotone
    straight.beta_for(rate=43.0)
    assert caplog.messages == []


def test_published_curves_are_monotone():
    for name in mrvae_zoo.list_models(pretrained=True):
        assert mrvae_zoo.load_pretrained(name).require_curve().is_monotone
