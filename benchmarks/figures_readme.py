"""What README.md shows of the models and of the comparisons, read from their files."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from mrvae_zoo.cards.subject import Comparison, read_subject
from mrvae_zoo.checkpoints.folder import read_description
from mrvae_zoo.checkpoints.registry import has_weights
from mrvae_zoo.common.layout import RECIPE, WEIGHTS
from mrvae_zoo.common.markdown import table
from mrvae_zoo.comparison.record import ComparisonRecord
from mrvae_zoo.data.sets import data_facts
from mrvae_zoo.training.provenance import format_seconds
from mrvae_zoo.training.recipe import read_recipe

# Of all comparisons, those that show the range: two networks with three seeds, colour images, and long trainings.
SHOWN = (
    ("mrvae_mlp.binarized_mnist", "short"),
    ("mrvae_resnet.binarized_mnist", "short"),
    ("mrvae_resnet.cifar10", "short"),
    ("mrvae_mlp.binarized_mnist", "converged"),
)


def models_table(registry: Path, cards: str, betas: Sequence[float] = (1.0,), *, gaps: bool = False) -> str:
    """A row for each trained model.

    Args:
        registry: The folder of the models.
        cards: The path of a page, as a link needs it, with {name} for the name of the model.
        betas: The values of β to show L at.
        gaps: Whether to show the mean gap to β-VAEs that were each trained for one β, where it was measured.
    """
    rows = []
    for folder in sorted(path for path in registry.iterdir() if has_weights(path)):
        model = read_description(folder)
        config, curve, data = model.config, model.curve, model.data
        if curve is None or data is None:
            continue
        trained = read_recipe(folder / RECIPE).trained
        rates = sorted((curve.points[0].rate, curve.points[-1].rate))
        reached = (curve.betas[0] <= beta <= curve.betas[-1] for beta in betas)
        losses = [f"{curve.at(beta).loss:.2f}" if inside else "" for beta, inside in zip(betas, reached, strict=True)]
        row = [
            f"[{folder.name}]({cards.format(name=folder.name)})",
            data_facts(data).title,
            f"{config.latent_dim}{' per 8×8' if config.spatial else ''}",
            f"{(folder / WEIGHTS).stat().st_size / 1e6:.1f} MB",
            f"{rates[0]:.1f} to {rates[1]:.1f}",
            *losses,
            *([_gap_of(folder)] if gaps else []),
            "" if trained is None else format_seconds(trained.seconds),
        ]
        rows.append(row)
    heading = [*("Model", "Data", "Latents", "Size", "Nats per image"), *(f"L at β = {beta:g}" for beta in betas)]
    heading += [*(["Mean gap (budget)"] if gaps else []), "Training"]
    return table(heading, rows, "lll" + "r" * (len(heading) - 3))


def comparison_of(folder: Path) -> Comparison | None:
    """The comparison of a model of the registry with β-VAEs for one β each; None if its own recipe was not compared."""
    return read_subject(folder, name=folder.name, repo_id=None, compare=None).comparison


def _gap_of(folder: Path) -> str:
    """The mean gap of a model of the registry, and the compute of its training in runs of one β-VAE."""
    found = comparison_of(folder)
    if found is None:
        return ""
    pairs = zip(found.losses, found.dedicated, strict=True)
    gap = statistics.fmean(loss / point.loss - 1 for loss, point in pairs)
    return f"{gap:+.1%}" + ("" if found.budget is None else f" ({found.budget:g})")


def gaps_table(records: Sequence[ComparisonRecord]) -> str:
    """A row for each comparison of SHOWN that is among `records`."""
    by_name = {(record.name, record.regime.removeprefix("not ")): record for record in records}
    rows = [_gaps(by_name[key]) for key in SHOWN if key in by_name]
    header = ("Data", "Network", "Training of a β-VAE", "β × seeds", "Budget", "Mean gap", "Worst gap")
    return table(header, rows, "llllrrr")


def _gaps(record: ComparisonRecord) -> list[str]:
    worst, beta = max(zip(record.mrvae.gap, record.betas, strict=True))
    epochs = record.recipe["training"]["epochs"]
    return [
        data_facts(record.data["name"]).title,
        f"`{record.recipe['model']['architecture']}`",
        f"{epochs} epochs{', converged' if record.regime == 'converged' else ''}",
        f"{len(record.betas)} × {len(record.seeds)}",
        f"{record.budget:g} runs",
        f"{record.mrvae.mean_gap:+.2%}",
        f"{worst:+.2%} at β = {beta:.3g}",
    ]
