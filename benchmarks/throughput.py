"""Images per second of every trained model of the registry, as `mrvae benchmark` measures them.

    python benchmarks/throughput.py [--models PATTERN] [--batch-sizes 1 256] [--rounds 5] [--threads N] [--device auto]

Writes benchmarks/results/throughput.json, which holds the figures of several machines: those of another device, and of
other models on this one, stay. Run `make figures` afterwards, and registry/index.json has them too.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import mrvae_zoo
from mrvae_zoo.common.devices import device_name
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.inference.throughput import image_shape, measure_throughput

FILE = Path(__file__).parent / "results" / "throughput.json"
BETA = 1.0


def main() -> None:
    """Measure, and write after each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="*")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("-o", "--output", type=Path, default=FILE)
    given = parser.parse_args()
    names = mrvae_zoo.list_models(given.models, pretrained=True)
    if not names:
        sys.exit(f"no trained model of the registry matches {given.models!r}")
    torch.set_num_threads(given.threads)
    for name in names:
        model = mrvae_zoo.load_pretrained(name, device=given.device)
        on = device_name(model.device)
        results = [
            asdict(measure_throughput(model, BETA, batch_size=one, rounds=given.rounds)) for one in given.batch_sizes
        ]
        load = round(os.getloadavg()[0], 2)  # of all processes; what is above --threads takes time from this one
        measured = {"load": load, "beta": BETA, "image": image_shape(model), "rounds": given.rounds, "results": results}
        write(given.output, on, name, measured)
        print(f"{name}: {[round(one['folded']['whole']) for one in results]} images/s folded, on {on}")


def write(path: Path, device: str, name: str, measured: dict[str, Any]) -> None:
    """Put the figures of a model on a device into the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        data = {"devices": {}}
    on = data["devices"].setdefault(device, {"torch": torch.__version__, "models": {}})
    on["torch"] = torch.__version__
    on["models"][name] = measured
    on["models"] = dict(sorted(on["models"].items()))
    write_atomically(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
