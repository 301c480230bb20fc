"""The tables of a card, as Markdown."""

import json
import math

from mrvae_zoo.cards.subject import Comparison, Subject
from mrvae_zoo.common.markdown import table
from mrvae_zoo.models.curve import bits_of_point

COLUMNS = {  # of an RDPoint: the head of the column, and the form of the figure
    "psnr": ("PSNR (dB)", ".2f"),
    "total_correlation": ("total correlation (nats)", ".2f"),
    "mutual_information_gap": ("mutual information gap", ".3f"),
}


def facts_table(subject: Subject) -> list[tuple[str, str]]:
    """What a model is, a row each."""
    config, model = subject.config, subject.model
    channels, height, width = config.input_shape
    size = "any size" if height is None else f"{height}×{width}"
    values = (
        "any values" if config.data_range is None else f"values in [{config.data_range[0]:g}, {config.data_range[1]:g}]"
    )
    if config.sigma is None:
        likelihood = "Bernoulli: D is the cross-entropy of the pixels"
    else:
        likelihood = f"Gaussian, σ = {config.sigma:.4g}: D is the squared error / 2σ², the constant left out"
    latents = f"{config.latent_dim}, at each of H/8 × W/8 places" if config.spatial else f"{config.latent_dim}"
    weights = subject.record.weights
    low, high = config.beta_range
    rows = [
        ("architecture", _architecture(subject)),
        ("input", f"{channels} channel{'s' if channels > 1 else ''}, {size}, {values}"),
        ("latents", latents),
        ("likelihood", likelihood),
        ("β", f"{low:g} to {high:g}" if config.beta is None else f"{config.beta:g}, folded"),
        ("gates", model.gating.describe()),
        ("parameters", f"{sum(parameter.numel() for parameter in model.parameters()):,}"),
        ("weights", f"{weights.dtype}, {subject.weights_bytes / 1e6:.1f} MB, SHA-256 `{weights.sha256}`"),
    ]
    return [(name, value.replace("|", "\\|")) for name, value in rows]


def _architecture(subject: Subject) -> str:
    arguments = ", ".join(f"{key} = {json.dumps(value)}" for key, value in subject.config.arguments.items())
    return f"`{subject.config.architecture}`" + (f" with `{arguments}`" if arguments else "")


def figures_table(subject: Subject) -> str:
    """The curve, with a column for each figure that one of its points has."""
    points = subject.curve.points
    columns = {
        "β": [f"{p.beta:g}" for p in points],
        "R": [f"{p.rate:.2f}" for p in points],
        "D": [f"{p.distortion:.2f}" for p in points],
        "L": [f"{p.loss:.2f}" for p in points],
    }
    if len({*subject.curve.draws}) > 1:
        columns["draws of z"] = [f"{draws}" for draws in subject.curve.draws]
    if any(p.active_units is not None for p in points):
        head = f"active latents of {subject.config.latent_dim}"
        columns[head] = ["" if p.active_units is None else f"{p.active_units}" for p in points]
    for name, (head, form) in COLUMNS.items():
        figures = [getattr(p, name) for p in points]
        if any(figure is not None for figure in figures):
            columns[head] = ["" if figure is None else format(figure, form) for figure in figures]
    return table(list(columns), list(zip(*columns.values(), strict=True)), "r" * len(columns))


def bits_at_one(subject: Subject) -> float | None:
    """Bits per dimension, where L bounds them: at β = 1, for images of one size, binary where p(x|z) is Bernoulli."""
    binary = subject.measured_on.binary or subject.curve.data.get("binarize") == "static"
    if subject.config.spatial or not (binary or subject.config.likelihood != "bernoulli"):
        return None
    ones = (point for point in subject.curve.points if math.isclose(point.beta, 1.0, rel_tol=1e-6))
    return next((bits_of_point(point, subject.config) for point in ones), None)


def comparison_table(comparison: Comparison) -> str:
    """The loss of this model and of the β-VAEs, the gap, and with several seeds its mean and spread over them."""
    rows = [
        [f"{one.beta:g}", f"{ours:.2f}", f"{one.loss:.2f}", f"{(ours - one.loss) / one.loss:+.2%}"]
        for ours, one in zip(comparison.losses, comparison.dedicated, strict=True)
    ]
    header = ["β", "L of this model", "L of the β-VAE", "gap"]
    if comparison.gaps is not None:
        header.append(f"gap over {comparison.seeds} seeds")
        rows = [
            [*row, f"{mean:+.2%} ± {spread:.2%}"] for row, (mean, spread) in zip(rows, comparison.gaps, strict=True)
        ]
    return table(header, rows, "r" * len(header))
