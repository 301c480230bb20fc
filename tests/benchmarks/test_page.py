"""What the guide to the dial says of sizes and speed comes from the measurement."""

import json

from helpers import CHECKOUT

GUIDE = (CHECKOUT / "docs" / "guides" / "page.md").read_text(encoding="utf-8")
RESULT = json.loads((CHECKOUT / "benchmarks" / "results" / "page.json").read_text(encoding="utf-8"))


def part(path: str) -> str:
    """The row of the guide that a file belongs to."""
    if path.endswith(".onnx"):
        return "networks"
    return "runtime (WebAssembly)" if path.startswith("runtime/") else "everything else"


def test_the_sizes_are_the_measured_ones():
    measured = RESULT["models"]["mrvae_mlp.mnist"]["bytes"]
    sizes = {"together": measured["total"]}
    for path, file in measured["files"].items():
        row = sizes.setdefault(part(path), dict.fromkeys(("raw", "gzip", "brotli"), 0))
        row |= {kind: row[kind] + file[kind] for kind in row}
    assert len(sizes) == 4
    for name, row in sizes.items():
        assert f"| {name} | {row['raw'] / 1e6:.2f} | {row['gzip'] / 1e6:.2f} | {row['brotli'] / 1e6:.2f} |" in GUIDE


def test_so_are_the_speeds():
    assert set(RESULT["models"]) == {"mrvae_mlp.mnist", "mrvae_resnet.cifar10", "mrvae_resnet_spatial.photos"}
    for name, model in RESULT["models"].items():
        (row,) = (line for line in GUIDE.splitlines() if line.startswith(f"| `{name}`"))
        low, high = model["milliseconds"]["quartiles"]
        assert f" | {model['milliseconds']['median']} ({low} to {high}) |" in row
