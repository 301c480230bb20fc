"""The command `mrvae traverse`."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import (
    Device,
    DeviceOption,
    Force,
    ImageOutput,
    Json,
    LookedAt,
    Name,
    print_json,
    print_table,
    say,
)


def traverse(
    name: Name,
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="The image, in any format that Pillow reads.", show_default=False)
    ],
    output: ImageOutput,
    beta: LookedAt = None,
    latents: Annotated[
        int, typer.Option("--latents", metavar="N", help="How many latents to walk, a row each.", min=1)
    ] = 10,
    steps: Annotated[
        int, typer.Option("--steps", metavar="N", help="How many values from -3 to 3, a column each.", min=2, max=64)
    ] = 7,
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw what each latent does to an image: it is walked from -3 to 3, while the others stay at their posterior mean.

    The most informative latents come first: those with the highest KL divergence over the data of the model's curve, or
    for this image if that was not measured. A spatial model walks a latent at all places at once, while the others stay
    at a draw; of a large image the picture shows the middle.
    """
    import torch

    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.common.grids import image_format, save_image
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.inference.reconstruction import shown_part

    check_output(output, force=force)
    image_format(output)
    model = load_pretrained(name, device=device.value)
    x = shown_part(model, model.preprocess(image))
    plain_beta = middle_beta(model.config.beta, model.beta_range) if beta is None else beta
    with torch.inference_mode():
        walked = model.traverse(x, plain_beta, latents=latents, steps=steps)
        picture = walked.picture()
    save_image(picture, output)
    if json:
        told = {"output": str(output), "beta": plain_beta, "latents": walked.latents, "kl": walked.kl}
        print_json(told | {"measured": walked.measured, "values": walked.values})
    else:
        over = "the data of the curve" if walked.measured else "this image"
        say(f"KL divergence over {over}, in nats{' per place' if model.config.spatial else ''}:")
        rows = [(str(latent), f"{kl:.2f}") for latent, kl in zip(walked.latents, walked.kl, strict=True)]
        print_table(("latent", "nats"), rows)
    say(f"wrote {output}: {len(walked.latents)} of {model.latent_dim} latents at β = {plain_beta:g}")


def middle_beta(own: float | None, beta_range: tuple[float, float]) -> float:
    """Return the β to look at where none is named: a model's only β, or 1, or the end of the range next to it."""
    return min(max(1.0, beta_range[0]), beta_range[1]) if own is None else own
