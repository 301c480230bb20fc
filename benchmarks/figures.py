"""The plot and the table of every comparison with dedicated β-VAEs: `make figures`.

    python benchmarks/figures.py

Reads benchmarks/results/compare_*.json, as `mrvae compare` writes them; draws benchmarks/results/compare.png and writes
what lies between the two markers of README.md.
"""

import hashlib
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from figures_plot import draw
from figures_published import published_part

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.markdown import table
from mrvae_zoo.comparison.record import Arm, ComparisonRecord, Spent, read_record
from mrvae_zoo.data.sets import data_facts
from mrvae_zoo.errors import MissingExtraError

CHECKOUT = Path(__file__).parents[1]
RESULTS, PLOT = "benchmarks/results", "compare.png"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
NO_WORSE_THAN = 0.002  # where the interval of a gap may end
HEADER = (
    *("Data set", "Network", "Regime", "β × seeds", "Budget"),
    *("Mean gap, %", "Worst gap, % (interval) at β", "FLOPs", "Seconds"),
)
ALT = "For each data set the line of one Multi-Rate VAE beside the points of dedicated β-VAEs, and below it the gaps"
NOTE = (
    "Gaps are in L, negative is better; intervals are of 95% over test images, ± the spread over seeds. FLOPs are in "
    "dedicated trainings, of as many as there are β; so are seconds, of all of them ({hardware}). A network is given "
    "by its widths and latents, a regime by the epochs of a dedicated training; after 2× is what twice as many gain "
    "at most."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The comparisons there are, in the order of their files' names, and the SHA-256 of those files."""

    records: tuple[ComparisonRecord, ...]
    digest: str


def main() -> None:
    """Write both, or say in a line why not."""
    try:
        write_figures(CHECKOUT)
    except (OSError, ValueError, MissingExtraError) as error:
        sys.exit(str(error))


def write_figures(checkout: Path) -> None:
    """Write the plot, and the README's part.

    Raises:
        FileNotFoundError: there is no comparison, or no README.
        ValueError: a file is no comparison, or the README has not the two markers.
        MissingExtraError: matplotlib is not installed.
    """
    folder, readme = checkout / RESULTS, checkout / "README.md"
    results = read_results(folder)
    if not results.records:
        raise FileNotFoundError(
            f"{folder}/compare_*.json: no such file; `mrvae compare NAME --data-root DIR` makes one"
        )
    text = insert(readme.read_text(encoding="utf-8"), readme_part(results.records))
    write_atomically(folder / PLOT, draw(results.records, digest=results.digest))
    write_atomically(readme, text)
    print(f"{len(results.records)} comparisons: wrote {folder / PLOT} and {readme}")


def read_results(folder: Path) -> Results:
    """All comparisons in a folder; a ValueError names the file that is none."""
    paths = sorted(folder.glob("compare_*.json"), key=lambda path: path.name)
    sums = "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    return Results(records=tuple(read_record(path) for path in paths), digest=hashlib.sha256(sums.encode()).hexdigest())


def insert(text: str, part: str) -> str:
    """The README with `part` between its markers; a ValueError where they are not there once, on lines of their own."""
    pattern = re.compile(rf"^{re.escape(BEGIN)}\n.*^{re.escape(END)}$", re.DOTALL | re.MULTILINE)
    if (text.count(BEGIN), text.count(END)) != (1, 1) or not pattern.search(text):
        raise ValueError(f"README.md should hold the lines {BEGIN!r} and {END!r} once each, in this order")
    return pattern.sub(lambda _: f"{BEGIN}\n{part}{END}", text)


def readme_part(records: Sequence[ComparisonRecord]) -> str:
    """What belongs between the markers: nothing where there is no comparison."""
    if not records:
        return ""
    gaps = [gap for record in records for gap in record.mrvae.gap]
    ends = [high for record in records for _, high in record.mrvae.gap_interval]
    kept = sum(max(record.mrvae.gap) <= 0 for record in records)
    verdict = (
        f"Comparisons in which no gap is above 0: {kept} of {len(records)}. Gaps at or below 0: "
        f"{sum(gap <= 0 for gap in gaps)} of {len(gaps)}; with the upper end of the interval at or below "
        f"{NO_WORSE_THAN:.1%}: {sum(end <= NO_WORSE_THAN for end in ends)}."
    )
    rows = [row for record in records for row in _rows(record)]
    note = NOTE.format(hardware="; ".join(sorted({record.hardware for record in records})))
    plot = f"![{ALT}]({RESULTS}/{PLOT})"
    blocks = (plot, verdict, table(HEADER, rows, "llllrrlrr"), note, published_part(records))
    return "\n" + "\n\n".join(block for block in blocks if block) + "\n\n"


def _rows(record: ComparisonRecord) -> list[list[str]]:
    """One for the Multi-Rate VAE, and one for each arm."""
    facts = [_data(record), _network(record), _regime(record), f"{len(record.betas)} × {len(record.seeds)}"]
    mean_gaps = [statistics.fmean(each.mrvae.gap) for each in record.per_seed]
    rows = [[*facts, f"{record.budget:g}", *_figures(record, record.mrvae, mean_gaps, record.cost.mrvae)]]
    for name, arm in record.arms.items():
        mean_gaps = [statistics.fmean(each.arms[name].gap) for each in record.per_seed]
        figures = _figures(record, arm, mean_gaps, record.cost.arms[name])
        rows.append(["", f"the same, `{name}`", "", "", f"{record.arms_budget:g}", *figures])
    return rows


def _figures(record: ComparisonRecord, side: Arm, mean_gaps: Sequence[float], spent: Spent) -> list[str]:
    """Mean gap, worst gap and costs; `mean_gaps` is the mean of each seed."""
    dedicated = record.cost.dedicated
    at = max(range(len(record.betas)), key=side.gap.__getitem__)
    low, high = side.gap_interval[at]
    several = len(record.seeds) > 1
    mean_spread = f" ± {100 * statistics.stdev(mean_gaps):.2f}" if several and len(mean_gaps) > 1 else ""
    spread = "" if side.gap_spread is None else f" ± {100 * side.gap_spread[at]:.2f}"
    return [
        f"{100 * side.mean_gap:+.2f}{mean_spread}",
        f"{100 * side.gap[at]:+.2f}{spread} ({100 * low:+.2f}, {100 * high:+.2f}) at {record.betas[at]:g}",
        f"{spent.flops / statistics.fmean(dedicated.flops_per_beta):.2f} of {len(record.betas)}",
        f"{spent.seconds:,.0f} of {dedicated.seconds:,.0f}",
    ]


def _data(record: ComparisonRecord) -> str:
    name, binarize = record.data["name"], record.data.get("binarize")
    images = f", {record.data['train_examples']:,} images" if "train_examples" in record.data else ""
    return data_facts(name).title + (f", binarised ({binarize})" if binarize else "") + images


def _network(record: ComparisonRecord) -> str:
    model = record.recipe["model"]
    widths = "-".join(map(str, model.get("widths", ())))
    return f"`{model['architecture']}`" + (f" {widths}" if widths else "") + f", Z = {model['latent_dim']}"


def _regime(record: ComparisonRecord) -> str:
    training = record.recipe["training"]
    steps = training.get("max_steps")
    length = f"{training['epochs']} epochs" if steps is None else f"{steps} steps"
    if record.doubling is None:
        return f"{record.reached}, {length}"
    gain = max(each.improvement for each in record.doubling)
    return f"{record.reached}, {length} (2×: {gain:.2%})"


if __name__ == "__main__":
    main()
