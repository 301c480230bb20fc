"""The figures that the authors of the Multi-Rate VAE published, and beside them the same networks trained here."""

import json
from collections.abc import Sequence
from pathlib import Path

from mrvae_zoo.common.markdown import table
from mrvae_zoo.comparison.record import ComparisonRecord

PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text(encoding="utf-8"))
NOTE = (
    "The table that the authors of the method publish, beside networks of this zoo (`{model}`, Z = {latents}) that "
    "were trained on the same data with the same number of epochs, batch size and learning rate: L in nats per image, "
    "and the gap to the β-VAE in the column before. The networks are not of the same size. Theirs has 1.88 million "
    "parameters and takes 321 MFLOP per training example, ours has 0.82 million and takes 124 MFLOP; and theirs is "
    "an 8-epoch demonstration at a constant learning rate, not the regime of the paper."
)


def published_part(records: Sequence[ComparisonRecord]) -> str:
    """Both, a row for each β; nothing where the comparison is not among the records or has other β."""
    for record in records:
        if record.name == PUBLISHED["model"] and list(record.betas) == PUBLISHED["betas"]:
            note = NOTE.format(model=record.name, latents=record.recipe["model"]["latent_dim"])
            return "\n\n".join((note, _table(record)))
    return ""


def _table(record: ComparisonRecord) -> str:
    sides = {
        "Published: β-VAE": _published_losses("dedicated"),
        "published MR-VAE": _published_losses("mrvae"),
        "Here: β-VAE": record.dedicated.L,
        f"`{record.recipe['model']['gating']}` gates": record.mrvae.L,
    } | {f"`{name}` gates": arm.L for name, arm in record.arms.items()}
    baselines = ("Published: β-VAE", "Here: β-VAE")
    rows = []
    for i, beta in enumerate(record.betas):
        cells = [f"{beta:g}"]
        for name, losses in sides.items():
            if name in baselines:
                own = losses[i]
                cells.append(f"{own:.1f}")
            else:
                cells.append(f"{losses[i]:.1f} ({losses[i] / own - 1:+.1%})")
        rows.append(cells)
    return table(("β", *sides), rows, "r" * (1 + len(sides)))


def _published_losses(side: str) -> list[float]:
    figures = PUBLISHED[side]
    return [d + beta * r for beta, r, d in zip(PUBLISHED["betas"], figures["rate"], figures["distortion"], strict=True)]
