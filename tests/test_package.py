import pydoc
import subprocess
import sys

import pytest
import torch
from helpers import CHECKOUT, DEFAULT_MODEL, python_of

import mrvae_zoo

pytestmark = pytest.mark.slow

HEAVY = "print(sorted({'torch', 'timm', 'torchvision', 'numpy', 'accelerate', 'matplotlib'} & set(sys.modules)))"


def imported_by(code: str) -> str:
    command = [sys.executable, "-c", f"import sys\n{code}\n{HEAVY}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split("\n")[-1]


@pytest.mark.parametrize(
    "code",
    [
        "import mrvae_zoo; mrvae_zoo.list_models(); mrvae_zoo.list_architectures(); mrvae_zoo.RDCurve",
        "from mrvae_zoo.cli import run; assert run(['--help']) == 0",
        "from mrvae_zoo.cli import run; assert run(['train', '--help']) == 0",
        "from mrvae_zoo.cli import run; assert run(['export', '--help']) == 0",
        "from mrvae_zoo.cli import run; assert run(['list']) == 0",
        "from mrvae_zoo.cli import run; assert run(['list', '*mlp*', '--json']) == 0",
    ],
)
def test_what_needs_no_torch_imports_none(code):
    assert imported_by(code) == "[]"


def test_the_check_above_can_see_torch():
    assert "torch" in imported_by("import mrvae_zoo; mrvae_zoo.MultiRateVAE")


TYPED = """
import torch
from torch.utils.data import DataLoader, TensorDataset
import mrvae_zoo

model = mrvae_zoo.load_pretrained("mrvae_mlp.mnist")
x = torch.rand(4, 1, 28, 28)
for beta in (0.1, torch.tensor(0.1), torch.full((4,), 0.1)):
    rate: torch.Tensor = model(x, beta).rate
    posterior: mrvae_zoo.Posterior = model.encode(x, beta)
    images: torch.Tensor = model.decode(posterior.mode(), beta)
plain: mrvae_zoo.FixedRateVAE = model.at(0.1)
plain.encode(x), plain.sample(3), plain.sample(3, 0.1)
model.sample(3, 0.1)
mrvae_zoo.save_pretrained(model, "a")
model.save_pretrained("b", dtype=torch.float16)
multi: mrvae_zoo.MultiRateVAE = mrvae_zoo.MultiRateVAE.from_pretrained("local-dir:a")
loader = DataLoader(TensorDataset(x), batch_size=2)
curve: mrvae_zoo.RDCurve = mrvae_zoo.rate_distortion(multi, loader, [0.1, 1.0])
multi.curve = curve
bound: float = mrvae_zoo.importance_weighted_bound(model, x, 1.0, samples=2)
mrvae_zoo.compare_curves(model.curve, curve)
each: torch.Tensor = mrvae_zoo.beta_for_each(multi, x, rate=20.0).beta
walked: mrvae_zoo.Traversal = model.traverse(x[0], 0.1, latents=2, steps=2)
between: torch.Tensor = model.interpolate(x[0], x[1], 0.1)


def never_called() -> None:
    mrvae_zoo.push_to_hub(model, "org/name")
    model.push_to_hub("org/name", private=True)
    recipe: mrvae_zoo.Recipe = mrvae_zoo.read_recipe("recipe.toml")
    data: mrvae_zoo.ImageData = mrvae_zoo.load_data(recipe.data, "test", "data", recipe.model.input_shape)
    mrvae_zoo.train(recipe, "data", "run").at(0.1)
    mrvae_zoo.export(model, "model.onnx", format="onnx")
    mrvae_zoo.rate_distortion(model, data, [0.1])
    change: float = mrvae_zoo.bd_rate(model.curve, curve)
"""


def test_what_a_user_writes_runs_and_passes_a_strict_type_checker(tmp_path):
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    (tmp_path / "readme.py").write_text(python_of(readme)[0], encoding="utf-8")
    (tmp_path / "typed.py").write_text(TYPED, encoding="utf-8")
    (tmp_path / "examples").symlink_to(CHECKOUT / "examples")
    for file in ("readme.py", "typed.py"):
        subprocess.run([sys.executable, file], cwd=tmp_path, check=True, capture_output=True)
    wrong = TYPED + 'model.encode(x, "0.1")\n'
    (tmp_path / "wrong.py").write_text(wrong, encoding="utf-8")
    cache = f"--cache-dir={CHECKOUT / '.mypy_cache' / 'users'}"  # torch alone takes half a minute without
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", cache, "readme.py", "typed.py", "wrong.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    faults = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(faults) == 1, done.stdout + done.stderr
    assert all(line.startswith("wrong.py:") and 'Argument 2 to "encode"' in line for line in faults)


def test_a_model_saves_itself_and_is_loaded_by_its_class(tmp_path, default_model):
    default_model.save_pretrained(tmp_path / "multi")
    default_model.at(0.5).save_pretrained(tmp_path / "fixed")
    multi = mrvae_zoo.MultiRateVAE.from_pretrained(f"local-dir:{tmp_path / 'multi'}", dtype=torch.float64)
    fixed = mrvae_zoo.FixedRateVAE.from_pretrained(f"local-dir:{tmp_path / 'fixed'}")
    assert (multi.dtype, multi.curve, multi.recipe) == (torch.float64, default_model.curve, default_model.recipe)
    assert (CHECKOUT / "registry" / DEFAULT_MODEL / "recipe.toml").read_text(encoding="utf-8") == fixed.recipe
    assert fixed.beta == 0.5
    with pytest.raises(ValueError, match=r"fixed is a FixedRateVAE; load it with FixedRateVAE.from_pretrained"):
        mrvae_zoo.MultiRateVAE.from_pretrained(f"local-dir:{tmp_path / 'fixed'}")
    with pytest.raises(ValueError, match="unknown model 'mrvae_mlp.mnits'; did you mean mrvae_mlp.mnist"):
        mrvae_zoo.MultiRateVAE.from_pretrained("mrvae_mlp.mnits")


def test_help_is_a_page_that_names_everything():
    page = pydoc.plain(pydoc.render_doc(mrvae_zoo))
    assert len(page.splitlines()) < 120
    for name in set(mrvae_zoo.__all__) - {"__version__"}:
        assert name in page.partition("PACKAGE CONTENTS")[0]


def test_every_public_name_is_there():
    for name in mrvae_zoo.__all__:
        assert getattr(mrvae_zoo, name) is not None
    assert dir(mrvae_zoo) == sorted(mrvae_zoo.__all__)
    with pytest.raises(AttributeError, match="module 'mrvae_zoo' has no attribute 'crate_model'"):
        _ = mrvae_zoo.crate_model
