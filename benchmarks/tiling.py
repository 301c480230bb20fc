"""Peak memory and seams of a 512×768 photograph through a spatial model, whole and in tiles, on the CPU.

    python benchmarks/tiling.py

Each way runs in a process of its own, one thread, whose peak resident memory is read from Linux; what the process held
before, with the network and the image and after a first small call, is taken off. The network is
`mrvae_resnet_spatial` of its default size, with gates away from the identity; writes benchmarks/results/tiling.json.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch

import mrvae_zoo
from mrvae_zoo.common.files import write_atomically

SIZES = {"512x768": (512, 768), "2048x3072": (2048, 3072)}
TILE = 256
RUNS = 3  # of which the median counts


def main() -> None:
    """Run each way in its process and write the results."""
    peaks = {}
    for name in SIZES:
        for way in ("whole", "tiled"):
            command = [sys.executable, __file__, name, way]
            runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(RUNS)]
            peaks[name, way] = statistics.median(float(run.stdout) for run in runs)
    result = {
        "tile": TILE,
        "torch": torch.__version__,
        "peak_MiB_beyond_idle": {
            name: {way: round(peaks[name, way], 1) for way in ("whole", "tiled")} for name in SIZES
        },
        "seam_error_512x768": seams(),
    }
    text = json.dumps(result, indent=1)
    write_atomically(Path(__file__).parent / "results" / "tiling.json", text + "\n")
    print(text)


def make() -> mrvae_zoo.FixedRateVAE:
    """The network."""
    torch.manual_seed(0)
    model = mrvae_zoo.create_model("mrvae_resnet_spatial", input_shape=(3, None, None)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.at(0.3)


def photograph(size: tuple[int, int]) -> torch.Tensor:
    """Smooth colours and fine grain: (1, 3, H, W) in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 8, 12, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")
    return (smooth + 0.1 * torch.rand(1, 3, *size, generator=generator)).clamp(0, 1)


@torch.no_grad()
def once(way: str, size: tuple[int, int]) -> torch.Tensor:
    """Encode and decode in one way."""
    return run(way, make(), photograph(size))


def run(way: str, plain: mrvae_zoo.FixedRateVAE, x: torch.Tensor) -> torch.Tensor:
    """The reconstruction of x in one way."""
    size = (x.shape[2], x.shape[3])
    if way == "whole":
        return plain(x, sample=False).reconstruction
    z = mrvae_zoo.encode_tiled(plain, x, tile=TILE).mode()
    return mrvae_zoo.decode_tiled(plain, z, size, tile=TILE)


@torch.no_grad()
def peak(way: str, size: tuple[int, int]) -> float:
    """MiB that one way adds to what the process holds."""
    torch.set_num_threads(1)
    plain, x = make(), photograph(size)
    run("whole", plain, x[..., :16, :16])  # what is loaded or set up with the first call is not the image's
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="ascii"
    )  # forget the highest so far, which the start reached
    before = highest()
    run(way, plain, x)
    return highest() - before


def highest() -> float:
    """MiB that this process has held at most."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def seams() -> float:
    """The largest difference between whole and tiled, over the largest value."""
    whole, tiled = (once(way, SIZES["512x768"]) for way in ("whole", "tiled"))
    return float((whole - tiled).abs().max() / whole.abs().max())


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(peak(sys.argv[2], SIZES[sys.argv[1]]))
    else:
        main()
