"""mrvae encode."""

from typing import Annotated

import typer

from mrvae_zoo.cli.common import Force, Images, Name, Output, say


def encode(
    name: Name,
    images: Images,
    output: Output,
    beta: Annotated[float | None, typer.Option("--beta", help="The β to encode at.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Or the rate in nats that β is found for.")] = None,
    force: Force = False,
) -> None:
    """Encode images into a safetensors file that `mrvae decode` reads."""
    import torch

    from mrvae_zoo.checkpoint import read_config
    from mrvae_zoo.files import check_output
    from mrvae_zoo.hub import LOCAL, load_pretrained, locate_checkpoint
    from mrvae_zoo.latents import LatentsInfo, save_latents
    from mrvae_zoo.tiling import encode_tiled

    if (beta is None) == (rate is None):
        raise typer.BadParameter("give --beta or --rate, and one of them.")
    check_output(output, force=force)
    folder = locate_checkpoint(name)
    model = load_pretrained(name)
    if beta is None:
        if model.curve is None:
            raise ValueError(f"{name} has no curve to find --rate on; give --beta")
        beta = model.curve.beta_for(rate=rate)
        say(f"rate {rate:g} nats: β = {beta:.4g}")
    plain = model.at(beta)
    x = plain.preprocess(images)
    with torch.no_grad():
        posterior = encode_tiled(plain, x) if plain.config.spatial else plain.encode(x)
    info = LatentsInfo(
        source=f"{LOCAL}{folder.resolve()}" if name.startswith(LOCAL) else name,
        revision=read_config(folder).weights.sha256,
        beta=plain.beta,
        input_shape=(x.shape[1], x.shape[2], x.shape[3]),
        files=tuple(str(image) for image in images),
    )
    save_latents(output, posterior.mean, posterior.log_var, info)
    say(f"wrote {output}: {len(images)} images, {posterior.kl().mean().item():.2f} nats each")
