"""Peak memory and seams of a 512×768 photograph through a spatial model, whole and in tiles, on the CPU.

    python benchmarks/tiling.py

Each way runs in a process of its own, whose peak resident memory is read from the operating system. The network is
`mrvae_resnet_spatial` of its default size, with gates away from the identity; writes benchmarks/results/tiling.json.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path

import torch

import mrvae_zoo
from mrvae_zoo.common.files import write_atomically

SIZES = {"512x768": (512, 768), "2048x3072": (2048, 3072)}
TILE = 256


def main() -> None:
    """Run each way in its process and write the results."""
    peaks = {}
    for name in SIZES:
        for way in ("idle", "whole", "tiled"):
            command = [sys.executable, __file__, name, way]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks[f"{name} {way}"] = int(done.stdout)
    result = {
        "tile": TILE,
        "torch": torch.__version__,
        "peak_MiB_beyond_idle": {
            name: {way: round((peaks[f"{name} {way}"] - peaks[f"{name} idle"]) / 1024, 1) for way in ("whole", "tiled")}
            for name in SIZES
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
    plain, x = make(), photograph(size)
    if way == "idle":
        return x
    if way == "whole":
        return plain(x, sample=False).reconstruction
    z = mrvae_zoo.encode_tiled(plain, x, tile=TILE).mode()
    return mrvae_zoo.decode_tiled(plain, z, size, tile=TILE)


def seams() -> float:
    """The largest difference between whole and tiled, over the largest value."""
    whole, tiled = (once(way, SIZES["512x768"]) for way in ("whole", "tiled"))
    return float((whole - tiled).abs().max() / whole.abs().max())


if __name__ == "__main__":
    if len(sys.argv) == 3:
        once(sys.argv[2], SIZES[sys.argv[1]])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    else:
        main()
