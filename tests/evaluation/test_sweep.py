"""Sweeps of small models: what is measured, on which examples, and how β is chosen."""

import json
import sys

import pytest
import torch
from helpers import make_data, make_images, make_model

import mrvae_zoo
from mrvae_zoo import Labels, MissingExtraError, Sweep, SweepPoint, rate_distortion, sweep
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.evaluation import sweep as module
from mrvae_zoo.evaluation.metric_table import find_metrics, metrics
from mrvae_zoo.evaluation.metrics.base import Metric, Part
from mrvae_zoo.evaluation.sweep_result import MetricSweep


@pytest.fixture(scope="module")
def model():
    return make_model("mrvae_mlp", "affine")


@pytest.fixture(scope="module")
def x(model):
    return make_images(model, 300)


def first_latent(part: Part):
    return part.mean[:, 0]


def test_the_latents_of_every_beta_are_those_of_the_model(model, x):
    """Examples are neither lost nor mixed up, and rate and distortion are those of the curve."""
    seen = {}

    def look(part: Part):
        seen.setdefault(part.beta, []).append(part)
        return part.rate

    distortion = Metric(name="d", title="D", prepare=lambda fit: lambda part: part.distortion, losses=True)
    found = sweep(model, x, [look, distortion], betas=[0.1, 1.0], labels=[0, 1] * 150)
    curve = rate_distortion(model, x, [0.1, 1.0])
    for point, measured in zip(curve.points, found.points["look"], strict=True):
        assert measured.rate == pytest.approx(point.rate, rel=1e-6)
    halves = [p.value / 2 + p.choosing_value / 2 for p in found.points["d"]]
    assert halves == pytest.approx([point.distortion for point in curve.points], rel=1e-6)
    for beta, parts in seen.items():
        means = torch.cat([part.mean for part in parts])
        with torch.no_grad():
            posterior = model.encode(x, beta)
        order = means[:, 0].argsort(), posterior.mean[:, 0].argsort()
        assert torch.allclose(means[order[0]], posterior.mean[order[1]], atol=1e-5)
        assert torch.allclose(parts[0].log_var.exp().mean(), posterior.log_var.exp().mean(), rtol=0.1)
    assert [len(part) for part in seen[0.1]] == [150, 150]
    assert found.betas == (0.1, 1.0)


@pytest.mark.parametrize("fits", [True, False])
def test_examples_are_divided_once_and_every_class_in_proportion(fits):
    labels = torch.arange(400) % 4 // 3  # a quarter of them in class 1
    fit, choose, report = module._dealt(400, labels, fits=fits, seed=0)
    parts = [fit, choose, report] if fits else [choose, report]
    assert torch.cat(parts).sort().values.tolist() == list(range(400))
    assert [len(part) for part in parts] == ([200, 100, 100] if fits else [200, 200])
    assert all(abs(labels[part].float().mean().item() - 0.25) < 0.02 for part in parts)
    again = module._dealt(400, labels, fits=fits, seed=0)
    assert all(torch.equal(one, other) for one, other in zip((fit, choose, report), again, strict=True))
    assert not torch.equal(report, module._dealt(400, labels, fits=fits, seed=1)[2])


def test_a_probe_on_real_latents_is_that_of_the_library(model):
    """Images of two brightnesses: a probe separates them, at every β; by chance it would be right half of the time."""
    labels = torch.arange(240) % 2
    bright = make_images(model, 240) * 0.4 + 0.6 * labels.view(-1, 1, 1, 1)
    found = sweep(model, bright, ["linear_probe", "knn", "retrieval"], betas=3, labels=labels)
    for metric in found.metrics:
        assert (metric.fitted_on, metric.chosen_on, metric.reported_on) == (120, 60, 60)
        assert all(0.9 < point.low <= point.value <= point.high <= 1 for point in metric.points)
    again = sweep(model, bright, "linear_probe", betas=3, labels=labels)
    assert again.metrics[0] == found.metrics[0]


def test_fewer_examples_are_drawn_at_random_with_their_labels(model, x):
    dark = x.clone()
    dark[::3] = 0.0
    labels = (torch.arange(300) % 3 == 0).long()
    data = ImageData(name="noise", split="test", images=(dark * 255).byte())
    seen = []

    def look(part: Part):
        seen.append(part)
        return part.rate

    for given in (dark, data):
        found = sweep(model, given, look, betas=[1.0], labels=labels, examples=100)
        chosen = torch.cat([part.labels for part in seen]).float()
        assert len(chosen) == 100
        assert 0.15 < chosen.mean() < 0.55
        for part in seen:  # a black image has always the same latents
            assert part.mean[part.labels == 1].std(0).max() < 1e-5
            assert part.mean[part.labels == 0].std(0).max() > 1e-3
        assert found.data["examples"] == 100
        seen.clear()


def test_a_loader_and_a_folder_are_read_from_the_beginning(model, digits, default_model):
    loader = torch.utils.data.DataLoader(make_images(model, 100), batch_size=7)
    found = sweep(model, loader, first_latent, betas=[1.0], examples=60)
    assert found.metrics[0].chosen_on + found.metrics[0].reported_on == 60
    assert found.points == sweep(model, make_images(model, 100)[:60], first_latent, betas=[1.0]).points
    with pytest.raises(ValueError, match="10 examples are too few to divide; take at least 40"):
        sweep(default_model, digits[0].parent, "rate", betas=2)


def test_outliers_are_another_set_or_a_class_that_is_held_out(model):
    labels = torch.arange(200) % 4
    x = make_images(model, 200) * 0.2 + 0.75 * (labels == 3).view(-1, 1, 1, 1)
    usual, far = x[labels != 3], x[labels == 3]
    apart = sweep(model, usual, "anomaly*", betas=[0.1, 1.0], outliers=far)
    assert [metric.name for metric in apart.metrics] == sorted(name for name in metrics if name.startswith("anomaly"))
    assert apart.points["anomaly_mahalanobis"][0].value > 0.99
    named = Labels(labels, ("a", "b", "c", "odd"))
    for held_out in ("odd", 3):
        same = sweep(model, x, "anomaly*", betas=[0.1, 1.0], labels=named, held_out_class=held_out)
        assert same.points["anomaly"][0].value == pytest.approx(apart.points["anomaly"][0].value, abs=0.1)
        assert same.data["examples"] == 150
    with pytest.raises(ValueError, match="there is no class 'even'; known: a, b, c, odd"):
        sweep(model, x, "anomaly", labels=named, held_out_class="even")
    with pytest.raises(ValueError, match="held_out_class needs labels, and takes the place of outliers"):
        sweep(model, x, "anomaly", held_out_class=1)


def test_few_outliers_have_an_interval_and_too_few_are_an_error(model, x):
    found = sweep(model, x, "anomaly", betas=[1.0], outliers=make_images(model, 10, seed=5))
    (point,) = found.points["anomaly"]
    assert 0 <= point.low < point.value < point.high <= 1
    with pytest.raises(ValueError, match="9 outliers are too few; take at least 10"):
        sweep(model, x, "anomaly", betas=[1.0], outliers=x[:9])


def test_outliers_raise_no_warning_that_they_are_unlike_the_data(model, caplog, monkeypatch):
    monkeypatch.setattr("mrvae_zoo.models.base.UNLIKE", 0.0)
    plain = model.at(1.0)
    sweep(plain, make_images(model, 60), "anomaly_rate", outliers=make_images(model, 60))
    assert len(caplog.records) == 1  # of the data themselves


def test_any_function_is_a_metric_and_so_is_a_number(model, x):
    def spread(part: Part) -> float:
        return float(part.mean.std())

    spread.higher_is_better = False
    found = sweep(model, x, spread, betas=[0.1, 1.0])
    (metric,) = found.metrics
    assert (metric.name, metric.title, metric.higher_is_better) == ("spread", "spread", False)
    assert found.best().choosing_value == min(point.choosing_value for point in metric.points)
    assert all(point.low < point.value < point.high for point in metric.points)


@pytest.mark.slow
def test_factors_of_the_sprites_are_known():
    torch.manual_seed(0)
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 32, 32), latent_dim=3, widths=(8,)).eval()
    data = mrvae_zoo.load_data("sprites", "test", ".", model.input_shape)
    found = sweep(model, data, ["factor_vae", "dci"], betas=[1.0], examples=200)
    assert 0 <= found.points["dci"][0].value <= 1
    assert 0.1 <= found.points["factor_vae"][0].value <= 1


def test_a_plain_model_has_one_beta_and_its_value_is_that_of_the_whole(model, x):
    whole, plain = sweep(model, x, "rate", betas=[0.5]), sweep(model.at(0.5), x, "rate")
    assert plain.betas == (0.5,)
    assert plain.points["rate"][0].value == pytest.approx(whole.points["rate"][0].value, rel=1e-6)


def test_progress_rises_to_one(model, x):
    shares = []
    sweep(model, x, ["rate", "anomaly_rate"], betas=2, outliers=x, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 4


@pytest.mark.parametrize(
    ("wanted", "options", "message"),
    [
        ("linear_prob", {}, "unknown metric 'linear_prob'; did you mean linear_probe"),
        ("x*", {}, r"no metric matches 'x\*'; there are: active_units, anomaly"),
        ([], {}, "no metric is named; there are: active_units"),
        (["rate", "r*"], {}, "the metric 'rate' is wanted twice"),
        ("knn", {}, r"the metric knn needs labels; pass labels=load_labels\(data, root\)"),
        ("anomaly", {}, r"the metric anomaly needs outliers: other examples \(--outliers\)"),
        ("dci", {}, "the metric dci needs known factors; measure it on the sprites"),
        ("rate", {"betas": 1}, "betas=1 should be at least 2"),
        ("rate", {"betas": []}, "betas is empty"),
        ("rate", {"betas": [99.0]}, "beta=99.0 is outside this model's range"),
        ("rate", {"examples": 5}, "examples=5 should be at least 40"),
        ("knn", {"labels": [0, 1]}, "there are 2 labels for 300 examples; each needs one"),
        ("dci", {"factors": torch.zeros(3, 2).long()}, "there are 3 factors for 300 examples"),
    ],
)
def test_wrong_wishes_are_told_before_the_work(model, x, wanted, options, message):
    with pytest.raises(ValueError, match=message):
        sweep(model, x, wanted, **options)


def test_a_missing_package_is_told_with_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"scikit-learn is not installed; .*\[sweep\]"):
        find_metrics("knn")
    with pytest.raises(MissingExtraError, match=r"torchmetrics is not installed; .*\[sweep\]"):
        find_metrics("ssim")
    assert find_metrics("rate")


def test_a_spatial_model_is_swept_with_latents_averaged_over_places():
    spatial = make_model("mrvae_resnet_spatial", "affine")
    x = torch.rand(48, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    seen = []

    def look(part: Part):
        seen.append(part)
        return part.rate

    sweep(spatial, x, look, betas=[1.0])
    with torch.no_grad():
        posterior = spatial.encode(x, 1.0)
    means = torch.cat([part.mean for part in seen])
    assert means.shape == (48, 6)
    assert torch.allclose(means.mean(0), posterior.mean.mean((0, 2, 3)), atol=1e-5)


# The choice


def points(values, errors=None, reported=None):
    """Points at β = 1, 2, ... with falling rates; what is reported may differ from what β is chosen by."""
    rows = zip(values, errors or [0.01] * len(values), reported or values, strict=True)
    return tuple(
        SweepPoint(
            beta=float(i + 1),
            rate=10.0 - i,
            value=shown,
            low=shown - 0.1,
            high=shown + 0.1,
            choosing_value=value,
            choosing_error=error,
        )
        for i, (value, error, shown) in enumerate(rows)
    )


def swept(*given, higher=True) -> Sweep:
    each = [
        MetricSweep(
            name=name, title=name, higher_is_better=higher, fitted_on=0, chosen_on=50, reported_on=50, points=one
        )
        for name, one in zip("ab", given, strict=False)
    ]
    return Sweep(metrics=tuple(each), data={"name": "toy", "split": "test"}, name="mine")


def test_the_recommended_beta_has_the_lowest_rate_within_one_standard_error_of_the_best():
    found = swept(points([0.5, 0.9, 0.895, 0.889, 0.3], errors=[0.1, 0.01, 0.5, 0.5, 0.5]))
    assert found.best().beta == 2.0
    assert found.recommended().beta == 3.0  # 0.895 is within 0.01 of 0.9, and 0.889 is not
    lower = swept(points([0.5, 0.1, 0.105, 0.2]), higher=False)
    assert (lower.best().beta, lower.recommended().beta) == (2.0, 3.0)
    other = swept(points([0.5, 0.1, 0.105, 0.2], reported=[0.0, 0.9, 0.9, 0.9]), higher=False)
    assert (other.best().beta, other.recommended().beta) == (2.0, 3.0)
    tie = swept(points([0.9, 0.9, 0.1]))
    assert tie.best().beta == 2.0


def test_beta_is_chosen_on_other_examples_than_its_value_is_reported_on():
    found = swept(points([0.5, 0.9, 0.6], reported=[0.95, 0.7, 0.6]), points([0.3, 0.2, 0.1]))
    assert (found.best().beta, found.best().value) == (2.0, 0.7)
    assert found.best("b").beta == 1.0
    with pytest.raises(ValueError, match="this sweep has no metric 'c'; known: a, b"):
        found.best("c")
    assert found.choices()[0] == "a: best and recommended β = 2: 0.70 [0.60, 0.80] at 9 nats"


def test_a_sweep_as_text_json_and_a_table():
    found = swept(points([0.5, 0.9, 0.895]), points([1.0, 2.0, 3.0]))
    plain = json.loads(found.to_json())
    assert plain == json.loads(json.dumps(found.to_plain()))
    assert plain["metrics"][0]["best"] == 2.0
    assert plain["metrics"][0]["recommended"] == 3.0
    assert plain["metrics"][1]["points"][2]["value"] == 3.0
    lines = repr(found).splitlines()
    assert lines[0] == "Sweep over 3 β"
    assert lines[1].split() == ["beta", "rate", "a", "b"]
    assert lines[2].split() == ["1", "10.00", "0.50", "[0.40,", "0.60]", "1.00", "[0.90,", "1.10]"]
    assert len(lines) == 7


def test_a_sweep_as_a_dataframe(monkeypatch):
    pytest.importorskip("pandas")
    frame = swept(points([0.5, 0.9]), points([1.0, 2.0])).to_dataframe()
    assert frame.shape == (4, 8)
    assert frame.query("metric == 'b' and beta == 2")["value"].item() == 2.0
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pandas is not installed; install it with: pip install pandas"):
        swept(points([0.5])).to_dataframe()


def test_a_sweep_says_what_it_was_measured_on(model):
    data = make_data(model, 80)
    found = sweep(model, data, "rate", betas=2)
    assert found.data == {"name": "noise", "split": "test", "examples": 80}
