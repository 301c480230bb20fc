"""Each command, run as a user runs it."""

import json
from hashlib import sha256

import numpy as np
import pytest
import safetensors
import torch
from helpers import CHECKOUT, DEFAULT_MODEL, FINISHED, ok
from PIL import Image

import mrvae_zoo
from mrvae_zoo.evaluation.disentanglement import mutual_information_gap

pytestmark = pytest.mark.slow


def pixels(path) -> np.ndarray:
    """(H, W), from 0 to 1."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"), dtype=float) / 255


def test_version_and_help(mrvae):
    assert ok(mrvae("--version")).stdout == f"mrvae_zoo {mrvae_zoo.__version__}\n"
    text = ok(mrvae("--help")).stdout
    commands = ("list", "info", "reconstruct", "sample", "encode", "decode", "curve", "verify", "train", "export")
    for command in (*commands, "init-recipe", "benchmark", "compare", "card", "push", "publish"):
        assert f"\n  {command} " in text
    assert mrvae("diff").returncode == 2


def test_list(mrvae):
    lines = ok(mrvae("list")).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == mrvae_zoo.list_models()
    listed = json.loads(ok(mrvae("list", "*mlp*", "--pretrained", "--json")).stdout)
    with_weights = mrvae_zoo.list_models("*mlp*", pretrained=True)
    assert DEFAULT_MODEL in with_weights
    assert with_weights == [model["name"] for model in listed if model["weights"]]
    assert ok(mrvae("list", "nothing")).stdout == ""


def test_info(mrvae, default_model):
    text = ok(mrvae("info", DEFAULT_MODEL)).stdout
    assert "mrvae_mlp" in text
    assert f"{default_model.curve.points[0].rate:.2f}" in text
    data = json.loads(ok(mrvae("info", DEFAULT_MODEL, "--json")).stdout)
    assert data["parameters"] == sum(p.numel() for p in default_model.parameters())
    assert data["config"]["latent_dim"] == 32
    assert len(data["curve"]["points"]) == len(default_model.curve.points)


def test_reconstruct_draws_a_row_a_beta_and_prints_what_it_costs(mrvae, digits, tmp_path, default_model):
    done = ok(mrvae("reconstruct", DEFAULT_MODEL, *digits, "--beta", 1, "--beta", 0.1, "-o", "grid.png", "--json"))
    points = json.loads(done.stdout)["points"]
    assert [point["beta"] for point in points] == [0.1, 1.0]
    with torch.no_grad():
        rate = default_model(default_model.preprocess(digits), 0.1).rate.mean().item()
    assert points[0]["rate"] == pytest.approx(rate, rel=1e-4)
    grid = pixels(tmp_path / "grid.png")
    assert grid.shape[0] == 2 * 16 + 3 * 60 - 4
    tile = grid[16:72:2, -16 - 56 : -16 : 2]  # the last digit of the first row, at its own size
    assert np.abs(tile - pixels(digits[-1])).max() < 0.01
    assert done.stderr == "wrote grid.png\n"


def test_reconstruct_takes_seven_betas_of_its_own(mrvae, digits, tmp_path):
    lines = ok(mrvae("reconstruct", DEFAULT_MODEL, digits[0], "-o", "grid.png")).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["beta", "0.01", "0.03162", "0.1", "0.3162", "1", "3.162", "10"]


def test_a_photo_is_converted_and_that_is_said(mrvae, tmp_path):
    Image.new("RGB", (640, 480), "white").save(tmp_path / "photo.jpg")
    done = ok(mrvae("reconstruct", DEFAULT_MODEL, "photo.jpg", "--beta", 1, "-o", "grid.png"))
    assert "photo.jpg (RGB 640×480) is converted to grey 28×28" in done.stderr
    assert "converted" not in done.stdout


def test_sample(mrvae, tmp_path):
    for name, seed in (("a.png", 0), ("b.png", 0), ("c.png", 1)):
        ok(mrvae("sample", DEFAULT_MODEL, "--beta", 1, "-n", 10, "--seed", seed, "-o", name))
    a, b, c = (pixels(tmp_path / name) for name in ("a.png", "b.png", "c.png"))
    assert a.shape == (2 * 16 + 2 * 60 - 4, 2 * 16 + 8 * 60 - 4)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_encode_and_decode(mrvae, digits, tmp_path, default_model):
    done = ok(mrvae("encode", DEFAULT_MODEL, *digits[:3], "--beta", 0.1, "-o", "l.safetensors"))
    assert "3 images" in done.stderr
    ok(mrvae("decode", "l.safetensors", "-o", "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png"]
    with torch.no_grad():
        expected = default_model(default_model.preprocess(digits[2]), 0.1, sample=False).reconstruction[0, 0]
    got = pixels(tmp_path / "out" / "2.png")
    assert np.abs(got - expected.numpy()).max() < 0.01


def test_encode_at_a_rate_finds_beta_on_the_curve(mrvae, digits, tmp_path, default_model):
    ok(mrvae("encode", DEFAULT_MODEL, *digits, "--rate", 20, "-o", "l.safetensors"))
    with safetensors.safe_open(tmp_path / "l.safetensors", framework="pt") as file:
        info = json.loads(file.metadata()["info"])
        assert file.get_tensor("mean").shape == file.get_tensor("log_var").shape == (10, 32)
    assert info["beta"] == pytest.approx(default_model.curve.beta_for(rate=20))
    assert info["source"] == DEFAULT_MODEL
    assert info["files"] == [str(path) for path in digits]
    assert info["input_shape"] == [1, 28, 28]
    assert len(info["revision"]) == 64


def test_two_inputs_of_one_name_do_not_overwrite_each_other(mrvae, digits, tmp_path):
    for folder, digit in (("a", digits[3]), ("b", digits[8])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(digit.read_bytes())
    ok(mrvae("encode", DEFAULT_MODEL, "a/x.png", "b/x.png", "--beta", 0.01, "-o", "l.safetensors"))
    ok(mrvae("decode", "l.safetensors", "-o", "out"))
    three, eight = (pixels(tmp_path / "out" / name) for name in ("a/x.png", "b/x.png"))
    for got, digit in ((three, digits[3]), (eight, digits[8])):
        assert np.abs(got - pixels(digit)).mean() < 0.05
    assert np.abs(three - eight).mean() > 0.05


def test_decode_with_force_keeps_other_files(mrvae, digits, tmp_path):
    ok(mrvae("encode", DEFAULT_MODEL, digits[0], "--beta", 1, "-o", "l.safetensors"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    ok(mrvae("decode", "l.safetensors", "-o", "out", "--force"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "mine.txt"]


def test_export_to_onnx(mrvae, digits, tmp_path, default_model):
    onnxruntime = pytest.importorskip("onnxruntime")
    done = ok(mrvae("export", DEFAULT_MODEL, "--format", "onnx", "-o", "m.onnx"))
    assert done.stdout == ""
    assert done.stderr == f"wrote m.onnx: {(tmp_path / 'm.onnx').stat().st_size / 1e6:.1f} MB\n"
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    x, beta = default_model.preprocess(digits), np.geomspace(0.01, 10, 10).astype(np.float32)
    noise = np.zeros((10, 32), dtype=np.float32)
    (got,) = session.run(["reconstruction"], {"x": x.numpy(), "beta": beta, "noise": noise})
    with torch.no_grad():
        expected = default_model(x, torch.from_numpy(beta), sample=False).reconstruction
    assert np.abs(got - expected.numpy()).max() < 1e-4


def test_export_of_a_folded_decoder_to_pt2(mrvae, tmp_path, default_model):
    (tmp_path / "d.pt2").touch()
    ok(mrvae("export", DEFAULT_MODEL, "--format", "pt2", "--part", "decoder", "--beta", 0.5, "-o", "d.pt2", "--force"))
    z = torch.randn(3, 32)
    with torch.no_grad():
        got = torch.export.load(tmp_path / "d.pt2").module()(z)["reconstruction"]
        assert (got - default_model.decode(z, 0.5)).abs().max() < 1e-4


def test_a_folded_model_is_a_source(mrvae, digits, tmp_path, default_model):
    mrvae_zoo.save_pretrained(default_model.at(0.5), tmp_path / "plain")
    ok(mrvae("encode", "local-dir:plain", digits[0], "--beta", 0.5, "-o", "l.safetensors"))
    ok(mrvae("decode", "l.safetensors", "-o", "out"))
    lines = ok(mrvae("reconstruct", "local-dir:plain", digits[0], "-o", "g.png")).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["beta", "0.5"]
    done = mrvae("encode", "local-dir:plain", digits[0], "--beta", 1, "-o", "m.safetensors")
    assert done.returncode == 1
    assert "folded at β=0.5" in done.stderr


def test_latents_of_other_weights_are_not_decoded(mrvae, digits, tmp_path, default_model):
    mrvae_zoo.save_pretrained(default_model, tmp_path / "m")
    ok(mrvae("encode", "local-dir:m", digits[0], "--beta", 0.5, "-o", "l.safetensors"))
    mrvae_zoo.save_pretrained(default_model, tmp_path / "m", dtype=torch.bfloat16)
    done = mrvae("decode", "l.safetensors", "-o", "out")
    assert done.returncode == 1
    assert "was encoded by other weights" in done.stderr
    assert not (tmp_path / "out").exists()


def test_curve_prints_the_published_one(mrvae, default_model):
    lines = ok(mrvae("curve", DEFAULT_MODEL)).stdout.splitlines()
    assert lines[0].split() == ["beta", "rate", "distortion", "loss", "draws", "active_units"]
    assert len(lines) == 1 + len(default_model.curve.points)
    point = default_model.curve.points[4]
    assert lines[5].split()[:4] == ["0.1", f"{point.rate:.2f}", f"{point.distortion:.2f}", f"{point.loss:.2f}"]
    data = json.loads(ok(mrvae("curve", DEFAULT_MODEL, "--json")).stdout)
    assert mrvae_zoo.RDCurve.from_json(json.dumps(data)) == default_model.curve


def test_curve_draws_a_plot(mrvae, tmp_path):
    done = ok(mrvae("curve", DEFAULT_MODEL, "-o", "curve.png", "--json"))
    assert json.loads(done.stdout)["points"]
    assert "wrote curve.png" in done.stderr
    with Image.open(tmp_path / "curve.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 400
    again = mrvae("curve", DEFAULT_MODEL, "-o", "curve.png")
    assert again.returncode == 1
    assert "curve.png exists; pass --force" in again.stderr
    assert again.stdout == ""
    ok(mrvae("curve", DEFAULT_MODEL, "-o", "curve.png", "--force"))
    assert "no such folder" in mrvae("curve", DEFAULT_MODEL, "-o", "none/curve.png").stderr


def test_the_table_has_a_column_for_each_figure_that_is_there(mrvae, tmp_path, default_model):
    model = mrvae_zoo.load_pretrained(DEFAULT_MODEL)
    points = (
        mrvae_zoo.RDPoint(beta=0.1, rate=60.0, distortion=52.0, active_units=0, psnr=21.257),
        mrvae_zoo.RDPoint(beta=1.0, rate=25.0, distortion=68.0, psnr=18.0),
    )
    model.curve = mrvae_zoo.RDCurve(points=points)
    mrvae_zoo.save_pretrained(model, tmp_path / "m")
    rows = [line.split() for line in ok(mrvae("curve", "local-dir:m")).stdout.splitlines()]
    assert rows == [
        ["beta", "rate", "distortion", "loss", "active_units", "psnr"],
        ["0.1", "60.00", "52.00", "58.00", "0", "21.26"],
        ["1", "25.00", "68.00", "93.00", "18.00"],
    ]
    data = json.loads(ok(mrvae("info", "local-dir:m", "--json")).stdout)
    assert data["curve"]["points"][1] == {"beta": 1.0, "rate": 25.0, "distortion": 68.0, "psnr": 18.0}


def test_curve_with_the_gap_on_the_sprites(mrvae, tmp_path):
    torch.manual_seed(0)
    model = mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 32, 32), latent_dim=3, widths=(8,)).eval()
    points = tuple(mrvae_zoo.RDPoint(beta=beta, rate=1.0, distortion=2.0) for beta in (0.1, 1.0))
    model.curve = mrvae_zoo.RDCurve(points=points)
    mrvae_zoo.save_pretrained(model, tmp_path / "m")
    rows = [line.split() for line in ok(mrvae("curve", "local-dir:m", "--mig")).stdout.splitlines()]
    assert rows[0] == ["beta", "rate", "distortion", "loss", "mutual_information_gap"]
    for row, point in zip(rows[1:], points, strict=True):
        assert row[-1] == f"{mutual_information_gap(model, point.beta).score:.3f}"
    other = mrvae("curve", DEFAULT_MODEL, "--mig")
    assert other.returncode == 1
    assert "is measured on the sprites, grey images of 32×32 pixels, and this model takes (1, 28, 28)" in other.stderr
    assert other.stderr.count("\n") == 1


@pytest.mark.long
def test_curve_on_another_data_set(mrvae, data_root):
    options = ("--data-root", data_root, "--data", "binarized_mnist", "--draws", 1, "--json")
    done = ok(mrvae("curve", DEFAULT_MODEL, *options))
    curve = mrvae_zoo.RDCurve.from_json(done.stdout)
    assert curve.data["name"] == "binarized_mnist"
    assert curve.points[8].loss <= 97


def test_verify_passes_for_the_published_curve_and_fails_for_another(mrvae, data_root, tmp_path, default_model):
    done = ok(mrvae("verify", DEFAULT_MODEL, "--data-root", data_root))
    assert "verified: off by" in done.stderr
    checksum = sha256((CHECKOUT / "registry" / DEFAULT_MODEL / "model.safetensors").read_bytes()).hexdigest()
    assert f"{DEFAULT_MODEL}: checksum {checksum}, as in config.json" in done.stderr
    worse = mrvae_zoo.load_pretrained(DEFAULT_MODEL)
    first, fifth = default_model.curve.points[0], default_model.curve.points[4]
    points = (first, mrvae_zoo.RDPoint(beta=0.1, rate=fifth.rate * 1.02, distortion=fifth.distortion))
    worse.curve = mrvae_zoo.RDCurve(points=points, data=default_model.curve.data)
    mrvae_zoo.save_pretrained(worse, tmp_path / "worse")
    done = mrvae("verify", "local-dir:worse", "--data-root", data_root)
    assert done.returncode == 1
    assert "does not have its published curve: off by 1.9" in done.stderr
    assert "at β=0.1" in done.stderr


def test_train_on_real_digits(mrvae, data_root, tmp_path):
    """A short form of the training of the embedded model; then everything is done with what it left."""
    sets = ["training.epochs=2", "data.limit=6000", "training.warmup_steps=10", "training.batch_size=64"]
    arguments = [part for one in sets for part in ("--set", one)]
    done = ok(mrvae("train", DEFAULT_MODEL, "--data-root", data_root, "-o", "run", *arguments))
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == FINISHED
    curve = mrvae_zoo.RDCurve.read(tmp_path / "run" / "rd_curve.json")
    assert curve.data["name"] == "mnist"
    assert curve.points[0].rate > curve.points[-1].rate
    assert curve.points[0].loss < 170  # 206 is the best that a model without latents can do
    assert done.stdout.splitlines()[0].split() == ["beta", "rate", "distortion", "loss", "draws", "active_units"]
    assert "L in nats per image on some training images" in done.stderr
    ok(mrvae("verify", "local-dir:run", "--data-root", data_root))
    again = mrvae("train", DEFAULT_MODEL, "--data-root", data_root, "-o", "run", *arguments)
    assert again.returncode == 1
    assert "run exists; pass --force" in again.stderr


def test_a_folder_is_encoded_without_what_cannot_be_read(mrvae, digits, tmp_path):
    folder = tmp_path / "folder"
    (folder / "deeper").mkdir(parents=True)
    for at, digit in enumerate(digits):
        (folder / ("deeper" if at > 6 else ".") / digit.name).write_bytes(digit.read_bytes())
    (folder / "4.png").write_bytes(digits[4].read_bytes()[:100])
    (folder / "notes.txt").touch()
    done = ok(mrvae("encode", DEFAULT_MODEL, "folder", "--beta", 0.1, "-o", "folder.safetensors"))
    assert "1 of 10 images cannot be read: folder/4.png" in done.stderr
    readable = [f"folder/{name}.png" for name in (0, 1, 2, 3, 5, 6, "deeper/7", "deeper/8", "deeper/9")]
    ok(mrvae("encode", DEFAULT_MODEL, *readable, "--beta", 0.1, "-o", "files.safetensors"))
    first, second = (latents(tmp_path / name) for name in ("folder.safetensors", "files.safetensors"))
    assert first == second
    assert first[0] == readable
    done = mrvae("encode", DEFAULT_MODEL, "folder/4.png", *readable, "--beta", 0.1, "-o", "none.safetensors")
    assert done.returncode == 1
    assert "folder/4.png" in done.stderr
    assert not (tmp_path / "none.safetensors").exists()


def latents(path) -> tuple[list[str], bytes, bytes]:
    with safetensors.safe_open(path, framework="pt") as file:
        info = json.loads(file.metadata()["info"])
        return info["files"], *(file.get_tensor(name).numpy().tobytes() for name in ("mean", "log_var"))
