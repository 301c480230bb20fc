"""The command `mrvae info`."""

from typing import TYPE_CHECKING

from mrvae_zoo.cli.common import Json, Name, print_json, print_table, say

if TYPE_CHECKING:
    from mrvae_zoo.checkpoints.folder import Description
    from mrvae_zoo.models.latents import LatentTable
    from mrvae_zoo.models.sampler import MixtureSampler

ROWS, MOST = 7, 10  # rows of the curve to show, so that everything fits on a screen, and of latents


def info(name: Name, json: Json = False) -> None:
    """Show what a model is: its network, its data with their licence, its size and its curve. Needs no weights."""
    from mrvae_zoo.common.schema import to_plain
    from mrvae_zoo.data.sets import data_facts
    from mrvae_zoo.errors import counted
    from mrvae_zoo.hub.load import describe_model

    model = describe_model(name)
    facts = None if model.data is None else data_facts(model.data)
    if json:
        print_json(
            {
                "name": name,
                "parameters": model.parameters,
                "data": model.data,
                "licence": None if facts is None else facts.licence,
                "config": to_plain(model.config),
                "curve": None if model.curve is None else model.curve.to_plain(),
                "latents": None if model.curve is None else to_plain(model.curve.latents),
                "sampler": None if model.sampler is None else mixtures_of(model.sampler),
            }
        )
        return
    lines = describe(model)
    if facts is not None:
        lines["data"] = facts.title
        lines["licence of data"] = facts.licence or ("none stated" if facts.known else "not known")
    if model.sampler is not None:
        betas = model.sampler.betas
        lines["sampler"] = f"{counted(len(betas), 'mixture')}, fitted at β from {betas[0]:g} to {betas[-1]:g}"
    for key, value in lines.items():
        say_fact(key, value)
    if model.curve is None:
        say("no published curve; it needs training first, see: mrvae train --help")
        return
    curve = model.curve
    words = [f"{key} {value}" for key, value in curve.data.items() if key not in ("name", "split")]
    on = " ".join(str(curve.data[key]) for key in ("name", "split") if key in curve.data)
    say_fact("curve on", ", ".join([on, *words]))
    rows = list(zip(*curve.columns().values(), strict=True))
    some = rows[:: max(1, -(-(len(rows) - 1) // (ROWS - 1)))]
    print_table(list(curve.columns()), some)
    if len(some) < len(rows):
        say(f"all {len(rows)} points: mrvae curve {name}")
    if curve.latents is not None:
        show_latents(curve.latents, places=model.config.spatial)


def show_latents(latents: "LatentTable", *, places: bool) -> None:
    """Print the latents that carry most, at the lowest, a middle and the highest β."""
    points = latents.points
    shown = [points[i] for i in sorted({0, len(points) // 2, len(points) - 1})]
    order = shown[0].order[:MOST]
    say_fact("latents", f"KL in nats{' per place' if places else ''}, the first {len(order)} at β = {shown[0].beta:g}")
    header = ["latent", *(f"β = {point.beta:.4g}" for point in shown)]
    print_table(header, [[str(i), *(f"{point.kl[i]:.3f}" for point in shown)] for i in order])


def mixtures_of(sampler: "MixtureSampler") -> list[dict[str, float]]:
    """Return the β, the number of components and the gain in nats of each mixture."""
    return [{"beta": each.beta, "components": len(each.weights), "gain": each.gain} for each in sampler.mixtures]


def describe(model: "Description") -> dict[str, str]:
    """Describe a model in a few lines."""
    config = model.config
    size = " × ".join("any" if side is None else str(side) for side in config.input_shape)
    arguments = ", ".join(f"{key} {_short(value)}" for key, value in config.arguments.items())
    low, high = config.beta_range
    places = " per place of 8 × 8 pixels" if config.spatial else ""
    sigma = "" if config.sigma is None else f", sigma {config.sigma:.4g}"
    return {
        "architecture": f"{config.architecture} ({arguments})" if arguments else config.architecture,
        "input shape": f"{size} (channels × height × width)",
        "latents": f"{config.latent_dim}{places}",
        "beta": f"{low:g} to {high:g}" if config.beta is None else f"{config.beta:g} alone",
        "gates": config.gating,
        "likelihood": f"{config.likelihood}{sigma}",
        "parameters": f"{model.parameters:,}",
    }


def _short(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def say_fact(key: str, value: str) -> None:
    """Print a key and its value on one line of stdout."""
    import typer

    typer.echo(f"{key:<16} {value}")
