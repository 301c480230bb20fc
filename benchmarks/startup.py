"""How long `mrvae --help` and `mrvae list` take beyond an empty Python process.

    python benchmarks/startup.py

Runs them in turn, so that a change of the machine's speed falls on all alike, and writes
benchmarks/results/startup.json.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from mrvae_zoo.common.files import write_atomically

RUNS = 21
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "mrvae --help": ["-m", "mrvae_zoo", "--help"],
    "mrvae list": ["-m", "mrvae_zoo", "list"],
}


def main() -> None:
    """Measure and write."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    empty, *rest = ([round(value, 4) for value in values] for values in seconds.values())
    result = {
        "runs": RUNS,
        "median_seconds": {name: round(statistics.median(values), 4) for name, values in seconds.items()},
        "median_seconds_beyond_empty": {
            name: round(statistics.median(b - a for a, b in zip(empty, values, strict=True)), 4)
            for name, values in zip(list(COMMANDS)[1:], rest, strict=True)
        },
    }
    text = json.dumps(result, indent=1)
    write_atomically(Path(__file__).parent / "results" / "startup.json", text + "\n")
    print(text)


if __name__ == "__main__":
    main()
