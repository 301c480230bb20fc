"""`mrvae curve --against`: two curves side by side."""

import json
import math

import pytest
from helpers import failed, ok
from scipy.interpolate import PchipInterpolator

import mrvae_zoo
from mrvae_zoo import RDCurve, RDPoint

pytestmark = pytest.mark.slow


def save(folder, data, *points):
    model = mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 2, 2))
    model.curve = RDCurve(points=tuple(RDPoint(beta=b, rate=r, distortion=d) for b, r, d in points), data=data)
    mrvae_zoo.save_pretrained(model, folder)


@pytest.fixture
def two(tmp_path):
    save(tmp_path / "a", {"name": "mnist"}, (0.1, 20, 80), (1, 10, 90))
    save(tmp_path / "b", {"name": "omniglot"}, (0.1, 30, 70), (0.5, 20, 75), (1, 10, 95))


def test_two_curves_are_compared(mrvae, two, tmp_path):
    done = ok(mrvae("curve", "b", "--against", "a", "-o", "both.png"))
    first, second, last, *mean = (line.split() for line in done.stdout.splitlines()[1:])
    assert first == ["0.1", "30.00", "20.00", "70.00", "80.00", "73.00", "82.00", "-10.98%"]
    assert [cell.endswith("*") for cell in second] == [False, False, True, False, True, False, True, False]
    assert last[-1] == "+5.00%"
    # From D = 80 to 90, log R of a falls linearly from log 20 to log 10; b is a PCHIP through three points.
    fitted = PchipInterpolator([70, 75, 95], [math.log(30), math.log(20), math.log(10)]).integrate(80, 90) / 10
    rate = math.exp(fitted - math.log(200) / 2) - 1
    # From log R = log 10 to log 20, D of a falls linearly from 90 to 80.
    logs = [math.log(10), math.log(20), math.log(30)]
    nats = PchipInterpolator(logs, [95, 75, 70]).integrate(logs[0], logs[1]) / math.log(2) - 85
    assert [" ".join(line) for line in mean] == [
        f"BD-rate {rate:+.2%}: the mean change in rate from a at equal distortion",
        f"BD-distortion {nats:+.2f} nats: the mean change in distortion from a at equal rate",
    ]
    assert done.stderr.splitlines() == [
        "wrote both.png",
        "* interpolated: not measured at this β",
        "measured on different data: b on name omniglot; a on name mnist",
    ]
    assert (tmp_path / "both.png").stat().st_size > 10_000
    told = json.loads(ok(mrvae("curve", "b", "--against", "a", "--json")).stdout)
    assert (told["name"], told["against"], told["same_data"]) == ("b", "a", False)
    assert [point["against"]["interpolated"] for point in told["points"]] == [False, True, False]
    assert told["points"][2]["model"] == {"rate": 10, "distortion": 95, "loss": 105, "interpolated": False}
    assert told["points"][2]["loss_change"] == 0.05
    assert told["bd_rate"] == pytest.approx(rate)
    assert told["bd_distortion"] == pytest.approx(nats)


def test_curves_that_share_no_distortion_say_so_in_a_line(mrvae, two, tmp_path):
    save(tmp_path / "c", {"name": "mnist"}, (0.1, 20, 380), (1, 10, 390))
    done = ok(mrvae("curve", "c", "--against", "a"))
    assert len(done.stdout.splitlines()) == 4
    assert done.stdout.splitlines()[-1].startswith("BD-distortion +300.00 nats: ")
    assert (
        done.stderr
        == "no BD-rate: the curves have no range of distortion in common: they cover [80, 90] and [380, 390]\n"
    )
    told = json.loads(ok(mrvae("curve", "c", "--against", "a", "--json")).stdout)
    assert told["bd_rate"] is None
    assert told["bd_distortion"] == pytest.approx(300)


def test_what_cannot_be_compared(mrvae, two, tmp_path):
    mrvae_zoo.save_pretrained(mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 2, 2)), tmp_path / "bare")
    failed(mrvae("curve", "a", "--against", "bare"), "mrvae: bare has no published curve to compare with")
    failed(mrvae("curve", "a", "--against", "local-dir:nowhere"), "nowhere: no such folder")
    save(tmp_path / "far", {}, (20, 1, 90))
    failed(mrvae("curve", "a", "--against", "far"), "the curves have no β in common")
