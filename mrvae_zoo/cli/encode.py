"""The command `mrvae encode`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrvae_zoo.cli.common import Device, DeviceOption, Force, Images, Json, Name, print_json, say
from mrvae_zoo.common.environment import is_main_process, process_count

if TYPE_CHECKING:
    from mrvae_zoo.models.vae import BaseVAE


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
    from mrvae_zoo.errors import counted, name_some
    from mrvae_zoo.hub.load import exact, load_pretrained, locate_checkpoint
    from mrvae_zoo.inference.encoding import encode_files, find_files
    from mrvae_zoo.inference.latents import LatentsInfo, save_latents

    if beta is None and rate is None:
        raise typer.BadParameter("give --beta or --rate.")
    if beta is not None and rate is not None:
        raise typer.BadParameter("give --beta or --rate, not both.")
    check_output(output, force=force)
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder; name a file")
    files, may_skip = find_files(images)
    source = exact(name)
    folder = locate_checkpoint(source)
    accelerator = make_accelerator(device.value) if process_count() > 1 else None
    model = load_pretrained(source, device=device.value if accelerator is None else accelerator.device)
    plain = model.at(_beta_for(model, rate) if beta is None else beta)
    encoded = encode_files(plain, files, may_skip=may_skip, accelerator=accelerator)
    if accelerator is not None:
        accelerator.wait_for_everyone()
        accelerator.end_training()
    if not is_main_process():
        return
    if encoded.skipped:
        say(f"{len(encoded.skipped)} of {len(files)} images cannot be read: {name_some(encoded.skipped)}")
    info = LatentsInfo(
        source=source,
        revision=read_config(folder).weights.sha256,
        beta=plain.beta,
        input_shape=encoded.input_shape,
        files=tuple(map(str, encoded.files)),
    )
    posterior = encoded.posterior
    save_latents(output, posterior.mean, posterior.log_var, info)
    nats = posterior.kl().mean().item()
    say(f"wrote {output}: {counted(len(encoded.files), 'image')}, {nats:.2f} nats each on average")
    if json:
        print_json({"output": str(output), "images": len(encoded.files), "beta": plain.beta, "rate": nats})


def _beta_for(model: "BaseVAE", rate: float | None) -> float:
    """Find the β of a mean rate on the curve, and print it."""
    assert rate is not None  # the command requires --rate if there is no --beta
    curve = model.require_curve()
    beta = curve.beta_for(rate=rate)
    if is_main_process():
        data = " ".join(str(curve.data[key]) for key in ("name", "split") if key in curve.data) or "its data"
        say(f"β = {beta:.4g}, where the mean rate over {data} is {rate:g} nats; other images have other rates")
    return beta
