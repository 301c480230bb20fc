import subprocess
import sys

import pytest

import mrvae_zoo

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


def test_every_public_name_is_there():
    for name in mrvae_zoo.__all__:
        assert getattr(mrvae_zoo, name) is not None
    assert dir(mrvae_zoo) == sorted(mrvae_zoo.__all__)
    with pytest.raises(AttributeError, match="module 'mrvae_zoo' has no attribute 'crate_model'"):
        _ = mrvae_zoo.crate_model
