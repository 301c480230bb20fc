"""The command `mrvae sample`."""

from enum import StrEnum
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Device, DeviceOption, Force, ImageOutput, Json, Name, Seed, batches, print_json, say

COLUMNS = 8


class SamplerOption(StrEnum):
    """The values of --sampler."""

    mixture = "mixture"
    prior = "prior"


def sample(
    name: Name,
    output: ImageOutput,
    beta: Annotated[
        float | None,
        typer.Option("--beta", metavar="B", help="The β of the decoder. Default: 1, or what the model has next to it."),
    ] = None,
    n: Annotated[int, typer.Option("-n", metavar="N", help="How many images to draw.", min=1, max=4096)] = 64,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option("--size", metavar="HEIGHT WIDTH", help="The size of the images, of a model that takes any."),
    ] = None,
    sampler: Annotated[
        SamplerOption | None,
        typer.Option(
            "--sampler",
            help="What to draw from: the prior, or the mixture that `mrvae fit-sampler` fitted at the nearest β. "
            "Default: the mixture, if there is one.",
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw new images: decode draws from the mixture that was fitted to the latents, or from the prior."""
    import torch

    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.common.grids import grid, image_format, save_image
    from mrvae_zoo.errors import counted
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.models.vae import FixedRateVAE

    check_output(output, force=force)
    image_format(output)
    model = load_pretrained(name, device=device.value)
    if beta is None:
        low, high = model.beta_range
        beta = model.beta if isinstance(model, FixedRateVAE) else min(max(1.0, low), high)
    plain = model.at(beta)
    if sampler is None:
        sampler = SamplerOption.prior if plain.sampler is None else SamplerOption.mixture
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        parts = [plain.sample(some, size=size, sampler=sampler.value, generator=generator).cpu() for some in batches(n)]
    images = torch.cat(parts)
    save_image(grid(plain.config.to_unit_range(images).split(COLUMNS)), output)
    say(f"wrote {output}: {counted(n, 'image')} at β = {plain.beta:g}, drawn from the {sampler.value}")
    if json:
        print_json({"output": str(output), "images": n, "beta": plain.beta, "sampler": sampler.value, "seed": seed})
