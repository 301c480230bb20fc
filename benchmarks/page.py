"""The dial in Debian's Chromium: milliseconds of a step, and the bytes that a visit takes over the wire.

    python benchmarks/page.py [--note "what else the machine was doing"]

Needs what `make browser` installs. Builds the pages of three models with the runtime in them, turns each dial 50 times
on the WebAssembly runtime (one thread), and writes benchmarks/results/page.json. A step is the time from setting β to
the figures of the image at that β: encoder, decoder and what the page computes from them. Bytes are those of the files
that the browser asked for.
"""

import argparse
import gzip
import json
import os
import statistics
from pathlib import Path
from typing import Any

import brotli
from playwright.sync_api import Browser, sync_playwright

from mrvae_zoo import load_pretrained
from mrvae_zoo.common.devices import processor_name
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.page.build import page_files
from mrvae_zoo.page.serving import serving

CHECKOUT = Path(__file__).parents[1]
RUNTIME = CHECKOUT / "web" / "node_modules" / "onnxruntime-web"
RESULT = CHECKOUT / "benchmarks" / "results" / "page.json"
MODELS = ("mrvae_mlp.mnist", "mrvae_resnet.cifar10", "mrvae_resnet_spatial.photos")
KINDS = ("raw", "gzip", "brotli")
WARM_UP, STEPS = 10, 50
CHROMIUM = "/usr/bin/chromium"
# Up and down the range, so that no β follows itself.
TURN = """async ([warmUp, steps]) => {
  await window.mrvae.ready;
  const [low, high] = (await (await fetch("model.json")).json()).beta_range.map(Math.log);
  const milliseconds = [];
  for (let step = 0; step < warmUp + steps; step++) {
    const beta = Math.exp(low + (high - low) * (0.5 + 0.5 * Math.sin(step)));
    const start = performance.now();
    await window.mrvae.setBeta(beta);
    milliseconds.push(performance.now() - start);
  }
  return milliseconds.slice(warmUp);
}"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure the dial in a browser.")
    parser.add_argument("--note", help="what else the machine was doing")
    note = parser.parse_args().note
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        models = {name: measure(browser, name) for name in MODELS}
        result = {
            "browser": f"Chromium {browser.version}",
            "runtime": "WebAssembly, one thread",
            "processor": processor_name(),
            "cpus": os.cpu_count(),
            "note": note,
            "steps": STEPS,
            "models": models,
        }
        browser.close()
    write_atomically(RESULT, json.dumps(result, indent=1) + "\n")
    for name, model in models.items():
        step, sizes = model["milliseconds"], model["bytes"]["total"]
        print(f"{name}: {step['median']} ms a step, {sizes['brotli'] / 1e6:.2f} MB by brotli")


class Files(dict[str, bytes]):
    """The files of a page, and which of them a browser asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self.asked: set[str] = set()

    def get(self, path: str, default: Any = None) -> Any:
        """Return a file, as the server asks for it."""
        self.asked |= {path} & self.keys()
        return super().get(path, default)


def measure(browser: Browser, name: str) -> dict[str, Any]:
    """Make the page of a model, and measure it."""
    model = load_pretrained(name)
    files = Files(page_files(model, runtime=RUNTIME))
    with serving(files) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{url}?runtime=wasm")
        milliseconds = page.evaluate(TURN, [WARM_UP, STEPS])
        context.close()
    low, median, high = statistics.quantiles(milliseconds, n=4)
    sizes = {path: sizes_of(files[path]) for path in sorted(files.asked)}
    return {
        "milliseconds": {"median": round(median, 1), "quartiles": [round(low, 1), round(high, 1)]},
        "bytes": {"total": {kind: sum(each[kind] for each in sizes.values()) for kind in KINDS}, "files": sizes},
    }


def sizes_of(content: bytes) -> dict[str, int]:
    """The size of a file as it is, and compressed."""
    sizes = (len(content), len(gzip.compress(content, 9)), len(brotli.compress(content)))
    return dict(zip(KINDS, sizes, strict=True))


if __name__ == "__main__":
    main()
