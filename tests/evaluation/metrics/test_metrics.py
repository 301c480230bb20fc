"""The metrics of a sweep, each against a library or a case whose answer is known."""

import math

import numpy as np
import pytest
import torch
from helpers import make_model
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score, roc_auc_score

from mrvae_zoo import create_model, mutual_information_gap
from mrvae_zoo.data.sprites import FACTORS
from mrvae_zoo.evaluation.disentanglement import gap
from mrvae_zoo.evaluation.metrics import anomaly, factors, images, latents, probes, retrieval
from mrvae_zoo.evaluation.metrics.base import Metric, Part, mean_of

NETWORK = make_model("mrvae_mlp", "affine").at(1.0)


def part(mean, **fields) -> Part:
    mean = torch.as_tensor(mean, dtype=torch.float32)
    rate = fields.pop("rate", torch.zeros(len(mean), dtype=torch.float64))
    return Part(beta=0.5, mean=mean, log_var=torch.zeros_like(mean), rate=rate, network=NETWORK, **fields)


def blobs(count, *, seed, distance=6.0):
    """Three classes, each around a corner of a triangle; nothing else tells them apart."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    mean = rng.normal(size=(count, 4))
    mean[:, :3] += distance * np.eye(3)[labels]
    return part(mean, labels=torch.from_numpy(labels))


# Probes and retrieval


@pytest.mark.parametrize("metric", [probes.LINEAR_PROBE, probes.KNN])
def test_a_probe_finds_what_is_there_and_nothing_else(metric):
    score = metric.scorer(blobs(200, seed=0))
    found = score(blobs(100, seed=1))
    assert found.shape == (100,)
    assert found.mean() > 0.98
    lost = metric.scorer(blobs(600, seed=0, distance=0.0))(blobs(600, seed=1, distance=0.0))
    assert 0.2 < lost.mean() < 0.45


def test_a_linear_probe_does_not_depend_on_the_scale_of_a_latent():
    fit, test = blobs(200, seed=0, distance=2.0), blobs(200, seed=1, distance=2.0)
    scale = torch.tensor([1.0, 1e-3, 1e3, 1.0])
    scaled = probes.LINEAR_PROBE.scorer(part(fit.mean * scale, labels=fit.labels))
    other = scaled(part(test.mean * scale, labels=test.labels))
    assert torch.equal(other, probes.LINEAR_PROBE.scorer(fit)(test))


def test_too_few_examples_for_a_probe_are_an_error():
    with pytest.raises(ValueError, match=r"4 labelled examples of \d classes are too few to fit a probe on"):
        probes.KNN.scorer(blobs(4, seed=0))
    with pytest.raises(ValueError, match="of 1 classes"):
        probes.LINEAR_PROBE.scorer(part(torch.randn(20, 3), labels=torch.ones(20, dtype=torch.long)))


def test_retrieval_is_the_average_precision_of_the_library():
    fit, queries = blobs(50, seed=0, distance=1.0), blobs(12, seed=1, distance=1.0)
    found = retrieval.RETRIEVAL.scorer(fit)(queries)
    unit = [(each.mean / each.mean.norm(dim=1, keepdim=True)).numpy() for each in (queries, fit)]
    similarity = unit[0] @ unit[1].T
    for row, label, ours in zip(similarity, queries.labels, found, strict=True):
        relevant = (fit.labels == label).numpy()[None]
        assert ours.item() == pytest.approx(label_ranking_average_precision_score(relevant, row[None]), abs=1e-6)


# Anomalies


def test_roc_and_precision_are_those_of_the_library_also_with_weights_and_ties():
    rng = np.random.default_rng(0)
    marks = rng.integers(2, size=80)
    scores = (rng.normal(size=80) + marks).round(1)  # with ties
    weights = rng.integers(4, size=(3, 80))
    figures = torch.from_numpy(np.stack([scores, marks], 1))
    ours = anomaly.area_under_roc(figures, torch.from_numpy(weights).double())
    precision = anomaly.average_precision(figures, torch.from_numpy(weights).double())
    for row, weight in enumerate(weights):
        kept = weight > 0
        given = (marks[kept], scores[kept])
        assert ours[row].item() == pytest.approx(roc_auc_score(*given, sample_weight=weight[kept]))
        assert precision[row].item() == pytest.approx(average_precision_score(*given, sample_weight=weight[kept]))


def test_outliers_are_scored_by_loss_distortion_rate_and_distance():
    rng = torch.Generator().manual_seed(0)

    def losses(count, rate, distortion):
        return {
            "rate": rate + torch.rand(count, generator=rng).double(),
            "distortion": distortion + torch.rand(count, generator=rng).double(),
        }

    usual = torch.randn(200, 2, generator=rng) * torch.tensor([5.0, 0.1])
    far = torch.randn(50, 2, generator=rng) * torch.tensor([5.0, 0.1]) + torch.tensor([0.0, 2.0])
    fit = part(usual, **losses(200, 0, 0))
    # Of twice the rate, and less distortion: D + βR with β = 0.5 cannot tell them apart, R tells them exactly.
    others = part(far, **losses(50, 10, -5))
    test = part(usual, outliers=others, **losses(200, 0, 0))
    found = {}
    for metric in anomaly.ANOMALY:
        figures = metric.scorer(fit)(test)
        assert figures.shape == (250, 2)
        assert figures[:, 1].sum() == 50
        found[metric.name] = metric.statistic(figures, torch.ones(1, 250, dtype=torch.float64)).item()
    assert found["anomaly_rate"] == found["anomaly_rate_ap"] == 1.0
    assert found["anomaly_distortion"] == 0.0
    assert 0.3 < found["anomaly"] < 0.7
    assert found["anomaly_mahalanobis"] > 0.99


# Factors


def test_the_gap_is_that_of_the_module_that_measures_one_model():
    rng = np.random.default_rng(0)
    information = torch.from_numpy(rng.random((6, len(FACTORS), 4)))
    weights = torch.from_numpy(rng.integers(3, size=(2, 6))).double()
    ours = factors.mean_gap(information, weights)
    for row, weight in enumerate(weights):
        mean = (information * weight[:, None, None]).sum(0) / weight.sum()
        assert ours[row].item() == pytest.approx(gap(dict(zip(FACTORS, mean, strict=True)), FACTORS).score)
    with pytest.raises(ValueError, match="the model has one"):
        factors.mean_gap(information[:, :, :1], weights)


@pytest.mark.slow
def test_the_gap_of_a_model_is_that_of_its_curve(monkeypatch):
    monkeypatch.setattr(factors, "DRAWS", 20)
    torch.manual_seed(0)
    model = create_model("mrvae_mlp", input_shape=(1, 32, 32), latent_dim=3, widths=(8,)).eval()
    some = part(torch.zeros(4, 3), seed=1)
    some = Part(**{key: getattr(some, key) for key in some.__slots__} | {"network": model.at(0.5)})
    with torch.no_grad():
        information = factors.MIG.scorer(some)(some)
    assert information.shape == (factors.REPEATS, 5, 3)
    ours = factors.mean_gap(information, torch.ones(1, factors.REPEATS).double()).item()
    assert ours == pytest.approx(mutual_information_gap(model, 0.5, samples=200).score, abs=0.02)
    with pytest.raises(ValueError, match="measured on the sprites"):
        factors.MIG.scorer(part(torch.zeros(4, 6)))


def with_factors(mix, count=600, seed=0):
    """Latents that are factors of 4, 3 and 5 values times `mix`, and a dead one."""
    rng = np.random.default_rng(seed)
    given = np.stack([rng.integers(size, size=count) for size in (4, 3, 5)], 1)
    mean = given @ np.asarray(mix, float) + 0.01 * rng.normal(size=(count, 3))
    return part(np.concatenate([mean, 1e-3 * rng.normal(size=(count, 1))], 1), factors=torch.from_numpy(given))


def test_one_latent_for_each_factor_is_disentangled_and_a_mixture_is_not():
    apart, mixed = with_factors(np.eye(3)), with_factors([[1, 1, 1], [1, -1, 1], [1, 1, -1]])
    assert factors.disentanglement(factors.importance(apart)) > 0.95
    assert factors.disentanglement(factors.importance(mixed)) < 0.5
    assert factors.FACTOR_VAE.scorer(apart)(with_factors(np.eye(3), seed=1)).mean() == 1.0
    votes = factors.FACTOR_VAE.scorer(mixed)(with_factors([[1, 1, 1], [1, -1, 1], [1, 1, -1]], seed=1))
    assert votes.mean() < 0.9


def test_disentanglement_is_one_minus_the_entropy_of_importance():
    assert factors.disentanglement(torch.eye(3).double()) == pytest.approx(1.0)
    assert factors.disentanglement(torch.ones(3, 3).double()) == pytest.approx(0.0)
    # One latent for one factor (weight 1), one shared by two factors evenly (weight 2).
    given = torch.tensor([[1.0, 0, 0], [0, 1.0, 1.0]]).double()
    assert factors.disentanglement(given) == pytest.approx((1 + 2 * (1 - math.log(2) / math.log(3))) / 3)


# Latents and images


def test_active_units_are_counted_by_variance():
    means = torch.tensor([0.5, 0.2, 0.05]) * torch.randn(400, 3, generator=torch.Generator().manual_seed(0)) + 7
    score = latents.ACTIVE_UNITS.scorer(part(means))
    weights = torch.ones(2, 400, dtype=torch.float64)
    weights[1, 1:] = 0  # a single example does not vary
    assert latents.count_active(score(part(means)), weights).tolist() == [2.0, 0.0]


@pytest.mark.slow
def test_psnr_and_ssim_of_each_image():
    x = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    near = (x + 0.1 * torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1, 1)).clamp(0, 1)
    psnr, ssim = images.psnr(x, near), images.ssim(x, near)
    assert psnr[0] == images.HIGHEST_PSNR
    for i in (1, 2):
        assert psnr[i].item() == pytest.approx(-10 * math.log10((x[i] - near[i]).square().mean().item()), abs=1e-4)
    assert ssim[0].item() == pytest.approx(1.0)
    assert ssim[0] > ssim[1] > ssim[2]
    assert torch.allclose(ssim[1:2], images.ssim(x[1:2], near[1:2]))
    with pytest.raises(ValueError, match="images of 8×9 are too small for ssim"):
        images.ssim(x[..., :9, :8], near[..., :9, :8])


def test_a_metric_is_measured_in_one_way():
    with pytest.raises(ValueError, match="'both' should have prepare or compare, and one of them"):
        Metric(name="both", title="both")
    assert mean_of(torch.tensor([1.0, 3.0]), torch.tensor([[1.0, 1.0], [3.0, 1.0]]).double()).tolist() == [2.0, 1.5]
