import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import CHECKOUT, make_data, make_model
from PIL import Image

from mrvae_zoo import RDCurve, RDPoint, create_model, rate_distortion
from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.data.recipe import DataRecipe
from mrvae_zoo.data.sets import ImageData, load_data
from mrvae_zoo.evaluation.measuring import CHUNK
from mrvae_zoo.evaluation.published import deviation, measure_again, measured_split
from mrvae_zoo.evaluation.rate_distortion import example_losses
from mrvae_zoo.gating.beta import log_spaced


def test_betas_are_evenly_spaced_in_log_beta():
    betas = log_spaced((0.01, 10.0), 13)
    assert len(betas) == 13
    assert (betas[0], betas[4], betas[8], betas[12]) == (0.01, 0.1, 1.0, 10.0)
    for i, beta in enumerate(betas):
        assert beta == pytest.approx(0.01 * 1000 ** (i / 12), rel=1e-3)


def test_the_curve_is_the_mean_over_examples_and_draws():
    """Against the plain definition, one example, β and draw at a time."""
    model = make_model("mrvae_mlp", "affine", dtype=torch.float64)
    data = make_data(model, CHUNK + 4)
    curve = rate_distortion(model, data, [0.05, 2.0], samples=3, seed=5, batch_size=100)
    assert curve.data == {"name": "noise", "split": "test", "examples": CHUNK + 4}
    assert (curve.samples, curve.seed) == (3, 5)
    x = data.images.float().div(255).double()
    for point in curve.points:
        rates, distortions = [], []
        for number, chunk in enumerate(x.split(CHUNK)):
            generator = seeded_generator(5, number)
            for _ in range(3):
                noise = torch.randn(len(chunk), 6, generator=generator, dtype=torch.float64)
                for one, its_noise in zip(chunk, noise, strict=True):
                    out = model(one[None], point.beta, noise=its_noise[None])
                    rates.append(out.rate.item())
                    distortions.append(out.distortion.item())
        assert point.rate == pytest.approx(sum(rates) / len(rates), rel=1e-12)
        assert point.distortion == pytest.approx(sum(distortions) / len(distortions), rel=1e-12)


def test_the_losses_of_examples_are_those_of_each_alone():
    """Against the plain definition; their means are the figures of the curve."""
    model = make_model("mrvae_mlp", "affine", dtype=torch.float64)
    data = make_data(model, CHUNK + 4)
    shares = []
    losses = example_losses(model, data, 0.5, samples=2, seed=5, batch_size=100, progress=shares.append)
    assert shares == [CHUNK / (CHUNK + 4), 1.0]
    assert {tensor.dtype for tensor in losses} == {torch.float64}
    rates, distortions = [], []
    for number, chunk in enumerate((data.images.float() / 255).double().split(CHUNK)):
        generator = seeded_generator(5, number)
        draws = [torch.randn(len(chunk), 6, generator=generator, dtype=torch.float64) for _ in range(2)]
        for i, x in enumerate(chunk):
            out = model(x.expand(2, -1, -1, -1), 0.5, noise=torch.stack([draw[i] for draw in draws]))
            rates.append(out.rate[0].item())
            distortions.append(out.distortion.mean().item())
    assert losses.rate.tolist() == pytest.approx(rates, rel=1e-12)
    assert losses.distortion.tolist() == pytest.approx(distortions, rel=1e-12)
    assert losses.at(4.0).tolist() == pytest.approx([d + 4 * r for d, r in zip(distortions, rates, strict=True)])
    (point,) = rate_distortion(model, data, [0.5], samples=2, seed=5).points
    means = (losses.rate.mean().item(), losses.distortion.mean().item())
    assert means == pytest.approx((point.rate, point.distortion), rel=1e-12)
    with pytest.raises(ValueError, match="samples=0 should be at least 1"):
        example_losses(model, data, 0.5, samples=0)


@pytest.mark.parametrize("architecture", ["mrvae_mlp", "mrvae_resnet_spatial"])
def test_the_losses_of_two_models_are_paired_by_image_and_draw(architecture):
    """A gated model without its gates is the ungated one: no example differs, at any β of the range."""
    gated, plain = (make_model(architecture, gating, dtype=torch.float64) for gating in ("affine", "none"))
    data = make_data(plain, CHUNK + 3)
    with torch.no_grad():
        for name, parameter in gated.named_parameters():
            parameter.copy_(plain.state_dict()[name] if name in plain.state_dict() else torch.zeros_like(parameter))
    ours, theirs = (example_losses(model, data, 0.1, samples=2, seed=3) for model in (gated, plain))
    assert torch.equal(ours.rate, theirs.rate)
    assert torch.equal(ours.distortion, theirs.distortion)
    other = example_losses(plain.at(2.0), data, 2.0, samples=2, seed=4)
    assert torch.equal(other.rate, theirs.rate)
    assert (other.distortion != theirs.distortion).all()


def test_the_data_are_read_once(monkeypatch):
    model = make_model("mrvae_mlp", "affine")
    reads = []
    read = ImageData.read
    watch = lambda indices: (reads.append(len(index)) or index for index in indices)  # noqa: E731
    monkeypatch.setattr(ImageData, "read", lambda self, indices: read(self, watch(indices)))
    rate_distortion(model, make_data(model, CHUNK + 3), [0.1, 0.5, 1.0])
    assert reads == [CHUNK, 3]


@pytest.mark.parametrize("architecture", ["mrvae_mlp", "mrvae_resnet_spatial"])
def test_neither_the_batch_size_nor_the_processes_change_the_curve(architecture):
    model = make_model(architecture, "affine", dtype=torch.float64)
    data = make_data(model, 2 * CHUNK + 9)
    whole = rate_distortion(model, data, [0.1, 1.0], seed=3)
    parts = rate_distortion(model, data, [0.1, 1.0], seed=3, batch_size=100)

    sums, curves = [], []
    for rank in (0, 1, 2, 0, 1, 2):  # the first three leave their sums, the others find those of all
        process = Process(rank, 3, sums)
        curves.append(rate_distortion(model, data, [0.1, 1.0], seed=3, accelerator=process))
    assert curves[3] == curves[4] == curves[5]
    assert curves[0] != curves[3]
    for curve in (parts, curves[3]):
        for point, expected in zip(curve.points, whole.points, strict=True):
            assert deviation(expected, point) < 1e-12
            assert point.active_units == expected.active_units


class Process:
    """What `rate_distortion` uses of an Accelerator: one of several processes, its sums left in a list."""

    def __init__(self, rank: int, processes: int, sums: list[torch.Tensor]) -> None:
        self.process_index, self.num_processes, self.sums = rank, processes, sums
        self.device = torch.device("cpu")

    def reduce(self, tensor: torch.Tensor, reduction: str) -> torch.Tensor:
        assert reduction == "sum"
        if len(self.sums) < self.num_processes:
            self.sums.append(tensor)
            return tensor
        return sum(self.sums)


@pytest.mark.long
def test_real_processes_return_the_whole_curve(tmp_path):
    """Two processes of torchrun, with gloo."""
    script = tmp_path / "measure.py"
    script.write_text(
        "import sys, torch; from accelerate import Accelerator; from helpers import make_data, make_model\n"
        "from mrvae_zoo import rate_distortion\n"
        "process = Accelerator(cpu=True)\n"
        "model = make_model('mrvae_mlp', 'affine')\n"
        "curve = rate_distortion(model, make_data(model, 600), [0.1, 1.0], accelerator=process)\n"
        "assert process.num_processes == 2\n"
        "open(f'{sys.argv[1]}/{process.process_index}.json', 'w').write(curve.to_json())\n"
        "process.end_training()\n"  # without it gloo's threads abort the interpreter at its end, now and then
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    paths = [str(CHECKOUT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run([*command, str(script), str(tmp_path)], check=True, env=environment)
    first, second = (RDCurve.read(tmp_path / f"{rank}.json") for rank in (0, 1))
    assert first == second
    model = make_model("mrvae_mlp", "affine")
    alone = rate_distortion(model, make_data(model, 600), [0.1, 1.0])
    assert all(deviation(a, b) < 1e-6 for a, b in zip(alone.points, first.points, strict=True))


def test_a_measurement_is_repeatable_and_its_seed_matters():
    model = make_model("mrvae_mlp", "affine")
    data = make_data(model)
    first, second, other = (rate_distortion(model, data, [0.1, 1.0], seed=seed) for seed in (0, 0, 1))
    assert first == second
    assert first.points != other.points
    assert [p.rate for p in first.points] == [p.rate for p in other.points]  # the rate needs no draw


def test_the_last_batch_counts_by_its_size():
    model = make_model("mrvae_mlp", "affine")
    data = make_data(model, 31)
    whole, parts = (rate_distortion(model, data, [0.3], batch_size=size).points[0].rate for size in (31, 30))
    assert whole == pytest.approx(parts, rel=1e-6)


def test_a_folded_model_has_one_point():
    model = make_model("mrvae_mlp", "affine")
    data = make_data(model)
    plain = rate_distortion(model.at(0.3), data, [0.3])
    assert plain.points == rate_distortion(model, data, [0.3]).points
    with pytest.raises(ValueError, match="folded at β=0.3"):
        rate_distortion(model.at(0.3), data, [0.3, 1.0])


def test_progress_goes_to_one():
    model = make_model("mrvae_mlp", "affine")
    shares = []
    rate_distortion(model, make_data(model, 2 * CHUNK), [0.1, 1.0], progress=shares.append)
    assert shares == [0.5, 1.0]
    rate_distortion(model, make_data(model, CHUNK + 1), [0.1], progress=shares.append)
    assert shares[-1] == 1.0


def test_no_draw_at_all_is_an_error():
    model = make_model("mrvae_mlp", "affine")
    with pytest.raises(ValueError, match="samples=0 should be at least 1"):
        rate_distortion(model, make_data(model), [0.1], samples=0)


@pytest.mark.parametrize("architecture", ["mrvae_mlp", "mrvae_resnet_spatial"])
def test_active_units_are_those_whose_mean_varies(architecture):
    """The encoder's last layer gives latent i a mean that varies less with i, about an offset that does not count."""
    model = make_model(architecture, "affine", dtype=torch.float64).at(0.5)
    data = make_data(model, 300)
    last = [m for m in model.encoder.modules() if hasattr(m, "weight")][-1]
    with torch.no_grad():
        for i in range(6):
            last.weight[i] *= 10 * 10 ** (-i / 2)
            last.bias[i] = 1000.0
    means = model.encode(data.images.float() / 255).mean.movedim(1, -1).flatten(0, -2)
    variance = means.var(0, correction=0)
    assert 0 < (variance > 0.01).sum() < 6
    (point,) = rate_distortion(model, data, [0.5], batch_size=70).points
    assert point.active_units == int((variance > 0.01).sum())


def test_psnr_is_that_of_each_clamped_reconstruction():
    torch.manual_seed(0)
    options = {"likelihood": "gaussian", "sigma": 0.3, "input_shape": (1, 4, 4), "widths": (8,)}
    model = create_model("mrvae_mlp", **options, data_range=(-1.0, 3.0)).eval()
    data = make_data(model, 5)
    (point,) = rate_distortion(model, data, [1.0], seed=2, samples=2).points
    x = -1 + 4 * data.images.float() / 255
    figures = []
    generator = seeded_generator(2, 0)
    for _ in range(2):
        y = model(x, 1.0, noise=torch.randn(5, model.latent_dim, generator=generator)).reconstruction
        figures += [10 * math.log10(16 / (a - b).square().mean().item()) for a, b in zip(x, y, strict=True)]
    assert point.psnr == pytest.approx(sum(figures) / 10, rel=1e-6)
    unbounded = create_model("mrvae_mlp", **options, data_range=None).eval()
    bernoulli = make_model("mrvae_mlp", "affine")
    for other in (unbounded, bernoulli):
        assert rate_distortion(other, make_data(other), [1.0]).points[0].psnr is None
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
        model.decoder.layers[-1].bias.fill_(-1.0)  # black
    black = ImageData(name="black", split="test", images=torch.zeros(3, 1, 4, 4, dtype=torch.uint8))
    assert rate_distortion(model, black, [1.0]).points[0].psnr == pytest.approx(100)


def test_deviation_is_relative_above_one_nat():
    published = RDPoint(beta=1.0, rate=20.0, distortion=80.0)
    assert deviation(published, published) == 0
    assert deviation(published, RDPoint(beta=1.0, rate=20.0, distortion=81.0)) == pytest.approx(1 / 80)
    assert deviation(published, RDPoint(beta=1.0, rate=19.0, distortion=81.0)) == pytest.approx(1 / 20)
    small = RDPoint(beta=10.0, rate=0.001, distortion=200.0)
    assert deviation(small, RDPoint(beta=10.0, rate=0.002, distortion=200.0)) == pytest.approx(0.001)


def test_a_model_without_a_curve_cannot_be_measured_again(tmp_path):
    with pytest.raises(ValueError, match="no curve"):
        measure_again(make_model("mrvae_mlp", "affine"), tmp_path)


def test_a_model_of_any_size_is_measured_again_at_the_size_of_its_curve(tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(30):
        pixels = torch.randint(0, 256, (9 + i % 3, 11), dtype=torch.uint8, generator=torch.Generator().manual_seed(i))
        Image.fromarray(pixels.numpy()).save(tmp_path / "photos" / f"{i}.png")
    model = make_model("mrvae_resnet_spatial", "affine")
    data = load_data(DataRecipe(name="photos", size=(8, 16)), "test", tmp_path, model.input_shape)
    model.curve = rate_distortion(model, data, [0.1, 1.0])
    assert model.curve.data["size"] == [8, 16]
    assert measure_again(model, tmp_path) == model.curve


def test_a_curve_of_a_validation_split_is_measured_again_on_it(tmp_path):
    (tmp_path / "own").mkdir()
    images = torch.randint(0, 256, (12, 2, 5, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    np.savez(tmp_path / "own" / "train.npz", images=images.numpy())  # and no test.npz: nothing else can be read
    model = make_model("mrvae_mlp", "affine")
    data = load_data(DataRecipe(name="own", held_out=4, binarize="dynamic"), "valid", tmp_path, model.input_shape)
    model.curve = rate_distortion(model, data, [0.1, 1.0])
    assert (model.curve.data["split"], model.curve.data["examples"]) == ("valid", 4)
    assert measure_again(model, tmp_path) == model.curve


@pytest.mark.slow
def test_the_embedded_model_keeps_its_promise(default_model, data_root):
    """On Larochelle's binarised test set, one draw, one β at a time; and with a rate that falls with β."""
    split = measured_split(default_model, data_root, data_name="binarized_mnist")
    curve = rate_distortion(default_model, split, default_model.curve.betas)
    losses = {point.beta: point.loss for point in curve.points}
    for beta, bound in ((0.01, 58.0), (0.1, 65.0), (1.0, 97.0), (10.0, 187.0)):
        assert losses[beta] <= bound, beta
    assert curve.data == {"name": "binarized_mnist", "split": "test", "examples": 10000}
    rates = [point.rate for point in curve.points]
    assert rates == sorted(rates, reverse=True)
    assert all(math.isfinite(rate) for rate in rates)


def test_total_correlation_is_that_of_the_aggregate_posterior():
    """Against mixtures of torch.distributions over the data, at the same draws."""
    model = make_model("mrvae_mlp", "affine", dtype=torch.float64)
    data = make_data(model, 40)
    curve = rate_distortion(model, data, [1.0, 4.0], seed=3, total_correlation=True)
    assert rate_distortion(model, data, [1.0], seed=3).points[0].total_correlation is None
    for point in curve.points:
        posterior = model.encode(data.prepare(data.images), point.beta)
        z = posterior.sample(seeded_generator(3, 0))
        normal = torch.distributions.Normal(posterior.mean, (0.5 * posterior.log_var).exp())
        each = torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(torch.ones(6, 40).double()),
            torch.distributions.Normal(normal.loc.T, normal.scale.T),
        )
        whole = torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(torch.ones(40).double()), torch.distributions.Independent(normal, 1)
        )
        expected = (whole.log_prob(z) - each.log_prob(z).sum(1)).mean().item()
        assert point.total_correlation == pytest.approx(expected, abs=1e-9)
    model.curve = curve
    assert RDCurve.from_json(curve.to_json()) == curve
