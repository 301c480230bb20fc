"""The text of a card in Markdown, generated from what the folder of a model says."""

import json
import re
import shlex
from collections.abc import Collection

from mrvae_zoo.cards.subject import Comparison, Subject
from mrvae_zoo.cards.tables import comparison_table, facts_table, figures_table, has_bits
from mrvae_zoo.common.layout import CURVE_PLOT, RECIPE, RECONSTRUCTIONS, SAMPLES
from mrvae_zoo.common.markdown import table
from mrvae_zoo.models.curve import RDCurve, RDPoint
from mrvae_zoo.training.provenance import format_seconds
from mrvae_zoo.training.run_folder import train_again

PAPER = "https://openreview.net/forum?id=OJ8aSjCaMNK"
CITATION = """@inproceedings{bae2023multirate,
  title     = {Multi-Rate {VAE}: Train Once, Get the Full Rate-Distortion Curve},
  author    = {Bae, Juhan and Zhang, Michael R. and Ruan, Michael and Wang, Eric and Hasegawa, So and Ba, Jimmy and
               Grosse, Roger},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2023}
}"""
BINARIZED = {
    "static": ", each pixel binarised once",
    "dynamic": ", each pixel binarised anew in every step",
    "none": "",
}


def text(subject: Subject, images: Collection[str]) -> str:
    """The Markdown below the metadata; `images` are the names of those that lie beside it."""
    sections = (
        introduction(subject),
        use(subject),
        purpose(subject),
        measured(subject),
        *((reconstructions(subject),) if RECONSTRUCTIONS in images else ()),
        *((samples(),) if SAMPLES in images else ()),
        training(subject),
        limits(subject),
        licence(subject),
    )
    return "\n\n".join(sections) + "\n"


def introduction(subject: Subject) -> str:
    """What the model is."""
    low, high = subject.config.beta_range
    first, last = subject.curve.points[0], subject.curve.points[-1]
    objective = "beta_vae" if subject.recipe is None else subject.recipe.objective.name
    kind = "β-VAE" if objective == "beta_vae" else f"`{objective}` model"
    what = (
        f"A Multi-Rate VAE ([Bae et al., ICLR 2023]({PAPER})): one variational autoencoder, trained once on "
        f"{subject.data.title}, and then called with any β from {low:g} to {high:g}. Its layers are gated by a "
        f"function of log β, so that at each β it stands in for the {kind} trained for that β alone: a low β keeps "
        "detail and spends a high rate on it, a high β keeps what is worth its rate."
    )
    if subject.config.beta is not None:
        what += (
            f" In this one the gates are folded into the weights: it is a plain VAE, at β = {subject.config.beta:g}."
        )
    else:
        what += (
            f" On {_split(subject)} it spends from {first.rate:.2f} nats an image (β = {first.beta:g}) down to "
            f"{last.rate:.2f} (β = {last.beta:g})."
        )
    beside = " and of β-VAEs trained for one β each" if subject.comparison is not None else ""
    plot = f"![Distortion over rate, and loss over β, of {_escaped(subject.name)}{beside}]({CURVE_PLOT})"
    return "\n\n".join((f"# {_escaped(subject.name)}", what, plot, table(("", ""), facts_table(subject), "ll")))


def use(subject: Subject) -> str:
    """How to load and call it."""
    version = subject.record.library_version
    code = f"import mrvae_zoo\n\nmodel = mrvae_zoo.load_pretrained({json.dumps(subject.source, ensure_ascii=False)})"
    return "\n\n".join(
        (
            "## Use",
            f"With `mrvae_zoo` {version} or newer installed:",
            _fenced(code, "python"),
            _fenced(_calls(subject), "python"),
        )
    )


def _calls(subject: Subject) -> str:
    channels, height, width = subject.config.input_shape
    size = "of one size" if height is None else f"resized to {height}×{width}"
    colour = {1: "grey, ", 3: "RGB, "}.get(channels, "")
    lines = [f'x = model.preprocess(["one.png", "two.png"])  # files, PIL images or arrays: {colour}{size}']
    drawn = ", size=(64, 64)" if subject.config.spatial else ""
    if subject.config.beta is not None:
        return "\n".join(
            (
                *lines,
                "out = model(x)  # out.reconstruction; out.rate, out.distortion: nats an image",
                "latents = model.encode(x).mode()",
                "images = model.decode(latents)",
                f"new = model.sample(16{drawn})  # images decoded from the prior",
            )
        )
    beta, rate = _typical_beta(subject), _typical_rate(subject)
    lines += [
        f"out = model(x, {beta:g})  # at β = {beta:g}: out.reconstruction; out.rate, out.distortion: nats an image",
        "",
        f"beta = model.curve.beta_for(rate={rate})  # the β that spends {rate} nats on an image",
        "latents = model.encode(x, beta).mode()  # an embedding of that rate",
        "images = model.decode(latents, beta)",
        f"new = model.sample(16, beta{drawn})  # images decoded from the prior",
        "plain = model.at(beta)  # a plain VAE, the gates folded into its weights",
    ]
    return "\n".join(lines)


def _typical_beta(subject: Subject) -> float:
    low, high = subject.config.beta_range
    return next((beta for beta in (0.1, 1.0) if low <= beta <= high), low)


def _typical_rate(subject: Subject) -> str:
    """That of the middle of the curve, rounded where the curve still reaches it."""
    rate = subject.curve.points[len(subject.curve.points) // 2].rate
    for rounded in (f"{rate:.1g}", f"{rate:.3g}"):
        try:
            subject.curve.beta_for(rate=float(rounded))
        except ValueError:
            continue
        return f"{float(rounded):g}"
    return repr(rate)


def purpose(subject: Subject) -> str:
    """What it is for, and what it is not for."""
    title, config = subject.data.title, subject.config
    low, high = config.beta_range
    rates = sorted(point.rate for point in subject.curve.points)
    sizes = "of any size" if config.input_shape[1] is None else f"of {config.input_shape[1]}×{config.input_shape[2]}"
    span = f", from {rates[0]:.2f} to {rates[-1]:.2f} nats an image" if len(rates) > 1 else ""
    wanted = [f"Embeddings of images like those of {title}, at the rate that suits{span}."]
    if config.beta is None:
        wanted.append(
            "Finding the β, or the trade-off between rate and distortion, that a task wants, without a training for "
            "each: `model.at(beta)` is then a plain VAE to go on with."
        )
    wanted.append(
        "Scores of how unusual an image is (`mrvae_zoo.unusualness(model, x, beta)`), and a first stage for models of "
        "latents. How well it serves as either has not been measured."
    )
    unwanted = [
        f"Other images: it has seen nothing but {title}. It takes "
        f"{_colour(config.input_shape[0])} images {sizes}; "
        + (
            "`preprocess` converts others."
            if config.input_shape[1] is None
            else "`preprocess` converts and resizes others."
        )
    ]
    if config.beta is None:
        unwanted.append(f"β below {low:g} or above {high:g}: an error.")
    if config.likelihood == "bernoulli":
        unwanted.append(
            "Exact grey values: its likelihood is Bernoulli, each pixel black or white with a probability, and a "
            "reconstruction shows that probability."
        )
    else:
        unwanted.append(
            "Sharp texture: its likelihood is a Gaussian of fixed width, and a reconstruction is the mean, which is "
            "smooth where the latents leave something open."
        )
    unwanted += [
        "Evidence: what a low rate leaves out is filled in with what is usual in the training images.",
        "Storing images: the rate is what an ideal code would spend; no bits are written here.",
        "New images at a low β: latents of images fill little of the prior there, and draws from it may be like none.",
    ]
    lists = (_bullets(wanted), "It is not for:", _bullets(unwanted))
    return "\n\n".join(("## What it is for, and what it is not", "It is for:", *lists))


def measured(subject: Subject) -> str:
    """The table of the curve."""
    curve = subject.curve
    how = (
        f"On {_split(subject)}{BINARIZED[curve.data.get('binarize', 'none')]}, with {_draws(curve)}: "
        "rate R, distortion D and loss L = D + β·R, in nats an image."
    )
    errors = [point.standard_error / abs(point.loss) for point in curve.points if point.standard_error and point.loss]
    if errors:
        how += f" Other draws would change L by {max(errors):.3%} at most (one standard error)."
    if any(point.active_units is not None for point in curve.points):
        how += " A latent is active where its posterior mean has a variance above 0.01 over the images."
    if has_bits(subject):
        how += " Bits per dimension are of −log p(x), which L bounds at β = 1"
        how += ": a density, of values as the model takes them." if subject.config.sigma is not None else "."
    parts = ["## What was measured", how, figures_table(subject)]
    verify = f"mrvae verify {shlex.quote(subject.source)} --data-root DIR"
    parts.append(f"`{verify}` measures it again and compares.")
    if subject.comparison is not None:
        parts += [_beside(subject.comparison), comparison_table(subject.comparison)]
    return "\n\n".join(parts)


def _draws(curve: RDCurve) -> str:
    fewest, most = min(curve.draws), max(curve.draws)
    if fewest == most:
        return "one draw of z per image" if most == 1 else f"{most} draws of z per image"
    return f"{fewest} to {most} draws of z per image"


def _beside(comparison: Comparison) -> str:
    """What the table of a comparison shows."""
    text = "Beside β-VAEs of the same architecture without gates, each trained for one β"
    if comparison.seeds > 1:
        text += f" (means of {comparison.seeds} trainings)"
    text += "."
    if comparison.budget is not None:
        times = "once" if comparison.budget == 1 else f"{comparison.budget:g} times"
        text += f" This model was trained with {times} the operations of one of them"
        text += "." if comparison.regime is None else f" (trainings: {comparison.regime})."
    if comparison.draws is not None:
        text += f" Both were measured with {comparison.draws} draws of z per image."
    return f"{text} A negative gap is better."


def reconstructions(subject: Subject) -> str:
    """Images and their reconstructions at several β."""
    return (
        f"## Reconstructions\n\n![Images and their reconstructions at several β]({RECONSTRUCTIONS})\n\n"
        f"Images of the {_escaped(str(subject.curve.data.get('split', 'test')))} split, as the curve was measured on "
        "them, and what the model makes of them at each β (the mean of p(x|z) at the mean of the posterior), with the "
        "mean rate of these images."
    )


def samples() -> str:
    """Draws from the prior."""
    return (
        f"## Samples\n\n![Images decoded from draws of the prior, at several β]({SAMPLES})\n\n"
        "Draws of z from the prior, the same in every row, decoded at each β; not selected."
    )


def training(subject: Subject) -> str:
    """How it was trained."""
    recipe = subject.recipe
    if recipe is None:
        return "## How it was trained\n\nIn a training loop of its author's own; how is not recorded here."
    limit = "" if recipe.data.limit is None else f"{recipe.data.limit:,} images of "
    steps = "" if recipe.training.max_steps is None else f", {recipe.training.max_steps:,} steps at most,"
    text = (
        f"On {limit}the training split of {subject.data.title}{BINARIZED[recipe.data.binarize]}: "
        f"{recipe.training.epochs:,} epochs{steps} in batches of {recipe.training.batch_size}"
    )
    record = recipe.trained
    if record is None:
        text += ". How long that took, and on what, was not recorded."
    else:
        text += f", {format_seconds(record.seconds)} on {record.hardware} with `mrvae_zoo` {record.version}"
        text += "" if record.commit is None else f" (commit `{record.commit}`)"
        text += "." if record.date is None else f", on {record.date}."
    init = None if record is None else record.init
    if record is not None and init is not None:
        text += f" It began with the weights of `{init}` (SHA-256 `{record.init_sha256}`)."
    command = f"`{train_again(init)}` trains it again with this recipe, `{RECIPE}` here:"
    return "\n\n".join(("## How it was trained", text, command, _fenced(subject.recipe_text.strip("\n"), "toml")))


def limits(subject: Subject) -> str:
    """What the figures themselves say against it, and what they leave open."""
    found = []
    beaten = [(point, better) for point in subject.curve.points if (better := _better(subject, point)) is not None]
    if beaten:
        (point, better), betas = beaten[0], ", ".join(f"{each.beta:g}" for each, _ in beaten)
        found.append(
            f"It is short of the optimum at β = {betas}: another β has both "
            f"a lower rate and a lower distortion (β = {better.beta:g} beside β = {point.beta:g}: rate "
            f"{better.rate:.2f} for {point.rate:.2f}, distortion {better.distortion:.2f} for {point.distortion:.2f})."
        )
    idle = [
        p for p in subject.curve.points if p.active_units is not None and p.active_units < subject.config.latent_dim
    ]
    if idle:
        worst = min(idle, key=lambda p: p.active_units or 0)
        found.append(
            f"Not all latents are used at every β: at β = {worst.beta:g}, {worst.active_units} of "
            f"{subject.config.latent_dim} are active."
        )
    if subject.comparison is None:
        found.append("How far it is at each β from a β-VAE trained for that β has not been measured.")
    if subject.comparison is None or subject.comparison.gaps is None:
        found.append("It is one training with one seed; how much another seed would change is not known from it.")
    return f"## Limits\n\n{_bullets(found)}"


def _better(subject: Subject, point: RDPoint) -> RDPoint | None:
    """The point of lowest distortion among those that are better than `point` in rate and in distortion."""
    better = [p for p in subject.curve.points if p.rate < point.rate and p.distortion < point.distortion]
    return min(better, key=lambda p: p.distortion, default=None)


def licence(subject: Subject) -> str:
    """Of the weights and of the data, and whom to cite."""
    data = subject.data
    if not data.known:
        terms = (
            f"What licence {data.title} is under is not known to `mrvae_zoo`, and so none is named for these weights; "
            "ask who published them."
        )
    elif data.non_commercial:
        terms = (
            f"The data, {data.title} ([source]({data.url})), are {data.licence}, and so are these weights and the "
            "images of this page."
        )
    else:
        source = "" if data.url is None else f" ([source]({data.url}))"
        stated = (
            "are under no licence that their authors state" if data.licence is None else f"are under {data.licence}"
        )
        terms = f"The weights are under Apache-2.0. The data, {data.title}{source}, {stated}"
        terms += "." if data.licence is None else ", and so are the images of this page that show them."
    entries = "\n\n".join(entry for entry in (CITATION, data.citation) if entry is not None)
    return f"## Licence and citation\n\n{terms}\n\n{_fenced(entries, 'bibtex')}"


def _split(subject: Subject) -> str:
    data = subject.curve.data
    examples = f"{data['examples']:,} images of the " if isinstance(data.get("examples"), int) else ""
    return f"the {examples}{_escaped(str(data.get('split', 'test')))} split of {subject.measured_on.title}"


def _colour(channels: int) -> str:
    return {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _fenced(code: str, language: str) -> str:
    """A code block, whatever the code holds."""
    longest = max((len(run) for run in re.findall("`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"


def _escaped(text: str) -> str:
    """Text as Markdown that shows it."""
    return re.sub(r"([\\`*<>\[\]|~#&$])", r"\\\1", " ".join(text.split()))
