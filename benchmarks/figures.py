"""The plot and the table of every comparison with dedicated β-VAEs: `make figures`.

    python benchmarks/figures.py

Reads benchmarks/results/compare_*.json, as `mrvae compare` writes them; draws docs/results/compare.png and writes what
lies between the markers of docs/results/dedicated.md, and of README.md.
"""

import hashlib
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from figures_cost import draw_costs, draw_tuning, is_costed, is_tuned_everywhere
from figures_plot import draw
from figures_published import published_part
from figures_readme import gaps_table, models_table

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.markdown import table
from mrvae_zoo.comparison.record import Arm, ComparisonRecord, read_record
from mrvae_zoo.comparison.spent import Spent
from mrvae_zoo.data.sets import data_facts
from mrvae_zoo.errors import MissingExtraError

CHECKOUT = Path(__file__).parents[1]
RESULTS, PLOT = "benchmarks/results", "docs/results/compare.png"
COSTS, TUNING = "docs/results/cost.png", "docs/results/tuning.png"
PAGE, README = "docs/results/dedicated.md", "README.md"
CARDS = "cards/{name}/README.md"  # from README.md
NO_WORSE_THAN = 0.002  # where the interval of a gap may end
HEADER = (
    *("Data set", "Network", "Regime", "β × seeds", "Budget"),
    *("Mean gap, %", "Worst gap, % (interval) at β", "FLOPs", "Seconds"),
)
ALT = "For each data set the line of one Multi-Rate VAE beside the points of dedicated β-VAEs, and below it the gaps"
NOTE = (
    "Gaps are in L; negative is better. Intervals cover 95% over test images and trainings; ± is the spread over "
    "seeds. FLOPs are given as a number of dedicated trainings, of as many as there are β. Seconds are those of the "
    "Multi-Rate VAE and of all dedicated trainings ({hardware}). A network is described by its widths and latents, a "
    "regime by the epochs of one dedicated training; after 2× stands how much twice as many epochs gain at most."
)
OLDER = (
    "Comparisons marked with * were made with an older protocol, and wait to be repeated: the rates of the β-VAEs were "
    "tuned at the two ends of the range alone, β was drawn by rules chosen for each data set, intervals leave out the "
    "spread over trainings, and seconds were measured beside other work. They flatter the Multi-Rate VAE: "
    "by up to 1.2 percentage points in the short MLP, where that was checked."
)
COST_ALT = "The gap of the Multi-Rate VAE at several budgets, over the cost of the whole curve"
TUNING_ALT = "The mean loss over the curve, over the learning rate, for one Multi-Rate VAE and for β-VAEs"


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
    """Write the plot, and the parts of the two pages.

    Raises:
        FileNotFoundError: There is no comparison, or a page is missing.
        ValueError: A file is no comparison, or a page lacks its markers.
        MissingExtraError: matplotlib is not installed.
    """
    folder = checkout / RESULTS
    results = read_results(folder)
    if not results.records:
        raise FileNotFoundError(
            f"{folder}/compare_*.json: no such file; `mrvae compare NAME --data-root DIR` makes one"
        )
    written = pages(checkout, results.records)
    write_atomically(checkout / PLOT, draw(results.records, digest=results.digest))
    for path, shows, draw_one in ((COSTS, is_costed, draw_costs), (TUNING, is_tuned_everywhere, draw_tuning)):
        if any(map(shows, results.records)):
            write_atomically(checkout / path, draw_one(results.records, digest=results.digest))
    for path, text in written.items():
        write_atomically(path, text)
    print(f"{len(results.records)} comparisons: wrote {PLOT}, {PAGE} and {README}")


def pages(checkout: Path, records: Sequence[ComparisonRecord]) -> dict[Path, str]:
    """The text of the two pages, as it should be."""
    page, readme = checkout / PAGE, checkout / README
    text = insert(readme.read_text(encoding="utf-8"), "models", f"{models_table(checkout / 'registry', CARDS)}\n")
    text = insert(text, "gaps", f"{gaps_table(records)}\n")
    return {page: insert(page.read_text(encoding="utf-8"), "figures", figures_part(records)), readme: text}


def read_results(folder: Path) -> Results:
    """All comparisons in a folder; a ValueError names the file that is none."""
    paths = sorted(folder.glob("compare_*.json"), key=lambda path: path.name)
    sums = "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    return Results(records=tuple(read_record(path) for path in paths), digest=hashlib.sha256(sums.encode()).hexdigest())


def insert(text: str, name: str, part: str) -> str:
    """A page with `part` between the markers of that name; a ValueError unless they stand once, on their own lines."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(rf"^{re.escape(begin)}\n.*^{re.escape(end)}$", re.DOTALL | re.MULTILINE)
    if (text.count(begin), text.count(end)) != (1, 1) or not pattern.search(text):
        raise ValueError(f"the page should hold the lines {begin!r} and {end!r} once each, in this order")
    return pattern.sub(lambda _: f"{begin}\n{part}{end}", text)


def figures_part(records: Sequence[ComparisonRecord]) -> str:
    """What belongs between the markers: nothing where there is no comparison."""
    if not records:
        return ""
    gaps = [gap for record in records for gap in record.mrvae.gap]
    ends = [high for record in records for _, high in record.mrvae.gap_interval or ()]
    kept = sum(max(record.mrvae.gap) <= 0 for record in records)
    verdict = (
        f"Comparisons in which no gap is above 0: {kept} of {len(records)}. Gaps at or below 0: "
        f"{sum(gap <= 0 for gap in gaps)} of {len(gaps)}; with the upper end of the interval at or below "
        f"{NO_WORSE_THAN:.1%}: {sum(end <= NO_WORSE_THAN for end in ends)}."
    )
    rows = [row for record in records for row in _rows(record)]
    note = NOTE.format(hardware="; ".join(sorted({record.hardware for record in records})))
    plot = f"![{ALT}]({Path(PLOT).name})"
    older = OLDER if any(is_older(record) for record in records) else ""
    cost, tuning = (
        f"![{alt}]({Path(path).name})" if any(map(shows, records)) else ""
        for alt, path, shows in ((COST_ALT, COSTS, is_costed), (TUNING_ALT, TUNING, is_tuned_everywhere))
    )
    table_of_all = table(HEADER, rows, "llllrrlrr")
    blocks = (plot, verdict, table_of_all, note, older, cost, tuning, published_part(records))
    return "\n" + "\n\n".join(block for block in blocks if block) + "\n\n"


def is_older(record: ComparisonRecord) -> bool:
    """Whether a comparison was made with the protocol that tuned β-VAEs at the ends of the range alone."""
    return record.dedicated.tuned_at is None


def _rows(record: ComparisonRecord) -> list[list[str]]:
    """One for the Multi-Rate VAE, and one for each arm."""
    facts = [_data(record), _network(record), _regime(record), f"{len(record.betas)} × {len(record.seeds)}"]
    facts[0] += " *" if is_older(record) else ""
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
    interval = (
        "(one training)"
        if side.gap_interval is None
        else "({:+.2f}, {:+.2f})".format(*(100 * end for end in side.gap_interval[at]))
    )
    several = len(record.seeds) > 1
    mean_spread = f" ± {100 * statistics.stdev(mean_gaps):.2f}" if several and len(mean_gaps) > 1 else ""
    spread = "" if side.gap_spread is None else f" ± {100 * side.gap_spread[at]:.2f}"
    return [
        f"{100 * side.mean_gap:+.2f}{mean_spread}",
        f"{100 * side.gap[at]:+.2f}{spread} {interval} at {record.betas[at]:g}",
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
    gains = [each.improvement for each in record.doubling]
    gain = max(gains) if record.overfits is None else max(gains, key=abs)
    return f"{record.reached}, {length} (2×: {gain:.2%})"


if __name__ == "__main__":
    main()
