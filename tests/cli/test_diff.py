import json

import mrvae_zoo
from mrvae_zoo import RDCurve, RDPoint


def save(folder, data, *points):
    model = mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 2, 2))
    model.curve = RDCurve(points=tuple(RDPoint(beta=b, rate=r, distortion=d) for b, r, d in points), data=data)
    mrvae_zoo.save_pretrained(model, folder)


def test_two_curves_are_compared(mrvae, tmp_path):
    save(tmp_path / "a", {"name": "mnist"}, (0.1, 20, 80), (1, 10, 90))
    save(tmp_path / "b", {"name": "omniglot"}, (0.1, 30, 70), (0.5, 20, 75), (1, 10, 95))
    done = mrvae("diff", "local-dir:a", "local-dir:b")
    assert done.returncode == 0, done.stderr
    first, second, last = (line.split() for line in done.stdout.splitlines()[1:])
    assert first == ["0.1", "20.00", "30.00", "80.00", "70.00", "82.00", "73.00", "-10.98%"]
    assert [cell.endswith("*") for cell in second] == [False, True, False, True, False, True, False, False]
    assert last[-1] == "+5.00%"
    assert done.stderr.splitlines() == [
        "* interpolated: not measured at this β",
        "measured on different data: A on name mnist; B on name omniglot",
    ]

    told = json.loads(mrvae("diff", "local-dir:a", "local-dir:b", "--json").stdout)
    assert (told["a"], told["same_data"]) == ({"name": "local-dir:a", "data": {"name": "mnist"}}, False)
    assert [point["interpolated"] for point in told["points"]] == [[], ["a"], []]
    assert told["points"][2]["b"] == {"rate": 10, "distortion": 95, "loss": 105}
    assert told["points"][2]["loss_change"] == 0.05


def test_a_model_without_a_curve_is_told(mrvae, tmp_path):
    mrvae_zoo.save_pretrained(mrvae_zoo.create_model("mrvae_linear", input_shape=(1, 2, 2)), tmp_path / "a")
    done = mrvae("diff", "local-dir:a", "local-dir:a")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "mrvae: local-dir:a has no published curve to compare\n",
    )


def test_a_folder_that_is_not_there_is_told(mrvae):
    done = mrvae("diff", "local-dir:nowhere", "mrvae_mlp.mnist")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "mrvae: nowhere: no such folder\n")
