"""The guides run as they stand: docs/guides/diffusers.md, with its commands, and docs/guides/gate-any-module.md."""

import re
import shlex

import numpy as np
import pytest
from helpers import CHECKOUT, ok

GUIDES = CHECKOUT / "docs" / "guides"


def blocks(page: str, kind: str) -> list[str]:
    """The fenced blocks of a kind; "" is commands."""
    text = (GUIDES / page).read_text(encoding="utf-8")
    return [
        block for name, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if name == kind
    ]


@pytest.mark.long
def test_the_page_on_diffusers_runs_as_it_stands(mrvae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("diffusers.md", "python"):
        exec(compile(block, "diffusers.md", "exec"), names)  # noqa: S102 (the page itself)
    assert 0 < names["again"].config.scaling_factor < 100
    (tmp_path / "data" / "mine").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), ("test", 2)):
        images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        np.savez(tmp_path / "data" / "mine" / f"{split}.npz", images=images)
    (recipe,) = blocks("diffusers.md", "toml")
    (tmp_path / "recipe.toml").write_text(recipe)
    lines = "".join(blocks("diffusers.md", "")).splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("mrvae ")]
    assert [command[0] for command in commands] == ["train", "curve"]
    for command in commands:
        ok(mrvae(*command, cwd=tmp_path))


@pytest.mark.slow
def test_the_page_on_any_module_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("gate-any-module.md", "python"):
        exec(compile(block, "gate-any-module.md", "exec"), names)  # noqa: S102 (the page itself)
    assert (tmp_path / "dial.safetensors").stat().st_size > 1000
