"""The command `mrvae encode`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrvae_zoo.cli.common import Device, DeviceOption, Force, Images, Json, Name, measuring, print_json, say
from mrvae_zoo.common.environment import is_main_process, process_count

if TYPE_CHECKING:
    from torch import Tensor

    from mrvae_zoo.inference.encoding import Encoded
    from mrvae_zoo.inference.per_image import BetaForEach
    from mrvae_zoo.models.posterior import Posterior
    from mrvae_zoo.models.vae import BaseVAE

WAYS = "--beta, --rate, --rate-each or --distortion-each"


def encode(
    name: Name,
    images: Images,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The latents file to write, as safetensors.")
    ],
    beta: Annotated[float | None, typer.Option("--beta", metavar="B", help="The β to encode at.")] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="NATS", help="Instead of --beta: the mean rate per image to aim at."),
    ] = None,
    rate_each: Annotated[
        float | None,
        typer.Option(
            "--rate-each", metavar="NATS", help="Instead of --beta: the rate of every image, each at a β of its own."
        ),
    ] = None,
    distortion_each: Annotated[
        float | None,
        typer.Option(
            "--distortion-each",
            metavar="NATS",
            help="Instead of --beta: the distortion of every image, each at a β of its own. It is a mean over draws of "
            "z, like that of the curve.",
        ),
    ] = None,
    dims: Annotated[
        int | None,
        typer.Option(
            "--dims", metavar="N", help="Keep only the N latents with the highest KL divergence at this β.", min=1
        ),
    ] = None,
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Encode images into a file of latents, which `mrvae decode` reads.

    Files in a folder that cannot be read are left out, and named. Several processes (torchrun) share the images.
    """
    from mrvae_zoo.checkpoints.folder import read_config
    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.common.processes import make_accelerator
    from mrvae_zoo.common.progress import no_bar
    from mrvae_zoo.errors import counted, name_some
    from mrvae_zoo.hub.load import exact, load_pretrained, locate_checkpoint
    from mrvae_zoo.inference.encoding import encode_files, find_files
    from mrvae_zoo.inference.latents import LatentsInfo, save_latents

    ways = [way for way in (beta, rate, rate_each, distortion_each) if way is not None]
    if len(ways) != 1:
        raise typer.BadParameter(f"give {WAYS}{', and only one of them' if ways else ''}.")
    check_output(output, force=force)
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder; name a file")
    files, may_skip = find_files(images)
    source = exact(name)
    folder = locate_checkpoint(source)
    accelerator = make_accelerator(device.value) if process_count() > 1 else None
    model = load_pretrained(source, device=device.value if accelerator is None else accelerator.device)
    if dims is not None:
        _check_dims(model, dims)
    choose = _chooser(model, rate_each, distortion_each)
    if rate is not None:
        beta = _beta_for(model, rate)
    plain = model if beta is None else model.at(beta)
    with measuring("encoding") if is_main_process() else no_bar() as progress:
        encoded = encode_files(
            plain, files, may_skip=may_skip, choose=choose, accelerator=accelerator, progress=progress
        )
    if accelerator is not None:
        accelerator.wait_for_everyone()
        accelerator.end_training()
    if not is_main_process():
        return
    if encoded.skipped:
        say(f"{len(encoded.skipped)} of {len(files)} images cannot be read: {name_some(encoded.skipped)}")
    chosen, posterior = encoded.chosen, encoded.posterior
    one_beta = plain.config.beta
    kept = None if dims is None else _most_telling(model, dims, chosen.beta if chosen is not None else one_beta)
    info = LatentsInfo(
        source=source,
        revision=read_config(folder).weights.sha256,
        beta=one_beta,
        input_shape=encoded.input_shape,
        files=tuple(map(str, encoded.files)),
        latents=kept,
    )
    held = posterior if kept is None else _columns(posterior, kept)
    save_latents(output, held.mean, held.log_var, info, None if chosen is None else chosen.beta)
    nats, whole = held.kl().mean().item(), posterior.kl().mean().item()
    say(f"wrote {output}: {counted(len(encoded.files), 'image')}, {nats:.2f} nats each on average")
    told: dict[str, Any] = {"output": str(output), "images": len(encoded.files), "beta": one_beta, "rate": nats}
    if kept is not None:
        say(f"kept {counted(len(kept), 'latent')}: {name_some(kept)}; all {model.latent_dim} have {whole:.2f} nats")
        told |= {"latents": kept, "rate_of_all_latents": whole}
    if chosen is not None:
        told |= _tell_chosen(model, chosen, encoded, distortion=distortion_each is not None)
    if json:
        print_json(told)


def _beta_for(model: "BaseVAE", rate: float) -> float:
    """Find the β of a mean rate on the curve, and print it."""
    curve = model.require_curve()
    beta = curve.beta_for(rate=rate)
    if is_main_process():
        data = " ".join(str(curve.data[key]) for key in ("name", "split") if key in curve.data) or "its data"
        say(f"β = {beta:.4g}, where the mean rate over {data} is {rate:g} nats; other images have other rates")
    return beta


def _chooser(
    model: "BaseVAE", rate: float | None, distortion: float | None
) -> "Callable[[Tensor], BetaForEach] | None":
    """Return the function that finds the β of each image, or None if all have the same."""
    from mrvae_zoo.inference.per_image import beta_for_each, check_target

    if rate is None and distortion is None:
        return None
    check_target(model, rate, distortion)
    return lambda x: beta_for_each(model, x, rate=rate, distortion=distortion)


def _tell_chosen(model: "BaseVAE", chosen: "BetaForEach", encoded: "Encoded", *, distortion: bool) -> dict[str, Any]:
    """Print the range of the β of the images and how many miss the target; returns the same for JSON."""
    low, high = (end.item() for end in chosen.beta.aminmax())
    what, mean = "distortion" if distortion else "rate", chosen.nats.mean().item()
    missed = int((~chosen.reached).sum())
    say(f"β from {low:.4g} to {high:.4g}{f'; mean distortion {mean:.2f} nats' if distortion else ''}")
    if missed:
        least, most = model.beta_range
        count = f"{missed} of {len(encoded.files)} images"
        say(f"{count} cannot have this {what} at a β in [{least:g}, {most:g}]; they get the nearer end")
    told: dict[str, Any] = {"betas": chosen.beta.tolist(), "not_reached": missed}
    return told | {"distortion": mean} if distortion else told


def _check_dims(model: "BaseVAE", dims: int) -> None:
    """Raise an error before anything is encoded if so many latents cannot be chosen."""
    if dims > model.latent_dim:
        raise ValueError(f"--dims {dims}: this model has {model.latent_dim} latents")
    model.latent_statistics(model.require_curve().betas[0])


def _most_telling(model: "BaseVAE", dims: int, beta: "Tensor | float | None") -> tuple[int, ...]:
    """Return the latents with the highest KL divergence at β; where each image has its own, at their median."""
    middle = beta.median().item() if beta is not None and not isinstance(beta, float) else beta
    assert middle is not None
    betas = model.require_curve().betas  # rounding may have left them
    return model.latent_statistics(min(max(middle, betas[0]), betas[-1])).order[:dims]


def _columns(posterior: "Posterior", kept: tuple[int, ...]) -> "Posterior":
    from mrvae_zoo.models.posterior import Posterior

    return Posterior(posterior.mean[:, [*kept]], posterior.log_var[:, [*kept]])
