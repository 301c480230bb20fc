"""mrvae sample."""

from typing import Annotated

import typer

from mrvae_zoo.cli.common import Force, ImageOutput, Name, Seed, batches, say

COLUMNS = 8


def sample(
    name: Name,
    output: ImageOutput,
    beta: Annotated[
        float | None,
        typer.Option("--beta", help="The β of the decoder. Default: 1, or what the model takes next to it."),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="How many images.", min=1, max=4096)] = 64,
    size: Annotated[
        tuple[int, int] | None, typer.Option("--size", metavar="HEIGHT WIDTH", help="For a model of any size.")
    ] = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Draw images decoded from the prior."""
    import torch

    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.common.grids import grid, image_format, save_image
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.models.vae import FixedRateVAE

    check_output(output, force=force)
    image_format(output)
    model = load_pretrained(name)
    if beta is None:
        low, high = model.beta_range
        beta = model.beta if isinstance(model, FixedRateVAE) else min(max(1.0, low), high)
    plain = model.at(beta)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        parts = [plain.sample(some, size=size, generator=generator) for some in batches(n)]
    images = torch.cat(parts)
    save_image(grid(plain.config.to_unit_range(images).split(COLUMNS)), output)
    say(f"wrote {output}")
