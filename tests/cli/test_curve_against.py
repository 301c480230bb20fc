"""`mrvae curve --against`: two curves side by side."""

import json

import pytest
from helpers import failed, ok

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
    first, second, last = (line.split() for line in done.stdout.splitlines()[1:])
    assert first == ["0.1", "30.00", "20.00", "70.00", "80.00", "73.00", "82.00", "-10.98%"]
    assert [cell.endswith("*") for cell in second] == [False, False, True, False, True, False, True, False]
    assert last[-1] == "+5.00%"
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


def test_what_cannot_be_compared(mrvae, two, tmp_path):
    mrvae_zoo.save_pretrained(mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 2, 2)), tmp_path / "bare")
    failed(mrvae("curve", "a", "--against", "bare"), "mrvae: bare has no published curve to compare with")
    failed(mrvae("curve", "a", "--against", "local-dir:nowhere"), "nowhere: no such folder")
    save(tmp_path / "far", {}, (20, 1, 90))
    failed(mrvae("curve", "a", "--against", "far"), "the curves have no β in common")
