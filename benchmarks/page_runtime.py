"""The pin of onnxruntime-web, mrvae_zoo/page/runtime.json: which of its files a page loads, and their hashes.

Run it after web/package.json names another version:

    (cd web && npm ci) && python benchmarks/page_runtime.py
"""

import argparse
import json
from pathlib import Path

from mrvae_zoo.page.runtime import PIN, describe_package

CHECKOUT = Path(__file__).parents[1]


def main() -> None:
    """Write the pin of the package that npm installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", nargs="?", type=Path, default=CHECKOUT / "web" / "node_modules" / "onnxruntime-web")
    package = parser.parse_args().package
    PIN.write_text(json.dumps(describe_package(package), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {PIN}")


if __name__ == "__main__":
    main()
