"""The text of a card in Markdown: the facts that `card.md.j2` beside this file puts into words."""

import importlib.util
import json
import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrvae_zoo.cards.images import EXAMPLES
from mrvae_zoo.cards.subject import Comparison, Subject
from mrvae_zoo.cards.tables import bits_at_one, comparison_table, facts_table, figures_table
from mrvae_zoo.checkpoints.registry import list_models
from mrvae_zoo.common.layout import CURVE_PLOT, RECONSTRUCTIONS, SAMPLES
from mrvae_zoo.common.markdown import table
from mrvae_zoo.comparison.record import CONVERGED_BELOW
from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.models.curve import RDCurve, RDPoint
from mrvae_zoo.training.provenance import format_seconds
from mrvae_zoo.training.recipe import Recipe, TrainedRecord

if TYPE_CHECKING:
    from jinja2 import Template


TEMPLATE = "card.md.j2"
ARXIV = "2212.03905"
PAPER = f"https://arxiv.org/abs/{ARXIV}"
CITATION = """@inproceedings{bae2023multirate,
  title     = {Multi-Rate {VAE}: Train Once, Get the Full Rate-Distortion Curve},
  author    = {Bae, Juhan and Zhang, Michael R. and Ruan, Michael and Wang, Eric and Hasegawa, So and Ba, Jimmy and
               Grosse, Roger},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2023}
}"""
BINARIZED = {
    "static": ", with each pixel binarised once",
    "dynamic": ", with each pixel binarised anew at every step",
    "none": "",
}
NETWORKS = {"none": "one network", "concat": "one network that receives log β as an input,"}  # by the gating
GATED = "one network, gated by β,"
DIRTY = "-dirty"
ANY_SIZE = (64, 64)  # of what a spatial model draws in the example


def check_jinja2() -> None:
    """Raise a MissingExtraError where there is no jinja2: to know before anything is drawn."""
    if importlib.util.find_spec("jinja2") is None:
        raise MissingExtraError("jinja2", "hub")


def text(subject: Subject, images: Collection[str], *, space_url: str | None = None) -> str:
    """The Markdown below the metadata.

    Args:
        subject: What the card is about.
        images: The names of the images that lie beside it.
        space_url: The address of the Space on which the model runs in the browser; None if there is none.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    facts = _introduction(subject) | _example(subject, images) | _measured(subject) | _terms(subject)
    facts |= {
        "space_url": space_url,
        "pictures": RECONSTRUCTIONS in images and SAMPLES in images,
        "reconstructions": RECONSTRUCTIONS,
        "samples": SAMPLES,
        "sampler": None if subject.model.sampler is None else len(subject.model.sampler.betas),
        "recipe": None if subject.recipe is None else _training(subject, subject.recipe),
        "facts": table(("", ""), facts_table(subject), "ll"),
        "limits": _bullets(_limits(subject)),
    }
    return _template().render(facts)


def _template() -> "Template":
    check_jinja2()
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    environment.filters |= {"literal": _literal, "literals": _literals, "in_folder": _in_folder, "shell": shlex.quote}
    return environment.from_string((Path(__file__).parent / TEMPLATE).read_text(encoding="utf-8"))


def _introduction(subject: Subject) -> dict[str, Any]:
    """The facts of the first section."""
    config, (first, last) = subject.config, (subject.curve.points[0], subject.curve.points[-1])
    objective = "beta_vae" if subject.recipe is None else subject.recipe.objective.name
    beside = ", and of β-VAEs trained for one β each" if subject.comparison is not None else ""
    where = f" of {subject.measured_on.title}" if subject.measured_on != subject.data else ""
    return {
        "title": _escaped(subject.title),
        "paper": PAPER,
        "arxiv": ARXIV,
        "data": subject.data.title,
        "kind": _kind(subject),
        "beta": f"{_beta_of(subject):g}",
        "low": f"{config.beta_range[0]:g}",
        "high": f"{config.beta_range[1]:g}",
        "objective": "" if objective == "beta_vae" else f" with the objective `{objective}`",
        "network": NETWORKS.get(config.gating, GATED),
        "ends": f"on the {_split_name(subject)} split{where}, the rate is {first.rate:.2f} nats per image "
        f"at β = {first.beta:g} and {last.rate:.2f} at β = {last.beta:g}",
        "plot": CURVE_PLOT,
        "plot_text": f"Distortion over rate, and loss over β, of {_escaped(subject.title)}{beside}",
    }


def _kind(subject: Subject) -> str:
    """Whether the model takes any β ("multi-rate"), was "folded" at one, or was trained for one alone ("dedicated")."""
    if subject.config.beta is not None:
        return "folded"
    return "multi-rate" if subject.recipe is None or subject.recipe.objective.beta is None else "dedicated"


def _beta_of(subject: Subject) -> float:
    """The one β of a model that has one."""
    if subject.config.beta is not None:
        return subject.config.beta
    trained = None if subject.recipe is None else subject.recipe.objective.beta
    return subject.curve.points[0].beta if trained is None else trained


def _example(subject: Subject, images: Collection[str]) -> dict[str, Any]:
    """The facts of the code, and of what the model is for."""
    config = subject.config
    channels, height, width = config.input_shape
    examples = [name for name in EXAMPLES if name in images]
    rates = sorted(point.rate for point in subject.curve.points)
    return {
        "version": subject.record.library_version,
        "place": "hub" if subject.repo_id is not None else "registry" if subject.source in list_models() else "folder",
        "source": subject.source,
        "repo_id": subject.repo_id,
        "files": subject.page,
        "examples": examples,
        "random_shape": f"2, {channels}, {height or ANY_SIZE[0]}, {width or ANY_SIZE[1]}",
        "channels": channels,
        "colour": {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels"),
        "size": f"{height}×{width}",
        "spatial": config.spatial,
        "sample_size": f", size={ANY_SIZE}" if config.spatial else "",
        "bounded": config.data_range is not None,
        "bernoulli": config.likelihood == "bernoulli",
        "code_betas": _literal_numbers([point.beta for point in subject.key_points]),
        "rate": _typical_rate(subject.curve),
        "span": f", at any rate from {rates[0]:.2f} to {rates[-1]:.2f} nats per image" if len(rates) > 1 else "",
    }


def _typical_rate(curve: RDCurve) -> str:
    """The rate in the middle of the curve, rounded where the curve still reaches it."""
    rate = curve.points[len(curve.points) // 2].rate
    rates = [point.rate for point in curve.points]
    for rounded in (f"{rate:.1g}", f"{rate:.3g}"):
        if min(rates) <= float(rounded) <= max(rates):
            return f"{float(rounded):g}"
    return repr(rate)


def _measured(subject: Subject) -> dict[str, Any]:
    """The facts of the figures."""
    curve, bits = subject.curve, bits_at_one(subject)
    errors = [point.standard_error / abs(point.loss) for point in curve.points if point.standard_error and point.loss]
    return {
        "split": _split(subject),
        "split_name": _split_name(subject),
        "measured_binarized": BINARIZED[curve.data.get("binarize", "none")],
        "draws": _draws(curve),
        "draw_error": f"{max(errors):.3%}" if errors else "",
        "active": any(point.active_units is not None for point in curve.points),
        "bits": None if bits is None else f"{bits:.4f}",
        "figures": figures_table(subject),
        "known": subject.beside,
        "beside": None if subject.comparison is None else _beside(subject.comparison, curve),
        "converged_below": f"{CONVERGED_BELOW:.1%}",
    }


def _draws(curve: RDCurve) -> str:
    fewest, most = min(curve.draws), max(curve.draws)
    if fewest == most:
        return "one draw" if most == 1 else f"{most} draws"
    return f"{fewest} to {most} draws"


def _beside(comparison: Comparison, curve: RDCurve) -> dict[str, Any]:
    """The facts of a comparison with dedicated β-VAEs."""
    budget = comparison.budget
    own = {point.beta: point.loss for point in curve.points}
    pairs = zip(comparison.dedicated, comparison.losses, strict=True)
    return {
        "compute": "the compute of one β-VAE run"
        if budget == 1
        else f"{budget or 0:g} times the compute of one β-VAE run",
        "budget": None if budget is None else f"{budget:g}",
        "regime": comparison.regime,
        "seeds": comparison.seeds,
        "seed": comparison.seed,
        "draws": comparison.draws,
        "tuned_at": comparison.tuned_at,
        "betas": len(comparison.dedicated),
        "differs": any(f"{loss:.2f}" != f"{own.get(point.beta, loss):.2f}" for point, loss in pairs),
        "table": comparison_table(comparison),
    }


def _training(subject: Subject, recipe: Recipe) -> dict[str, Any]:
    """The facts of a training."""
    limit = "" if recipe.data.limit is None else f"{recipe.data.limit:,} images of "
    steps = "" if recipe.training.max_steps is None else f" ({recipe.training.max_steps:,} steps at most)"
    epochs = f"{recipe.training.epochs:,} epoch{'' if recipe.training.epochs == 1 else 's'}"
    record = recipe.trained
    init = None if record is None else record.init
    start = "" if init is None else f" --init {shlex.quote(init)}"
    facts = {
        "data": f"{limit}the training split of {subject.data.title}{BINARIZED[recipe.data.binarize]}",
        "length": f"{epochs}{steps}",
        "batch_size": recipe.training.batch_size,
        "held_out": f"; {recipe.data.held_out:,} training images were held out for validation"
        if recipe.data.held_out
        else "",
        "time": None,
        "init": init,
        "init_sha256": None if record is None else record.init_sha256,
        "command": f"mrvae train {shlex.quote(subject.source)} --data-root DIR{start} -o NEW_RUN",
        "text": _fenced(subject.recipe_text.strip("\n"), "toml"),
    }
    return facts if record is None else facts | _trained(record)


def _trained(record: TrainedRecord) -> dict[str, Any]:
    """When a model was trained, on what, and with which code."""
    code = ""
    if record.commit is not None and record.commit.endswith(DIRTY):
        code = " (a working copy with uncommitted changes)"
    elif record.commit is not None:
        code = f" (commit `{record.commit}`)"
    return {
        "time": format_seconds(record.seconds),
        "hardware": record.hardware,
        "date": "" if record.date is None else f", on {record.date}",
        "version": record.version,
        "code": code,
    }


def _limits(subject: Subject) -> list[str]:
    """The limits that the figures show, and the questions that they leave open."""
    found = []
    beaten = [(point, better) for point in subject.curve.points if (better := _better(subject, point)) is not None]
    if beaten:
        (point, better), betas = beaten[0], ", ".join(f"{each.beta:g}" for each, _ in beaten)
        found.append(
            f"The model is not optimal at β = {betas}, where another β gives a lower rate and a lower distortion. For "
            f"example, β = {better.beta:g} beside β = {point.beta:g}: rate {better.rate:.2f} instead of "
            f"{point.rate:.2f}, distortion {better.distortion:.2f} instead of {point.distortion:.2f}."
        )
    idle = [
        p for p in subject.curve.points if p.active_units is not None and p.active_units < subject.config.latent_dim
    ]
    if idle:
        worst = min(idle, key=lambda p: p.active_units or 0)
        found.append(
            f"Not all latents are in use at every β: at β = {worst.beta:g}, {worst.active_units} of "
            f"{subject.config.latent_dim} are active."
        )
    if subject.comparison is None and _kind(subject) != "dedicated":
        found.append("How far the model is, at each β, from a β-VAE trained for that β has not been measured.")
    if subject.comparison is None or subject.comparison.gaps is None:
        found.append(
            "These figures are of one training with one seed. How much another seed would change is not known."
        )
    return found or ["None are known beyond what stands above."]


def _better(subject: Subject, point: RDPoint) -> RDPoint | None:
    """The point of lowest distortion among those that are better than `point` in rate and in distortion."""
    better = [p for p in subject.curve.points if p.rate < point.rate and p.distortion < point.distortion]
    return min(better, key=lambda p: p.distortion, default=None)


def _terms(subject: Subject) -> dict[str, Any]:
    """The facts of the licence, and whom to cite."""
    data = subject.data
    entries = [entry for entry in (CITATION, data.citation) if entry is not None]
    return {
        "licence": "unknown" if not data.known else "non-commercial" if data.non_commercial else "open",
        "data_url": data.url,
        "data_licence": data.licence,
        "cites_data": len(entries) > 1,
        "citation": _fenced("\n\n".join(entries), "bibtex"),
    }


def _split(subject: Subject) -> str:
    examples = subject.curve.data.get("examples")
    count = f"{examples:,} images of the " if isinstance(examples, int) else ""
    return f"the {count}{_split_name(subject)} split of {subject.measured_on.title}"


def _split_name(subject: Subject) -> str:
    return _escaped(str(subject.curve.data.get("split", "test")))


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _literal(value: str) -> str:
    """A string as Python code."""
    return json.dumps(value, ensure_ascii=False)


def _literals(values: Sequence[str]) -> str:
    """A list of strings as Python code."""
    return f"[{', '.join(map(_literal, values))}]"


def _in_folder(names: Sequence[str]) -> str:
    """The paths of files in the folder that the code calls `folder`, as Python code."""
    return ", ".join(f'f"{{folder}}/{name}"' for name in names)


def _literal_numbers(values: Sequence[float]) -> str:
    """A tuple of numbers as Python code."""
    return f"({', '.join(f'{value:g}' for value in values)}{',' if len(values) == 1 else ''})"


def _fenced(code: str, language: str) -> str:
    """A code block, whatever the code holds."""
    longest = max((len(run) for run in re.findall("`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"


def _escaped(text: str) -> str:
    """Text as Markdown that shows it."""
    return re.sub(r"([\\`*<>\[\]|~#&$])", r"\\\1", " ".join(text.split()))
