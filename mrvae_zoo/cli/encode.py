"""mrvae encode."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Force, Name, Output, say
from mrvae_zoo.common.environment import is_main_process, process_count


def encode(
    name: Name,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES...", help="Images in any format that Pillow reads, or folders.")
    ],
    output: Output,
    beta: Annotated[float | None, typer.Option("--beta", help="The β to encode at.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Or the rate in nats that β is found for.")] = None,
    force: Force = False,
) -> None:
    """Encode images into a safetensors file that `mrvae decode` reads.

    Of a folder those that cannot be read are left out and named. Several processes (torchrun) share the images.
    """
    from mrvae_zoo.checkpoints.folder import read_config
    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.common.processes import make_accelerator
    from mrvae_zoo.errors import name_some
    from mrvae_zoo.hub.load import exact, load_pretrained, locate_checkpoint
    from mrvae_zoo.inference.encoding import encode_files, find_files
    from mrvae_zoo.inference.latents import LatentsInfo, save_latents

    if (beta is None) == (rate is None):
        raise typer.BadParameter("give --beta or --rate, and one of them.")
    check_output(output, force=force)
    files, may_skip = find_files(images)
    source = exact(name)
    folder = locate_checkpoint(source)
    accelerator = make_accelerator() if process_count() > 1 else None
    model = load_pretrained(source, device="cpu" if accelerator is None else accelerator.device)
    if beta is None:
        if model.curve is None:
            raise ValueError(f"{name} has no curve to find --rate on; give --beta")
        beta = model.curve.beta_for(rate=rate)
        if is_main_process():
            say(f"rate {rate:g} nats: β = {beta:.4g}")
    plain = model.at(beta)
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
    say(f"wrote {output}: {len(encoded.files)} images, {posterior.kl().mean().item():.2f} nats each")
